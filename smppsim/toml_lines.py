"""Where each value of a TOML text stands, so that a mistake in a scenario can be shown by its line.

It reads only texts that tomllib has accepted, and keeps no values. `scenario_files` asks it when a scenario is
refused.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final

Path = tuple[str | int, ...]

_BLANKS: Final = re.compile(r"[ \t]*")
_NOTHING: Final = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}\n#]+")


def lines_of(text: str) -> dict[Path, int]:
    """Path of keys and indexes → line, from 1. TOMLDecodeError for what is no TOML."""
    tomllib.loads(text)
    return _Reader(text).read()


class _Reader:
    """Walks over a valid text once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._tables: dict[Path, int] = {}
        """Arrays of tables: how many there are so far."""

    def read(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_NOTHING)
        while self._at < len(self._text):
            if self._next("["):
                table = self._header(array=self._next("["))
            else:
                self._pair(table)
            self._skip(_NOTHING)
        return self._lines

    def _skip(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _next(self, sign: str) -> bool:
        found = self._text.startswith(sign, self._at)
        self._at += len(sign) if found else 0
        return found

    def _note(self, path: Path, at: int) -> None:
        self._lines.setdefault(path, self._text.count("\n", 0, at) + 1)

    def _keys(self) -> tuple[str, ...]:
        keys: list[str] = []
        while True:
            self._skip(_BLANKS)
            quoted = self._skip(_STRING)
            keys.append(tomllib.loads(f"key = {quoted}")["key"] if quoted else self._skip(_BARE_KEY))
            self._skip(_BLANKS)
            if not self._next("."):
                return tuple(keys)

    def _header(self, *, array: bool) -> Path:
        start = self._at
        *outer, last = self._keys()
        self._at += 2 if array else 1
        path: Path = ()
        for key in outer:
            path = (*path, key)
            self._note(path, start)
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
        path = (*path, last)
        self._note(path, start)
        if array:
            self._tables[path] = self._tables.get(path, 0) + 1
            path = (*path, self._tables[path] - 1)
            self._note(path, start)
        return path

    def _pair(self, table: Path) -> None:
        start = self._at
        keys = self._keys()
        for depth in range(1, len(keys) + 1):
            self._note(table + keys[:depth], start)
        self._next("=")
        self._skip(_BLANKS)
        self._value(table + keys)

    def _value(self, path: Path) -> None:
        self._note(path, self._at)
        if self._next("["):
            index = 0
            self._skip(_NOTHING)
            while not self._next("]"):
                self._value((*path, index))
                index += 1
                self._comma()
        elif self._next("{"):
            self._skip(_NOTHING)
            while not self._next("}"):
                self._pair(path)
                self._comma()
        elif not self._skip(_STRING):
            self._skip(_SCALAR)

    def _comma(self) -> None:
        self._skip(_NOTHING)
        self._next(",")
        self._skip(_NOTHING)
