"""smppsim.check on our own engine: led through every situation, it gets a clean report, on virtual time."""

from __future__ import annotations

import trio

from engine.store.connections import Database
from smppsim.check.conductor import conduct, stages_of
from smppsim.check.findings import Verdict, judge
from smppsim.check.report import passed
from smppsim.check.rules import Contract, rules
from smppsim.check.trace import Trace
from smppsim.check.witness import Witness
from tests.rig import Rig, rig, simulator

LONG = "Un message de plusieurs parties, avec des accolades {} et des euros €. " * 5
NOT_SEEN = {
    "rate",  # none was agreed
    "parameters",  # our own client sends none
    "unbind-sent",  # it is still there when the check ends
}
EMOJI = "Bonjour 👍🏽, votre colis est là. " * 6


async def busy(pair: Rig) -> None:
    """A message a second, each differing, every tenth long in either alphabet."""
    number = 0
    while True:
        number += 1
        text = {0: LONG, 5: EMOJI}.get(number % 10, "Bonjour")
        await pair.send(f"{text} {number}", f"+336123456{number % 100:02}", ttl_s=600)
        await trio.sleep(1)


async def test_our_own_engine_gets_a_clean_report(
    sqlite_database: Database, autojump_clock: trio.testing.MockClock
) -> None:
    contract = Contract(window=10)
    table = rules(contract)
    trace, said = Trace(), []
    operator = simulator(behaviour={"response_delay": 0.05, "receipt_delay": 1.0}, link={"window": 10, "ghost_s": 0.0})
    async with trio.open_nursery() as watching:
        await watching.start(Witness(operator, trace).run)
        async with rig(sqlite_database, sim=operator) as pair, trio.open_nursery() as nursery:
            nursery.start_soon(busy, pair)
            await conduct(operator, "sceau", stages_of(table), 1_800, said.append)
            nursery.cancel_scope.cancel()
        trace.now = trio.current_time()
        watching.cancel_scope.cancel()
    rows = judge(table, trace)
    assert len(said) == len(stages_of(table))
    assert [(row.rule.id, row.said) for row in rows if row.verdict in (Verdict.WRONG, Verdict.ADVICE)] == []
    assert {row.rule.id for row in rows if row.verdict is Verdict.NOT_SEEN} == NOT_SEEN
    assert passed(rows, trace)
