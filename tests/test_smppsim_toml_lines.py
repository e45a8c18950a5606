"""smppsim.toml_lines: every value that tomllib finds has the line it stands in."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import tomlkit
from hypothesis import given
from hypothesis import strategies as st

from smppsim.scenario_files import _PROFILES
from smppsim.toml_lines import lines_of

TEXT = '''# a comment with [brackets] and = signs
top = 1
quoted."a.b" = "x"   # more

[[accounts]]
name = "one # no comment"
inline = { a = 1, b = [1, 2,
    { deep = """
three " lines
""", last = 1979-05-27 07:32:00 }], c = 'x' }

[accounts.link]
window = 5

[[accounts.rules]]
n = 1
[[accounts.rules]]
n = 2

[[accounts]]
name = \'\'\'two\'\'\'
'''


def test_lines_are_those_a_person_would_name() -> None:
    lines = lines_of(TEXT)
    assert lines["top",] == 2
    assert lines["quoted", "a.b"] == 3
    assert lines["accounts",] == lines["accounts", 0] == 5
    assert lines["accounts", 0, "name"] == 6
    assert lines["accounts", 0, "inline", "b", 1] == 7
    assert lines["accounts", 0, "inline", "b", 2, "deep"] == 8
    assert lines["accounts", 0, "inline", "b", 2, "last"] == lines["accounts", 0, "inline", "c"] == 10
    assert lines["accounts", 0, "link"] == 12
    assert lines["accounts", 0, "rules", 1, "n"] == 18
    assert lines["accounts", 1, "name"] == 21


def paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))


@pytest.mark.parametrize("text", [TEXT, *(file.read_text(encoding="utf-8") for file in _PROFILES.iterdir())])
def test_nothing_that_stands_in_a_file_is_without_a_line(text: str) -> None:
    assert set(paths(tomllib.loads(text))) == set(lines_of(text))


_KEYS = st.text(st.characters(codec="ascii", exclude_characters="\x7f", min_codepoint=32), min_size=1, max_size=5)
_VALUES = st.recursive(
    st.integers(-9, 9) | st.booleans() | st.text("a'\"\\#[]{},= \n", max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(_KEYS, _VALUES, max_size=4))
def test_whatever_a_library_writes_has_a_line_for_each_of_its_values(tree: dict[str, Any]) -> None:
    text = tomlkit.dumps(tree)
    assert set(paths(tomllib.loads(text))) == set(lines_of(text))
