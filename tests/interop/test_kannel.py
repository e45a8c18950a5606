"""Kannel, from Debian's packages, as a client of smppsim: binds, long and Unicode messages, DLRs, a reply."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from smppsim.check.findings import Verdict, judge
from smppsim.check.rules import Contract, rules
from smppsim.check.trace import Trace
from smppsim.check.witness import Witness
from smppsim.simulator import Simulator
from tests.interop.kannel import DEADLINE_S, installed, running

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not installed(), reason="Kannel (bearerbox, smsbox) is not installed: apt-get install kannel"),
]
PHONE = "+33612345600"
LONG = "A long message with € and {brackets}, cut by Kannel. " * 8
UNICODE = "Ответ на ваш вопрос: добро пожаловать, до свидания. " * 4
DELIVERED, SMSC_ACCEPTED = "1", "8"
BINDS = {
    "transceiver": (["port = {}\ntransceiver-mode = true"], {"BindTransceiver"}),
    "transmitter and receiver": (["port = {}", "receive-port = {}"], {"BindTransmitter", "BindReceiver"}),
}


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> tuple[Simulator, Trace]:
    simulator, trace = Simulator(), Trace()
    simulator.behave(receipt_delay=0.1, receipt_bind="any")
    await nursery.start(simulator.run)
    await nursery.start(Witness(simulator, trace).run)
    return simulator, trace


@pytest.mark.parametrize("binds", BINDS)
async def test_kannel_sends_long_and_unicode_messages_and_reports_what_became_of_them(
    simulator: tuple[Simulator, Trace], tmp_path: Path, binds: str
) -> None:
    operator, trace = simulator
    port = await operator.listen()
    lines, kinds = BINDS[binds]
    with trio.fail_after(DEADLINE_S):
        async with running(tmp_path, [line.format(port) for line in lines]) as kannel:
            await operator.until(lambda: sum(each.account is not None for each in operator.sessions) == len(kinds))
            for text, unicode in (("short", False), (LONG, False), (UNICODE, True)):
                await kannel.send(text, PHONE, unicode=unicode)
            inbox = await operator.handset(PHONE).wait(3)
            assert [message.text for message in inbox] == ["short", LONG, UNICODE]
            parts = sum(message.parts for message in inbox)
            assert parts >= 1 + 3 + 4
            # Kannel asks for one receipt per message, whatever its parts, and reports twice: taken, then delivered.
            reports = await kannel.reports.of("/dlr", 6)
            assert sorted(report["type"] for report in reports) == [DELIVERED] * 3 + [SMSC_ACCEPTED] * 3
            operator.handset(PHONE).reply("Réponse du mobile")
            [reply] = await kannel.reports.of("/mo", 1)
            assert (reply["from"], reply["to"], reply["text"]) == (PHONE, "38200", "Réponse du mobile")
            await operator.until(lambda: operator.stats.deliveries_acknowledged == 3 + 1)
    assert {type(seen.pdu).__name__ for seen in trace.of_client()} >= kinds
    rows = judge(rules(Contract()), trace)
    assert [(row.rule.id, row.said) for row in rows if row.verdict is Verdict.WRONG] == []
