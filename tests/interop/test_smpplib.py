"""smpplib's own client against smppsim: a transmitter and a receiver, a reply, and what `smppsim check` says of it."""

from __future__ import annotations

from functools import partial

import pytest
import smpplib.client
import smpplib.consts
import smpplib.gsm
import smpplib.pdu
import trio

from smppsim.check.findings import Verdict, judge
from smppsim.check.rules import Contract, rules
from smppsim.check.trace import Trace
from smppsim.check.witness import Witness
from smppsim.simulator import Simulator

pytestmark = pytest.mark.interop
DEADLINE_S = 60
PHONE = "33612345600"
REPLY = "D'accord, à demain €"


def transmit(port: int, text: str) -> list[bytes]:
    """Send a text in parts as a transmitter; the ids of its responses."""
    ids: list[bytes] = []
    client = smpplib.client.Client("127.0.0.1", port, timeout=DEADLINE_S, allow_unknown_opt_params=True)
    client.set_message_sent_handler(lambda pdu: ids.append(pdu.message_id))
    client.connect()
    client.bind_transmitter(system_id="demo", password="demo")
    parts, coding, esm_class = smpplib.gsm.make_parts(text)
    for part in parts:
        client.send_message(
            source_addr_ton=smpplib.consts.SMPP_TON_NWSPEC,
            source_addr="38200",
            dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
            dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
            destination_addr=PHONE,
            short_message=part,
            data_coding=coding,
            esm_class=esm_class,
            registered_delivery=True,
        )
    while len(ids) < len(parts):
        client.read_once()
    client.unbind()
    client.disconnect()
    return ids


def receive(port: int, count: int) -> list[tuple[int, bytes]]:
    """Take so many deliver_sm as a receiver; esm_class and text of each."""
    taken: list[tuple[int, bytes]] = []

    def received(pdu: smpplib.pdu.PDU) -> int:
        taken.append((pdu.esm_class, pdu.short_message))
        return int(smpplib.consts.SMPP_ESME_ROK)

    client = smpplib.client.Client("127.0.0.1", port, timeout=DEADLINE_S, allow_unknown_opt_params=True)
    client.set_message_received_handler(received)
    client.connect()
    client.bind_receiver(system_id="demo", password="demo")
    while len(taken) < count:
        client.read_once()
    client.unbind()
    client.disconnect()
    return taken


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("A text of several parts. " * 18, set()),
        # smpplib cuts UCS-2 wherever the 67th unit happens to be: here between the halves of an emoji.
        ("x" * 66 + "👍" + "y" * 66, {"characters"}),
    ],
    ids=["gsm7", "emoji"],
)
async def test_smpplib_sends_on_one_bind_and_hears_on_another(
    nursery: trio.Nursery, text: str, faults: set[str]
) -> None:
    simulator, trace = Simulator(), Trace()
    simulator.behave(receipt_delay=0.05, receipt_bind="any")
    await nursery.start(simulator.run)
    await nursery.start(Witness(simulator, trace).run)
    port = await simulator.listen()
    parts = len(smpplib.gsm.make_parts(text)[0])
    taken: list[tuple[int, bytes]] = []

    async def hear() -> None:
        taken.extend(await trio.to_thread.run_sync(partial(receive, port, parts + 1)))

    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as clients:
            clients.start_soon(hear)
            await simulator.until(lambda: any(session.receives for session in simulator.sessions))
            ids = await trio.to_thread.run_sync(partial(transmit, port, text))
            [message] = await simulator.handset(PHONE).wait()
            assert message.text == text
            simulator.handset(PHONE).reply(REPLY)
    receipts = [said for esm_class, said in taken if esm_class & 0x04]
    assert all(any(given in said for said in receipts) for given in ids)
    assert [said for esm_class, said in taken if not esm_class & 0x04] == [smpplib.gsm.gsm_encode(REPLY)]
    rows = judge(rules(Contract()), trace)
    assert {row.rule.id for row in rows if row.verdict is Verdict.WRONG} == faults
