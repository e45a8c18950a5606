"""docs/failure-catalogue.md: each row of the catalogue with the tests whose docstrings name it.

A test names its rows at the start of its docstring's first line: `B12, B13: …`.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from docs.catalogue_rows import HALVES, REQUIRED, ROWS, SECTIONS, WAITING
from docs.proofs import Proof, cell, proofs_by

_BEGINS: Final = re.compile(r"[A-HS][1-9]\d?\b")
_ROW: Final = re.compile(r"\b[A-H][1-9]\d?\b")

_HEAD: Final = """\
# Failure catalogue

What goes wrong on SMPP links and around them, what Sceau does then, and the tests that prove it. This page is generated
by `make docs` from `docs/catalogue_rows.py` and from the docstrings of the tests: a test that proves a row begins its
docstring with the row's id. Every row owes one, but those listed at the end.
"""


def proofs() -> dict[str, list[Proof]]:
    """Return the tests of each row that any test names."""
    return proofs_by(_rows_of)


def _rows_of(first_line: str) -> Iterable[str]:
    return _ROW.findall(first_line) if _BEGINS.match(first_line) else ()


def unproven(found: Mapping[str, list[Proof]]) -> list[str]:
    """Return the rows that owe a test and have none."""
    return [row for row in REQUIRED if row not in found]


def catalogue_page() -> str:
    """Return the page."""
    found = proofs()
    proven = sum(row in found for row in REQUIRED)
    lines = [_HEAD, f"{len(ROWS)} rows; {proven} have a test, {len(WAITING)} come later.", ""]
    for letter, title in SECTIONS.items():
        lines += [
            f"## {letter}. {title}",
            "",
            "| row | what goes wrong | what Sceau does | tests |",
            "|---|---|---|---|",
        ]
        for row, (failure, behaviour) in ROWS.items():
            if row.startswith(letter):
                lines.append(f"| {row} | {failure} | {behaviour} | {_tests(row, found)} |")
        lines.append("")
    lines += ["## Later", "", "Without a test today:", ""]
    lines += [f"- **{row}**: {reason}" for row, reason in WAITING.items()]
    lines += ["", "Proven but for this:", ""]
    lines += [f"- **{row}**: {rest}" for row, rest in HALVES.items()]
    return "\n".join(lines) + "\n"


def _tests(row: str, found: Mapping[str, list[Proof]]) -> str:
    if row in found:
        tests = cell(found[row])
        return f"{tests}<br>*one half later: see below*" if row in HALVES else tests
    return "*later: see below*" if row in WAITING else "–"
