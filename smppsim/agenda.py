"""What shall happen when: one heap for answers, receipts, redeliveries and session timers.

It neither sleeps nor reads a clock; the shell asks when something is due and runs it. Equal instants keep
the order in which they were written down.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any


class Agenda:
    """Calls `action(argument, now)` at their instants (seconds of the shell's monotonic clock)."""

    __slots__ = ("_count", "_heap")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Callable[[Any, float], object], Any]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._heap)

    def at(self, due: float, action: Callable[[Any, float], object], argument: Any) -> None:
        """Run `action` at `due`."""
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, action, argument))

    @property
    def next_due(self) -> float:
        """The earliest instant, infinity if there is none."""
        return self._heap[0][0] if self._heap else math.inf

    def run(self, now: float, limit: int) -> int:
        """Run what is due, at most `limit` of it; how many were."""
        heap = self._heap
        ran = 0
        while heap and ran < limit and heap[0][0] <= now:
            _, _, action, argument = heapq.heappop(heap)
            action(argument, now)
            ran += 1
        return ran

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
