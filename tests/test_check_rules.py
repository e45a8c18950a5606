"""smppsim.check's rules and situations, on virtual time: the good client passes every row, each bad one fails one."""

from __future__ import annotations

import pytest
import trio

from smppsim.behaviour import Behaviour
from smppsim.check.conductor import conduct, stages_of, watch
from smppsim.check.findings import Row, judge
from smppsim.check.report import passed
from smppsim.check.rules import Contract, pick, rules
from smppsim.check.trace import Trace
from smppsim.check.witness import Witness
from smppsim.scenario import AccountSettings, Scenario
from smppsim.simulator import Simulator
from tests.check_bad_clients import BAD, TakesAGhostForABind
from tests.check_clients import GoodClient, PoliteClient
from tests.scheduling import schedule_by

TABLE = rules(Contract(window=10, rate=20))
WATCHED_S = {"enquire-sent": 100.0, "parts-complete": 60.0, "deliver-resp": 40.0}
"""Rows that need time and no situation."""


async def check(kind: type[GoodClient], *names: str, seed: int = 0) -> tuple[list[Row], Trace]:
    """Lead a client of this kind through what these rows need, all without names."""
    schedule_by(seed)
    chosen = pick(TABLE, names)
    behaviour = Behaviour.model_validate({"response_delay": 0.05, "receipt_delay": 1.0})
    account = AccountSettings(system_id="demo", password="demo", behaviour=behaviour)
    simulator, trace = Simulator(Scenario(accounts=(account,))), Trace()
    async with trio.open_nursery() as nursery:
        await nursery.start(simulator.run)
        await nursery.start(Witness(simulator, trace).run)
        nursery.start_soon(kind(simulator).run)
        if len(names) == 1 and names[0] in WATCHED_S:
            await watch(WATCHED_S[names[0]])
        else:
            await conduct(simulator, "demo", stages_of(chosen), 900, lambda _: None)
        trace.now = trio.current_time()
        nursery.cancel_scope.cancel()
    return judge(chosen, trace), trace


def verdicts(rows: list[Row]) -> dict[str, str]:
    return {row.rule.id: row.verdict.value for row in rows}


async def test_the_good_client_passes_every_row(autojump_clock: trio.testing.MockClock) -> None:
    rows, trace = await check(PoliteClient)
    assert [(row.rule.id, row.verdict.value, row.said) for row in rows if row.verdict != "right"] == []
    assert passed(rows, trace)


@pytest.mark.parametrize("row", [rule.id for rule in TABLE])
async def test_a_bad_client_fails_its_row(row: str, autojump_clock: trio.testing.MockClock) -> None:
    kind, verdict = BAD[row]
    rows, trace = await check(kind, row)
    assert verdicts(rows) == {row: verdict}, rows[0].said
    assert passed(rows, trace) == (verdict != "wrong")
    if verdict == "wrong" and row not in ("enquire-sent", "comes-back"):
        assert rows[0].seen is not None


async def test_a_client_that_takes_a_refused_bind_for_one_fails_too(autojump_clock: trio.testing.MockClock) -> None:
    """B8: Kannel does so."""
    rows, _ = await check(TakesAGhostForABind, "ghost")
    assert (rows[0].verdict, rows[0].said) == ("wrong", "goes on as if it were bound")
