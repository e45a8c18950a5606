"""Whether our three packages load from one place, so that no foreign `workflows` stands in for ours.

It imports none of them. The composition root calls it before anything else, and a test does.
"""

from collections.abc import Callable, Iterator
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from engine.errors import WrongPlace

PACKAGES: Final = ("engine", "workflows", "smppsim")
_HERE: Final = Path(__file__).resolve().parent.parent

Finder = Callable[[str], ModuleSpec | None]


def check_places(find: Finder = find_spec) -> None:
    """Raise `WrongPlace`, naming the intruder, unless each of our packages loads from beside this file."""
    problems = list(_intruders(find))
    if problems:
        raise WrongPlace("another package takes the place of ours:", problems)


def _intruders(find: Finder) -> Iterator[str]:
    for package in PACKAGES:
        spec = find(package)
        where = None if spec is None or spec.origin is None else Path(spec.origin).resolve().parent
        if where == _HERE / package:
            continue
        if where is None:
            yield f"{package}: there is none beside {_HERE / 'engine'}"
            continue
        yield (
            f"{package}: loads from {where}{_owner(package)}, ours is {_HERE / package}; "
            "uninstall it, or give Sceau an environment of its own"
        )


def _owner(package: str) -> str:
    others = sorted(set(packages_distributions().get(package, ())) - {"sceau"})
    return f" (installed by {', '.join(others)})" if others else ""
