"""Many reverse codes pending and a storm of SMS, right and wrong: every right one is approved once, and no other."""

from __future__ import annotations

from collections import Counter

import pytest
import trio
import trio.testing

from engine.cases.reverse import StartReverse
from engine.store.connections import Database
from engine.store.statements import Statement
from engine.store.tables_cases import Case
from smppsim.scenario import AccountSettings, Bounds, Scenario
from smppsim.simulator import Simulator
from tests.amounts import Figure, amounts
from tests.rig import APP, EVENTS, REPLIES, bind_settings, rig
from tests.scenarios.test_reverse import OURS, SETTINGS

A_SECOND = 5_000
_case = Case.__table__  # type: ignore[attr-defined]
STATES = Statement(lambda _: _case.select().with_only_columns(_case.c.state))


def operator(number: str = OURS) -> Simulator:
    account = AccountSettings(system_id="sceau", password="secret08", numbers=(number,))
    bounds = Bounds(messages=200_000, handset_parts=200_000, pdus=0)
    return Simulator(Scenario(accounts=(account,), bounds=bounds), seed=1)


@pytest.mark.parametrize("count", amounts(400, 20_000))
async def test_a_storm_of_codes_approves_each_right_one_once(
    database: Database, autojump_clock: trio.testing.MockClock, count: int, figure: Figure
) -> None:
    """S14: half of what comes is a right code, sent twice by every tenth; the other half is of nobody's case."""
    async with rig(database, sim=operator(), **SETTINGS, account={"binds": {"main": bind_settings()}}) as pair:
        core, now = pair.core, pair.clock.now()
        codes: list[str] = []
        for start in range(0, count, 200):
            size = min(200, count - start)
            codes += await core.store.write(
                lambda tx, size=size: [
                    core.reverses.start(tx, APP, "key_1", StartReverse(life_s=1_800), now).body["code"]
                    for _ in range(size)
                ]
            )
        began = trio.current_time()
        for number, code in enumerate(codes):
            for _ in range(2 if number % 10 == 0 else 1):
                pair.sim.handset(f"+3361{number:07}").reply(f"{code} Sceau", to=OURS)
            pair.sim.handset(f"+3362{number:07}").reply(f"AAAA-{number:04}", to=OURS)
            if number % (A_SECOND // 20) == 0:
                await trio.sleep(0.1)
        with trio.fail_after(600):
            while len(await pair.rows(REPLIES)) < 2 * count:
                await trio.sleep(1)
        took = trio.current_time() - began
        states = Counter(row[0] for row in await core.store.read(lambda tx: tx.all(STATES)))
        assert states == {"approved": count}
        told = Counter(row["type"] for row in await pair.rows(EVENTS))
        assert told["reverse.approved"] == count
        choices = Counter(row["choice"] for row in await pair.rows(REPLIES))
        assert choices["reverse_code_equal"] >= count  # the second of two equal ones may be taken for a redelivery
        assert choices["no_open_case"] == count
    figure(f"{count:,} reverse codes pending, {2 * count:,} SMS: all taken after", f"{took:.0f} s")
