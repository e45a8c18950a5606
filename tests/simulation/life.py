"""One life of the simulated process: alive until it is stopped, or until it passes the point at which it must crash."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import trio

from tests.simulation.plan import Crash
from tests.simulation.trace import Trace


@dataclass
class Life:
    """Store, wire and receiver report each point that is passed; after the crash nothing of this life has an effect."""

    trace: Trace
    crash: Crash | None = None
    passed: Counter[str] = field(default_factory=Counter)
    over: trio.Event = field(default_factory=trio.Event)
    dead: bool = False

    def passes(self, point: str) -> bool:
        """Note the passage of a point; tell whether the process ends here."""
        if self.dead:
            return True
        self.passed[point] += 1
        crash = self.crash
        if crash is not None and crash.point == point and self.passed[point] == crash.passage:
            self.end(f"crash: {point}")
            return True
        return False

    def end(self, why: str) -> None:
        """From now on this process does nothing any more."""
        self.dead = True
        self.over.set()
        self.trace.note("process", why)
