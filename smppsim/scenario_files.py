"""Scenario files: TOML to `Scenario`, with every mistake by its line and field; and the profiles that are shipped.

It runs nothing. Called by `cli`, and by tests that rehearse a profile.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from smppsim.scenario import Scenario
from smppsim.toml_lines import lines_of

_PROFILES = files("smppsim") / "profiles"


class Mistake(NamedTuple):
    """One thing that is wrong: the line it stands in, the field's name with its tables, and why."""

    line: int
    field: str
    why: str


class ScenarioError(ValueError):
    """A scenario that cannot be read; `mistakes` has all of them in the order of the file."""

    def __init__(self, source: str, mistakes: tuple[Mistake, ...]) -> None:
        said = (f"{source}:{line}: {f'{field}: ' if field else ''}{why}" for line, field, why in mistakes)
        super().__init__("\n".join(said))
        self.mistakes = mistakes


def read_scenario(text: str, source: str = "scenario") -> Scenario:
    """The scenario that a TOML text describes; ScenarioError names `source`."""
    try:
        read = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # tomllib says "… (at line 3, column 5)", and "(at end of document)" where something is missing.
        why, _, place = str(error).partition(" (at ")
        digits = "".join(filter(str.isdigit, place.partition(",")[0]))
        line = int(digits) if digits else text.count("\n") + 1
        raise ScenarioError(source, (Mistake(line, "", why),)) from None
    try:
        return Scenario.model_validate(read)
    except ValidationError as error:
        lines = lines_of(text)
        rows = error.errors(include_url=False, include_context=False, include_input=False)
        raise ScenarioError(source, tuple(sorted(_mistake(row, read, lines) for row in rows))) from None


def load_scenario(file: Path) -> Scenario:
    """The scenario in a file; OSError, ScenarioError."""
    return read_scenario(file.read_text(encoding="utf-8"), str(file))


def _mistake(row: ErrorDetails, read: Mapping[str, Any], lines: Mapping[tuple[str | int, ...], int]) -> Mistake:
    """A row of pydantic's, placed in the file; what names no key there, such as the kind of a union, is left out."""
    path: tuple[str | int, ...] = ()
    here: Any = read
    for step in row["loc"]:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            continue
        path = (*path, step)
    missing = (row["loc"][-1],) if row["type"] == "missing" else ()
    field = ".".join(str(step) for step in path + missing)
    return Mistake(lines.get(path, 1), field, row["msg"].removeprefix("Value error, "))


# -- profiles ---------------------------------------------------------------------------------------------------


def profiles() -> dict[str, str]:
    """Name → what it rehearses, the first line of its file."""
    found = sorted((file for file in _PROFILES.iterdir() if file.name.endswith(".toml")), key=lambda file: file.name)
    heads = {file.name: file.read_text(encoding="utf-8").partition("\n")[0] for file in found}
    return {name.removesuffix(".toml"): head.removeprefix("#").strip() for name, head in heads.items()}


def load_profile(name: str) -> Scenario:
    """A shipped scenario; LookupError for an unknown name."""
    if name not in profiles():
        raise LookupError(f"no profile {name!r}; there are {', '.join(profiles())}")
    return read_scenario((_PROFILES / f"{name}.toml").read_text(encoding="utf-8"), name)
