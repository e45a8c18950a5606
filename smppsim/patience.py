"""How long a session may run into its limits: refused first, then not read for a while, then closed (row H4).

Sans-IO; `submission` tells it of each submit that a limit refused and does what it says.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

PAUSE_S: Final = 1.0
PAUSES: Final = 3
"""Pauses within `_MEMORY_S` of which the last one is the end instead."""
_WITHIN_S: Final = 1.0
_MEMORY_S: Final = 60.0


class Verdict(Enum):
    """What is done beside the refusal."""

    NOTHING = auto()
    PAUSE = auto()
    """Nothing is read for `PAUSE_S`: TCP pushes back."""
    CLOSE = auto()


class Patience:
    """With one session."""

    __slots__ = ("_count", "_pauses", "_since")

    def __init__(self) -> None:
        self._since = 0.0
        self._count = 0
        self._pauses: list[float] = []

    def refused(self, now: float, limit: int) -> Verdict:
        """A submit was refused; more than `limit` of them within a second are an abuse."""
        if now - self._since >= _WITHIN_S:
            self._since, self._count = now, 0
        self._count += 1
        if self._count != limit + 1:
            return Verdict.NOTHING
        self._pauses = [*(pause for pause in self._pauses if now - pause < _MEMORY_S), now]
        return Verdict.CLOSE if len(self._pauses) >= PAUSES else Verdict.PAUSE
