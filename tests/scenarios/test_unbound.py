"""Work that waits while no line can carry it: nothing is claimed, and nothing spins."""

from __future__ import annotations

from collections import Counter

import trio

from engine.store.connections import Database
from smppsim.faults import RefuseConnections
from tests.rig import rig, simulator


class Scheduled(trio.abc.Instrument):
    """Counts how often tasks run, by name."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.runs[task.name] += 1

    def of_senders(self) -> int:
        """Return how often sending loops ran."""
        return sum(count for name, count in self.runs.items() if name.startswith(("codes ", "others ")))


async def test_while_no_line_is_bound_nothing_is_claimed_and_the_senders_sleep(
    sqlite_database: Database, autojump_clock: trio.testing.MockClock
) -> None:
    """C9, users-ask 18: ten minutes without a bind cost a few wake-ups; then everything goes out."""
    operator = simulator()
    operator.cause(RefuseConnections(for_s=1e6))
    watched = Scheduled()
    async with rig(sqlite_database, sim=operator, bound=False) as pair:
        await pair.settled(1)
        trio.lowlevel.add_instrument(watched)
        ids = await pair.send_many([f"Bonjour {number}" for number in range(20)])
        await pair.settled(600)
        trio.lowlevel.remove_instrument(watched)
        assert {await pair.state(one) for one in ids} == {"queued"}
        # The duty that heals the backlog rings every five seconds; a change of an account's health rings too.
        assert watched.of_senders() <= 2 * (600 / 5 + 10)
        operator.cause(RefuseConnections(for_s=0))
        for one in ids:
            assert await pair.until(one, "delivered") == "delivered"
