"""Runs the duties: each looks at its rows again and again, at once while there is more, else after its interval or
its bell.

A duty is a store function that takes the instant and returns what it changed; its failure is told and the round goes
on.
"""

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
    """A named look at the rows, how often it is taken, and whether codes wait for it."""

    name: str
    every_s: float
    look: Callable[[Tx, int], Done]
    urgent: bool = False


@dataclass(slots=True)
class Rounds:
    """The loops of all duties of one process."""

    store: Store
    clock: Clock
    duties: Sequence[Duty]
    told: Callable[[str, Done], None]
    failed: Callable[[str, BaseException], None]
    passed: dict[str, int] = field(default_factory=dict)  # duty → rows changed since the start

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run every duty until cancelled."""
        async with trio.open_nursery() as nursery:
            for duty in self.duties:
                nursery.start_soon(self._go_round, duty, name=f"duty {duty.name}")
            task_status.started()

    async def look(self, duty: Duty) -> Done:
        """Take one look and tell what it changed; also how tests and commands run a duty by hand."""
        now = self.clock.now()
        done = await self.store.write(lambda tx: duty.look(tx, now), urgent=duty.urgent)
        self.passed[duty.name] = self.passed.get(duty.name, 0) + done.rows
        if done.rows or done.bells or done.queued:
            self.told(duty.name, done)
        return done

    async def _go_round(self, duty: Duty) -> None:
        while True:
            more = False
            try:
                more = (await self.look(duty)).more
            except StoreUnavailable as error:
                self.failed(duty.name, error)
            except Exception as error:
                self.failed(duty.name, error)
            if not more:
                await trio.sleep(duty.every_s)
