"""Runs the duties: each looks at its rows again and again, at once while there is more, else after its interval.

A duty is a store function that takes the instant and returns what it changed. Those that are due together look in one
transaction; if one fails they look again, each alone, its failure is told and the round goes on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import trio

from engine.clock import Clock
from engine.errors import StoreUnavailable
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit.backlog import QueueKey
from engine.transit.books import Bells


@dataclass(slots=True)
class Done:
    """What one look changed: how many rows, queues that got work, endpoints that are owed, messages to cancel on the
    air, whether more waits.
    """

    rows: int = 0
    queued: list[QueueKey] = field(default_factory=list)
    bells: Bells = field(default_factory=list)
    on_air: list[str] = field(default_factory=list)
    more: bool = False


class Duty(NamedTuple):
    """A named look at the rows, and how often it is taken."""

    name: str
    every_s: float
    look: Callable[[Tx, int], Done]


@dataclass(slots=True)
class Rounds:
    """The one loop of all duties of a process."""

    store: Store
    clock: Clock
    duties: Sequence[Duty]
    told: Callable[[str, Done], None]
    failed: Callable[[str, BaseException], None]
    passed: dict[str, int] = field(default_factory=dict)  # duty → rows changed since the start

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run every duty until cancelled."""
        task_status.started()
        next_at = dict.fromkeys(self.duties, -math.inf)
        while next_at:
            began = trio.current_time()
            due = [duty for duty, at in next_at.items() if at <= began]
            for duty, more in await self._tried(due):
                # From the beginning of the round on, so that those of one interval stay together.
                next_at[duty] = began if more else began + duty.every_s
            await trio.sleep(max(0.0, min(next_at.values()) - trio.current_time()))

    async def look(self, duty: Duty) -> Done:
        """Take one look and tell what it changed; also how tests and commands run a duty by hand."""
        [done] = await self._looked([duty])
        self._tell(duty, done)
        return done

    async def _looked(self, duties: Sequence[Duty]) -> list[Done]:
        now = self.clock.now()
        return await self.store.write(lambda tx: [duty.look(tx, now) for duty in duties])

    def _tell(self, duty: Duty, done: Done) -> None:
        self.passed[duty.name] = self.passed.get(duty.name, 0) + done.rows
        if done.rows or done.bells or done.queued or done.on_air:
            self.told(duty.name, done)

    async def _tried(self, duties: Sequence[Duty]) -> list[tuple[Duty, bool]]:
        """Take a look of each, together as far as none fails; return which of them have more to do."""
        try:
            looked = list(zip(duties, await self._looked(duties), strict=True))
        except Exception as error:
            if len(duties) > 1 and not isinstance(error, StoreUnavailable):
                return [pair for duty in duties for pair in await self._tried([duty])]
            for duty in duties:
                self.failed(duty.name, error)
            return [(duty, False) for duty in duties]
        for duty, done in looked:
            try:
                self._tell(duty, done)
            except Exception as error:  # what the others changed is told all the same
                self.failed(duty.name, error)
        return [(duty, done.more) for duty, done in looked]
