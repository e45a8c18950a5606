"""The engine's store under weather: commits take their time, are refused by a full or busy database, or come to nobody
knows what; and the process may end on either side of any of them.

Full and busy are SQLite's own doing; what a commit is about is read off the job's name.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import trio

from engine.errors import CommitUnknown, StoreUnavailable
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.transaction import Tx
from tests.simulation.life import Life

T = TypeVar("T")

# The first part of a job's qualified name, and what the commit is about.
_ABOUT = {
    "Claim": "claim",
    "Sender": "release",
    "Intake": "intake",
    "Rounds": "duty",
    "Core": "run",
    "Feeder": "webhook",
    "Webhooks": "webhook",
    "Canceling": "canceling",
    "Callers": "call",
}
_AFTER = {
    "claim": "claim committed, not written",
    "intake": "intake committed, not acknowledged",
    "call": "call committed, not answered",
    "duty": "duty committed",
    "webhook": "webhook settled",
}


@dataclass
class StoreWeather:
    """What the database suffers now; shared by all lives."""

    dice: random.Random
    usual_s: float
    commit_s: float = 0.0
    down: int = 0
    unknown: float = 0.0
    full: bool = False
    blocker: Any = None  # a connection that holds the writer's lock

    def take(self) -> float:
        """How long this commit takes."""
        longest = self.commit_s or self.usual_s
        return self.dice.uniform(0.0, longest) if longest else 0.0


class SimulatedStore(Store):
    """Inline, on virtual time."""

    def __init__(self, database: Database, weather: StoreWeather, life: Life) -> None:
        super().__init__(database, inline=True)
        self._weather = weather
        self._life = life
        self._last = 0.0

    def open(self) -> None:
        """As `Store.open`; SQLite does not wait for a lock, since nobody could let go of it meanwhile."""
        super().open()
        self._connection.execute("PRAGMA busy_timeout = 0")
        self._connection.execute("PRAGMA synchronous = OFF")
        self.feel()

    def feel(self) -> None:
        """Have the database full, or not."""
        if self._connection is not None:
            [[pages]] = self._connection.execute("PRAGMA page_count").fetchall()
            self._connection.execute(f"PRAGMA max_page_count = {pages if self._weather.full else 1 << 30}").fetchall()

    async def write(self, job: Callable[[Tx], T], *, urgent: bool = False, apart: bool = False) -> T:
        """As `Store.write`: first come, first committed; not cancelled once it has begun."""
        await trio.lowlevel.checkpoint_if_cancelled()
        about = about_of(job)
        weather = self._weather
        with trio.CancelScope(shield=True):
            self._last = max(self._last, trio.current_time() + weather.take())
            await _until(self._last)
            if self._life.passes(f"{about} not committed") or weather.down:
                raise StoreUnavailable("the database is down")
            unknown = weather.unknown and weather.dice.random() < weather.unknown
            if unknown and weather.dice.random() < 0.5:
                self._life.trace.note("store", f"{about} unknown, not committed")
                raise CommitUnknown("the answer to COMMIT was lost, and so was the commit")
            try:
                value = self.write_inline(job)
            except StoreUnavailable as error:
                self._life.trace.note("store", f"{about} refused: {error.__cause__}")
                raise
            if about != "duty":
                self._life.trace.note("store", f"{about} committed")
            if unknown or self._life.passes(_AFTER.get(about, about)):
                raise CommitUnknown("the answer to COMMIT was lost")
            await _until(trio.current_time() + weather.take())
        return value


async def _until(at: float) -> None:
    if at > trio.current_time():
        await trio.sleep_until(at)
    else:
        await trio.lowlevel.checkpoint()


def about_of(job: Callable[..., Any]) -> str:
    """What a job is about; raises for one that nobody has named here."""
    name: str = getattr(job, "__qualname__", type(job).__qualname__)
    return _ABOUT[name.partition(".")[0]]
