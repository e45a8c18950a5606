"""Things that let the next one pass: responses and receipts out of order.

It sends nothing itself and draws no dice. `answers` and `submission` say who steps aside, and tell it when
another one has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final, Generic, TypeVar

from smppsim.agenda import Agenda

T = TypeVar("T")

_PATIENCE_S: Final = 1.0
"""If nothing passes, the one who stepped aside goes on: being late is another fault."""


class Overtaking(Generic[T]):
    """Keeps those who stepped aside, by the lane they wait in, and lets them go through `go`."""

    def __init__(self, agenda: Agenda, go: Callable[[T, float], None]) -> None:
        self._agenda = agenda
        self._go = go
        self._waiting: dict[Hashable, list[T]] = {}

    def step_aside(self, lane: Hashable, thing: T, now: float) -> None:
        """Let the next one of `lane` pass."""
        waiting = self._waiting.setdefault(lane, [])
        if not waiting:
            self._agenda.at(now + _PATIENCE_S, self.passed, lane)
        waiting.append(thing)

    def passed(self, lane: Hashable, now: float) -> None:
        """One of `lane` has gone: those who waited for that follow."""
        if self._waiting:
            for thing in self._waiting.pop(lane, ()):
                self._go(thing, now)

    def clear(self) -> None:
        """Forget everybody."""
        self._waiting.clear()
