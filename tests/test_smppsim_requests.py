"""smppsim.requests and broadcasts: what clients ask besides submit_sm."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import (
    BroadcastSm,
    BroadcastSmResp,
    CancelBroadcastSm,
    CancelSm,
    DataSm,
    DataSmResp,
    DistributionList,
    QueryBroadcastSm,
    QueryBroadcastSmResp,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    SmeAddress,
    Status,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSmResp,
    Tag,
    Tlv,
    UnsuccessSme,
    commands,
    tlv,
    tlv_int,
)
from smppsim.scenario import AccountSettings, Scenario
from smppsim.simulator import Simulator
from tests.smppsim_client import PHONE, SENDER, Client, bound, submit_sm

LISTS = {"friends": ("+33612345611", "+33612345612"), "nobody": ()}
AREA = (Tag.BROADCAST_AREA_IDENTIFIER, b"\x00Paris")
BROADCAST: tuple[Tlv, ...] = (
    AREA,
    (Tag.BROADCAST_CONTENT_TYPE, b"\x00\x00\x10"),
    (Tag.BROADCAST_REP_NUM, b"\x00\x01"),
    (Tag.BROADCAST_FREQUENCY_INTERVAL, b"\x08\x00\x01"),
)


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    account = AccountSettings(system_id="demo", password="demo", distribution_lists=LISTS)
    simulator = Simulator(Scenario(accounts=(account,)))
    await nursery.start(simulator.run)
    return simulator


def phones(*last: int) -> tuple[SmeAddress, ...]:
    return tuple(SmeAddress(1, 1, b"336123456%02d" % number) for number in last)


def multi(*destinations: SmeAddress | DistributionList, **fields: object) -> SubmitMulti:
    fields = {"source_addr": SENDER, "short_message": b"to all", "registered_delivery": 1, **fields}
    return SubmitMulti(dest_addresses=destinations, **fields)  # type: ignore[arg-type]


async def receipts(client: Client, count: int) -> dict[bytes, bytes]:
    """Number → text of the next `count` receipts."""
    found = {}
    for _ in range(count):
        pdu = await client.deliver_sm()
        found[pdu.source_addr] = pdu.short_message
    return found


# -- query_sm, cancel_sm, replace_sm, data_sm ---------------------------------------------------------------------


async def test_a_message_can_be_queried_replaced_and_cancelled_while_it_is_on_its_way(
    autojump_clock: MockClock,
    simulator: Simulator,
) -> None:
    simulator.behave(receipt_delay=60)
    client = await bound(simulator)
    _, answer = await client.ask(submit_sm())
    assert isinstance(answer, SubmitSmResp)
    name = answer.message_id
    _, state = await client.ask(QuerySm(name, source_addr=SENDER))
    assert isinstance(state, QuerySmResp)
    assert (state.message_state, state.final_date) == (1, b"")
    replaced = ReplaceSm(name, source_addr=SENDER, short_message=b"other", registered_delivery=1)
    assert (await client.ask(replaced))[0].command_status == 0
    await client.send(CancelSm(message_id=name, source_addr=SENDER, destination_addr=PHONE))
    receipt = await client.deliver_sm()
    assert b"stat:DELETED" in receipt.short_message
    assert receipt.short_message.endswith(b"text:other")
    assert (await client.receive())[0].command_status == 0
    _, state = await client.ask(QuerySm(name, source_addr=SENDER))
    assert isinstance(state, QuerySmResp)
    assert (state.message_state, len(state.final_date)) == (4, 16)
    assert (await client.ask(replaced))[0].command_status == Status.ESME_RREPLACEFAIL
    cancel = CancelSm(message_id=name, source_addr=SENDER)
    assert (await client.ask(cancel))[0].command_status == Status.ESME_RCANCELFAIL
    assert await client.nothing_for(120)
    assert simulator.handset("+33612345600").messages == []


async def test_unknown_ids_are_refused(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    assert (await client.ask(QuerySm(b"1")))[0].command_status == Status.ESME_RQUERYFAIL
    assert (await client.ask(ReplaceSm(b"1")))[0].command_status == Status.ESME_RINVMSGID
    assert (await client.ask(CancelSm(message_id=b"1")))[0].command_status == Status.ESME_RCANCELFAIL


async def test_cancel_without_an_id_means_all_of_a_source_and_destination(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(receipt_delay=60)
    client = await bound(simulator)
    for phone in (PHONE, PHONE, b"33612345601"):
        await client.ask(submit_sm(destination=phone, registered_delivery=0))
    cancel = CancelSm(source_addr=SENDER, destination_addr=PHONE)
    assert (await client.ask(cancel))[0].command_status == 0
    await trio.sleep(61)
    assert simulator.smsc.handsets.numbers() == ["+33612345601"]


async def test_a_data_sm_is_taken_like_a_submit(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    payload = ((Tag.MESSAGE_PAYLOAD, b"by data sm"),)
    data = DataSm(source_addr=SENDER, destination_addr=PHONE, registered_delivery=1, tlvs=payload)
    header, answer = await client.ask(data)
    assert (header.command_id, header.command_status) == (commands.DATA_SM_RESP, 0)
    assert isinstance(answer, DataSmResp)
    assert (await client.deliver_sm()).short_message.startswith(b"id:" + answer.message_id)
    assert simulator.handset("+33612345600").messages[0].text == "by data sm"


# -- submit_multi -------------------------------------------------------------------------------------------------


async def test_every_destination_gets_the_message_and_a_receipt_under_the_one_id(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    header, answer = await client.ask(multi(*phones(1, 2), DistributionList(b"friends"), *phones(1)))
    assert (header.command_id, header.command_status) == (commands.SUBMIT_MULTI_RESP, 0)
    assert isinstance(answer, SubmitMultiResp)
    assert answer.unsuccess_smes == ()
    told = await receipts(client, 4)
    assert sorted(told) == [b"33612345601", b"33612345602", b"33612345611", b"33612345612"]
    assert all(text.startswith(b"id:" + answer.message_id + b" ") for text in told.values())
    assert await client.nothing_for(60)
    assert [simulator.handset(f"+336123456{n}").messages[0].text for n in ("01", "02", "11", "12")] == ["to all"] * 4
    _, state = await client.ask(QuerySm(answer.message_id, source_addr=SENDER))
    assert isinstance(state, QuerySmResp)
    assert state.message_state == 2


async def test_destinations_that_are_refused_are_listed_with_their_status(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(destination="*02", answers=[{"status": "ESME_RINVDSTADR"}])
    simulator.behave(destination="*03", answers=[{"status": "ESME_RMSGQFUL"}])
    client = await bound(simulator)
    header, answer = await client.ask(multi(*phones(2, 1, 3)))
    assert header.command_status == 0
    assert isinstance(answer, SubmitMultiResp)
    assert answer.unsuccess_smes == (
        UnsuccessSme(1, 1, b"33612345602", Status.ESME_RINVDSTADR),
        UnsuccessSme(1, 1, b"33612345603", Status.ESME_RMSGQFUL),
    )
    assert list(await receipts(client, 1)) == [b"33612345601"]
    assert (simulator.stats.accepted, simulator.stats.refused) == (1, 2)


async def test_where_nothing_is_taken_the_answer_is_the_common_status_or_submit_fail(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(answers=[{"status": "ESME_RINVDSTADR"}])
    simulator.behave(destination="*03", answers=[{"status": "ESME_RMSGQFUL"}])
    client = await bound(simulator)
    assert (await client.ask(multi(*phones(1, 2))))[0].command_status == Status.ESME_RINVDSTADR
    header, _ = await client.ask(multi(*phones(1, 3)))
    assert (header.command_status, header.command_length) == (Status.ESME_RSUBMITFAIL, 16)


async def test_lists_that_are_unknown_or_empty_are_refused(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    for name, status in ((b"enemies", Status.ESME_RINVDLNAME), (b"nobody", Status.ESME_RINVNUMDESTS)):
        assert (await client.ask(multi(DistributionList(name))))[0].command_status == status
    assert simulator.stats.submits == 0


async def test_254_destinations_are_taken_and_255_are_not(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    many = tuple(SmeAddress(1, 1, b"120255501%03d" % number) for number in range(254))
    header, _ = await client.ask(multi(*many, registered_delivery=0))
    assert (header.command_status, simulator.stats.accepted) == (0, 254)
    count = 16 + 1 + 3 + len(SENDER)  # where number_of_dests stands
    frame = bytearray(simulator.pdus[-2].frame)
    assert frame[count] == 254
    frame[count] = 255
    await client.stream.send_all(frame)
    assert (await client.receive())[0].command_status == Status.ESME_RINVNUMDESTS


async def test_a_refused_release_undoes_every_destination(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(response="hold", queue_limit=1)
    client = await bound(simulator)
    await client.send(multi(*phones(1, 2)))
    await simulator.until(lambda: simulator.held)
    simulator.release(status=Status.ESME_RSYSERR)
    assert (await client.receive())[0].command_status == Status.ESME_RSYSERR
    assert (len(simulator.smsc.messages), simulator.account("demo").pending.total()) == (0, 0)
    assert await client.nothing_for(60)


# -- 5.0 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "told"), [(0x50, 95), (0x34, 95), (0x33, None)])
async def test_congestion_is_told_where_behaviour_says_so(
    autojump_clock: MockClock, simulator: Simulator, version: int, told: int | None
) -> None:
    """C11: congestion_state, for peers that read optional parameters."""
    client = await bound(simulator, version=version)
    assert (await client.ask(submit_sm(registered_delivery=0)))[1].tlvs == ()
    simulator.behave(congestion_state=95)
    for pdu in (
        submit_sm(registered_delivery=0),
        DataSm(source_addr=SENDER, destination_addr=PHONE),
        multi(*phones(1), registered_delivery=0),
    ):
        assert tlv_int((await client.ask(pdu))[1].tlvs, Tag.CONGESTION_STATE) == told
    simulator.behave(answers=[{"status": "ESME_RTHROTTLED"}])
    header, answer = await client.ask(submit_sm())
    assert header.command_status == Status.ESME_RTHROTTLED
    assert tlv_int(answer.tlvs, Tag.CONGESTION_STATE) == told


async def test_a_broadcast_is_accepted_queried_replaced_and_cancelled(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator, version=0x50)
    header, answer = await client.ask(BroadcastSm(source_addr=SENDER, tlvs=BROADCAST))
    assert (header.command_id, header.command_status) == (commands.BROADCAST_SM_RESP, 0)
    assert isinstance(answer, BroadcastSmResp)
    name = answer.message_id
    again = BroadcastSm(source_addr=SENDER, message_id=name, replace_if_present_flag=1, tlvs=BROADCAST)
    assert (await client.ask(again))[1] == answer
    _, state = await client.ask(QueryBroadcastSm(name, source_addr=SENDER))
    assert isinstance(state, QueryBroadcastSmResp)
    assert (tlv_int(state.tlvs, Tag.MESSAGE_STATE), tlv(state.tlvs, AREA[0])) == (1, AREA[1])
    assert tlv_int(state.tlvs, Tag.BROADCAST_AREA_SUCCESS) == 100
    assert (await client.ask(CancelBroadcastSm(message_id=name, source_addr=SENDER)))[0].command_status == 0
    _, state = await client.ask(QueryBroadcastSm(name, source_addr=SENDER))
    assert tlv_int(state.tlvs, Tag.MESSAGE_STATE) == 4
    cancelled = (await client.ask(CancelBroadcastSm(message_id=name, source_addr=SENDER)))[0]
    assert cancelled.command_status == Status.ESME_RBCASTCANCELFAIL


async def test_a_broadcast_without_its_area_or_of_an_unknown_id_is_refused(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator, version=0x50)
    for pdu, status in (
        (BroadcastSm(source_addr=SENDER, tlvs=BROADCAST[1:]), Status.ESME_RMISSINGOPTPARAM),
        (BroadcastSm(source_addr=SENDER, message_id=b"B9", tlvs=BROADCAST), Status.ESME_RINVMSGID),
        (QueryBroadcastSm(b"B9", source_addr=SENDER), Status.ESME_RBCASTQUERYFAIL),
        (CancelBroadcastSm(source_addr=SENDER), Status.ESME_RBCASTCANCELFAIL),
    ):
        assert (await client.ask(pdu))[0].command_status == status


async def test_a_peer_of_3_4_has_no_broadcasts(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    header, _ = await client.ask(BroadcastSm(source_addr=SENDER, tlvs=BROADCAST))
    assert (header.command_id, header.command_status) == (commands.BROADCAST_SM_RESP, Status.ESME_RINVCMDID)
