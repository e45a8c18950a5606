"""Everything that an operator held back comes at once: a bounded inbox, nothing lost, and codes that pass."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from engine.smpp.pdu import DeliverSm
from engine.store.connections import Database
from engine.transit.inbox import Arrival, Inbox
from smppsim.faults import Mute
from tests.amounts import amounts
from tests.rig import MESSAGES, PHONE, RECEIPTS, bind_settings, rig, simulator

SIZES = amounts(2_000, 100_000)
OUTAGE_S = 20.0


@pytest.mark.parametrize("count", SIZES)
async def test_a_flood_of_receipts_is_taken_in_whole_and_a_code_passes(
    sqlite_database: Database, autojump_clock: trio.testing.MockClock, count: int
) -> None:
    """D18: `count` receipts of an outage come in one burst; a code that starts meanwhile is sent at once."""
    operator = simulator(
        behaviour={"receipt_delay": 5.0},
        link={"deliver_window": 5_000, "redeliver_after_s": 1.0},
    )
    account = {"kind": "simulator", "binds": {"main": bind_settings(window=5_000)}}
    async with rig(sqlite_database, sim=operator, account=account) as pair:
        await pair.send_many([f"Bonjour {number}" for number in range(count)], category="marketing", ttl_s=86_400)
        await operator.until(lambda: operator.stats.submits == count)
        await pair.settled(1)
        operator.cause(Mute(for_s=OUTAGE_S))
        await operator.until(lambda: operator.stats.deliveries_acknowledged or operator.stats.deliveries_refused)
        assert (await pair.verify("+33612345679")).code == "created"
        asked = trio.current_time()
        await operator.until(lambda: operator.stats.submits == count + 1)
        assert trio.current_time() - asked < 0.05
        await pair.settled(OUTAGE_S)
        states = Counter(row["state"] for row in await pair.rows(MESSAGES) if row["recipient"] == PHONE)
        assert states == {"delivered": count}
        assert Counter(row["effect"] for row in await pair.rows(RECEIPTS)) == {"applied": count + 1}


def test_an_inbox_that_is_full_takes_no_more_deliveries() -> None:
    """D18: memory stays bounded; what is not taken is answered 0x64, and the operator keeps it."""
    inbox = Inbox(most_arrivals=2)
    arrivals = [
        Arrival(number, DeliverSm.command_id, "ses", None, None, b"", f"mo_{number}", 0.0) for number in (1, 2, 3)
    ]
    assert [inbox.arrive(arrival) for arrival in arrivals] == [True, True, False]
    inbox.take()
    assert inbox.arrive(arrivals[2])
