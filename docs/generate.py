"""Writes what the pages of `docs/` take from the code: `make docs`. `tests/test_docs.py` proves that they are current.

Whole pages are replaced; in others, what stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from docs.api_reference import calls_block, events_page, problems_block, profile_block, scopes_block
from docs.catalogue import catalogue_page
from docs.check_reference import checks_block
from docs.evidence_reference import verifier_block
from docs.operations_reference import classes_block, metrics_block, waits_block
from docs.pictures import modules_block, moves_block, phones_block, tables_block
from docs.settings_reference import settings_block
from docs.simulator_reference import (
    behaviour_block,
    control_block,
    delays_block,
    dialects_block,
    faults_block,
    ids_block,
    people_block,
    profiles_block,
)
from docs.testing_reference import testing_block
from docs.users_ask import users_ask_page

FOLDER: Final = Path(__file__).resolve().parent
Make = Callable[[], str]

PAGES: Final[Mapping[str, Make]] = {
    "events.md": events_page,
    "failure-catalogue.md": catalogue_page,
    "users-ask.md": users_ask_page,
}
BLOCKS: Final[Mapping[str, Mapping[str, Make]]] = {
    "ARCHITECTURE.md": {
        "modules": modules_block,
        "moves": moves_block,
        "tables": tables_block,
        "phones": phones_block,
    },
    "integrate.md": {
        "calls": calls_block,
        "scopes": scopes_block,
        "problems": problems_block,
        "profile": profile_block,
    },
    "operate.md": {
        "settings": settings_block,
        "classes": classes_block,
        "waits": waits_block,
        "metrics": metrics_block,
    },
    "signing.md": {"verifier": verifier_block},
    "simulator.md": {
        "control": control_block,
        "behaviour": behaviour_block,
        "delays": delays_block,
        "dialects": dialects_block,
        "ids": ids_block,
        "profiles": profiles_block,
        "faults": faults_block,
        "people": people_block,
        "checks": checks_block,
        "testing": testing_block,
    },
}


def current(name: str) -> str:
    """Return a page as it should be; raises `LookupError` for a block without its marks."""
    if name in PAGES:
        return PAGES[name]()
    text = (FOLDER / name).read_text(encoding="utf-8")
    for block, make in BLOCKS[name].items():
        marked = re.compile(rf"(<!-- generated: {block} -->\n).*?(<!-- end: {block} -->)", re.DOTALL)
        made = make().strip("\n")
        text, count = marked.subn(lambda found, made=made: f"{found[1]}\n{made}\n\n{found[2]}", text)  # type: ignore[misc]
        if count != 1:
            raise LookupError(f"{name}: the marks of the block {block!r} stand {count} times")
    return text


def names() -> list[str]:
    """Return the pages that are generated, wholly or in part."""
    return [*PAGES, *BLOCKS]


def main() -> None:
    """Write every page that differs."""
    for name in names():
        path, text = FOLDER / name, current(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"wrote docs/{name}\n")


if __name__ == "__main__":
    main()
