"""smppsim.patience: a client that runs into its limits is refused, then not read, then closed."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import Status, SubmitSmResp, encode
from smppsim.patience import PAUSE_S, PAUSES, Patience, Verdict
from smppsim.simulator import Simulator
from tests.smppsim_client import bound, submit_sm

LIMIT = 50


def test_only_more_refusals_than_the_limit_within_a_second_are_an_abuse() -> None:
    patience = Patience()
    assert {patience.refused(number * 0.1, 10) for number in range(1000)} == {Verdict.NOTHING}
    assert [patience.refused(200.0, 2) for _ in range(5)].count(Verdict.PAUSE) == 1


def test_abuse_is_forgotten_after_a_quiet_minute() -> None:
    patience = Patience()
    verdicts = [patience.refused(minute * 61.0, 1) for minute in range(10) for _ in range(3)]
    assert Verdict.CLOSE not in verdicts
    assert verdicts.count(Verdict.PAUSE) == 10


@pytest.mark.parametrize("limits", [{"window": 1}, {"rate": 1}])
async def test_a_client_that_ignores_its_limits_is_refused_then_not_read_then_closed(
    autojump_clock: MockClock, nursery: trio.Nursery, limits: dict[str, int]
) -> None:
    """H4: 0x58, then TCP pushes back, then the end; what is kept does not grow with the abuse."""
    simulator = Simulator()
    await nursery.start(simulator.run)
    simulator.link(abuse_limit=LIMIT, **limits)
    simulator.behave(response="hold", receipts="never")
    client, other = await bound(simulator), await bound(simulator)
    burst = b"".join(encode(submit_sm(), 10 + number) for number in range(2 * LIMIT))
    taken = []
    for second in range(PAUSES):
        await client.stream.send_all(burst)
        await trio.sleep_until(second + PAUSE_S / 2)
        taken.append(simulator.stats.submits)
        await client.stream.send_all(encode(submit_sm(), 1))
        await trio.sleep_until(second + PAUSE_S * 0.9)
        assert simulator.stats.submits == taken[-1]
        await trio.sleep_until(second + PAUSE_S)
    statuses = set()
    while (frame := await client.frame()) is not None:
        statuses.add(int.from_bytes(frame[8:12], "big"))
    assert statuses == {Status.ESME_RTHROTTLED}
    assert len(simulator.account("demo").sessions) == 1
    assert len(simulator.smsc.messages) <= PAUSES
    simulator.behave(response="given")
    simulator.link(window=None, rate=None)
    assert isinstance((await other.ask(submit_sm()))[1], SubmitSmResp)
