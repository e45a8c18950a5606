"""smppsim.smsc, session and accounts on virtual time: binding, limits, timers, malformed octets, ends of links."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from engine.smpp.pdu import (
    BindReceiver,
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    BroadcastSm,
    CancelSm,
    DataSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    QuerySm,
    Status,
    SubmitMulti,
    SubmitSmResp,
    Tag,
    Unbind,
    UnbindResp,
    commands,
    encode,
    tlv,
)
from smppsim import faults
from smppsim.behaviour import Cut
from smppsim.faults import Drop, Ghost, Mute, Raw, RefuseBinds, RefuseConnections
from smppsim.scenario import Scenario
from smppsim.simulator import Simulator
from smppsim.smsc import Smsc
from tests.smppsim_client import Bind, Client, bound, submit_sm


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator(seed=1)
    await nursery.start(simulator.run)
    return simulator


# -- binding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bind", [BindTransmitter, BindReceiver, BindTransceiver])
async def test_a_bind_is_answered_by_smppsim_with_its_version(
    autojump_clock: MockClock, simulator: Simulator, bind: Bind
) -> None:
    client = Client(simulator.connect())
    header, answer = await client.ask(bind(b"demo", b"demo"))
    assert (header.command_id, header.command_status) == (bind.command_id | commands.RESPONSE, 0)
    assert isinstance(answer, (BindTransceiverResp, BindReceiverResp, BindTransmitterResp))
    assert answer.system_id == b"SMPPSIM"
    assert tlv(answer.tlvs, Tag.SC_INTERFACE_VERSION) == b"\x34"


@pytest.mark.parametrize(("version", "told"), [(0x33, None), (0x34, b"\x34"), (0x50, b"\x50")])
async def test_peers_of_3_3_hear_no_version_and_peers_of_5_0_their_own(
    autojump_clock: MockClock, simulator: Simulator, version: int, told: bytes | None
) -> None:
    client = Client(simulator.connect())
    _, answer = await client.ask(BindTransceiver(b"demo", b"demo", interface_version=version))
    assert isinstance(answer, BindTransceiverResp)
    assert (answer.system_id, tlv(answer.tlvs, Tag.SC_INTERFACE_VERSION)) == (b"SMPPSIM", told)


async def test_a_peer_of_3_3_gets_receipts_without_tlvs(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator, version=0x33)
    await client.ask(submit_sm())
    receipt = await client.deliver_sm()
    assert receipt.tlvs == ()
    assert b"stat:DELIVRD" in receipt.short_message


@pytest.mark.parametrize(("name", "password"), [(b"nobody", b"demo"), (b"demo", b"wrong")])
async def test_an_unknown_name_and_a_wrong_password_get_one_answer(
    autojump_clock: MockClock, simulator: Simulator, name: bytes, password: bytes
) -> None:
    """H2: the same answer at the same moment."""
    client = Client(simulator.connect())
    header, _ = await client.ask(BindTransceiver(name, password))
    assert header.command_status == Status.ESME_RINVPASWD
    assert trio.current_time() == 0
    assert simulator.stats.binds_refused == 1


async def test_a_connection_without_a_bind_is_closed_after_ten_seconds(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    """H1: the session init timer."""
    client = Client(simulator.connect())
    assert await client.ended()
    assert trio.current_time() == 10


async def test_a_bind_above_the_limit_is_refused_and_a_place_is_free_after_unbind(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    """H6: the same system_id binds too often."""
    simulator.link(max_binds=1)
    first = await bound(simulator)
    second = Client(simulator.connect())
    header, _ = await second.ask(BindTransceiver(b"demo", b"demo"))
    assert header.command_status == Status.ESME_RALYBND
    await first.ask(Unbind())
    assert (await second.ask(BindTransceiver(b"demo", b"demo")))[0].command_status == 0


async def test_a_second_bind_on_one_session_is_refused(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    header, _ = await client.ask(BindReceiver(b"demo", b"demo"))
    assert (header.command_id, header.command_status) == (commands.BIND_RECEIVER_RESP, Status.ESME_RALYBND)


async def test_a_lost_session_leaves_a_ghost_and_an_unbound_one_does_not(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.link(max_binds=1, ghost_s=120)
    client = await bound(simulator)
    await client.stream.aclose()
    await simulator.until(lambda: not simulator.sessions)
    again = Client(simulator.connect())
    assert (await again.ask(BindTransceiver(b"demo", b"demo")))[0].command_status == Status.ESME_RALYBND
    await trio.sleep(120)
    later = await bound(simulator)
    await later.ask(Unbind())
    await bound(simulator)


async def test_binds_are_refused_with_a_status_for_a_while(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.cause(RefuseBinds(status=Status.ESME_RINVSYSID, for_s=60))
    client = Client(simulator.connect())
    assert (await client.ask(BindTransceiver(b"demo", b"demo")))[0].command_status == Status.ESME_RINVSYSID
    await trio.sleep(61)
    await bound(simulator)


async def test_a_bind_may_be_answered_late_or_never(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.link(bind_delay=7)
    await bound(simulator)
    assert trio.current_time() == 7
    simulator.link(bind_response="never")
    client = Client(simulator.connect())
    await client.send(BindTransceiver(b"demo", b"demo"))
    assert await client.ended()
    assert trio.current_time() == 17


async def test_the_answering_name_and_version_are_settings(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.link(system_id="OTHER", interface_version=None)
    client = Client(simulator.connect())
    _, answer = await client.ask(BindTransceiver(b"demo", b"demo"))
    assert answer == BindTransceiverResp(b"OTHER")


# -- what is legal when ---------------------------------------------------------------------------------------


async def test_submits_before_the_bind_get_0x04_and_then_the_end(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    """H3: submit before bind."""
    client = Client(simulator.connect())
    for _ in range(3):
        header, _ = await client.ask(submit_sm())
        assert (header.command_id, header.command_status) == (
            commands.SUBMIT_SM_RESP,
            Status.ESME_RINVBNDSTS,
        )
    assert await client.ended()
    assert simulator.stats.submits == 0


async def test_a_receiver_may_not_submit(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator, BindReceiver)
    assert (await client.ask(submit_sm()))[0].command_status == Status.ESME_RINVBNDSTS
    assert (await client.ask(EnquireLink()))[1] == EnquireLinkResp()


async def test_enquire_link_is_answered_with_its_own_number_unless_told_otherwise(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = Client(simulator.connect())
    await client.send(EnquireLink(), sequence=0x7FFFFFFF)
    header, _ = await client.receive()
    assert (header.command_id, header.sequence_number) == (commands.ENQUIRE_LINK_RESP, 0x7FFFFFFF)
    client = await bound(simulator)
    simulator.link(enquire_link="ignored")
    await client.send(EnquireLink())
    assert await client.nothing_for(60)


async def test_the_simulator_asks_enquire_link_on_an_idle_session(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.link(enquire_every_s=30)
    client = await bound(simulator)
    for asked in (30, 60):
        header, pdu = await client.receive()
        assert isinstance(pdu, EnquireLink)
        assert trio.current_time() == asked
        await client.send(EnquireLinkResp(), header.sequence_number)
    await client.stream.aclose()
    await trio.sleep(100)
    assert simulator.stats.unexpected_responses == 0


async def test_unbind_is_answered_and_the_link_closed_unless_it_is_ignored(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    header, answer = await client.ask(Unbind())
    assert (header.command_status, answer) == (0, UnbindResp())
    assert await client.ended()
    assert simulator.sessions == []
    simulator.link(unbind="ignored")
    client = await bound(simulator)
    await client.send(Unbind())
    assert await client.nothing_for(30)


async def test_an_unsolicited_unbind_still_lets_responses_through_and_then_closes(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(response_delay=1)
    client = await bound(simulator)
    await client.send(submit_sm(registered_delivery=0))
    await simulator.until(lambda: simulator.stats.submits)
    assert simulator.cause(faults.Unbind()) == 1
    header, pdu = await client.receive()
    assert isinstance(pdu, Unbind)
    assert isinstance((await client.receive())[1], SubmitSmResp)
    await client.send(UnbindResp(), header.sequence_number)
    assert await client.ended()


# -- octets ---------------------------------------------------------------------------------------------------


async def test_octet_by_octet_is_the_same_as_all_at_once(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = Client(simulator.connect())
    frames = encode(BindTransceiver(b"demo", b"demo"), 1) + encode(submit_sm(registered_delivery=0), 2)
    for octet in frames:
        await client.stream.send_all(bytes((octet,)))
    assert (await client.receive())[0].command_id == commands.BIND_TRANSCEIVER_RESP
    assert (await client.receive())[0].command_id == commands.SUBMIT_SM_RESP


async def test_a_thousand_pdus_in_one_chunk_are_answered_in_order(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    pdu = submit_sm(registered_delivery=0)
    await client.stream.send_all(b"".join(encode(pdu, number) for number in range(2, 1002)))
    assert [(await client.receive())[0].sequence_number for _ in range(1000)] == list(range(2, 1002))


@pytest.mark.parametrize("length", [0, 1, 15, 70_001, 2**31, 2**32 - 1])
async def test_an_impossible_length_is_nacked_and_the_link_closed(
    autojump_clock: MockClock, simulator: Simulator, length: int
) -> None:
    client = await bound(simulator)
    good = encode(EnquireLink(), 9)
    await client.stream.send_all(good + length.to_bytes(4, "big") + bytes(12))
    assert (await client.receive())[0].sequence_number == 9
    header, pdu = await client.receive()
    assert (pdu, header.command_status) == (GenericNack(), Status.ESME_RINVCMDLEN)
    assert await client.ended()


async def test_an_unknown_command_is_nacked_and_the_session_stays(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    await client.stream.send_all(bytes.fromhex("00000010000009990000000000000007"))
    header, pdu = await client.receive()
    assert (pdu, header.command_status, header.sequence_number) == (GenericNack(), Status.ESME_RINVCMDID, 7)
    header, _ = await client.ask(BroadcastSm())
    assert header.command_status == Status.ESME_RINVCMDID
    assert (await client.ask(EnquireLink()))[1] == EnquireLinkResp()


async def test_a_malformed_submit_gets_its_own_response_and_the_session_stays(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    frame = encode(submit_sm(destination=b"3" * 20), 5).replace(b"3" * 20 + b"\0", b"3" * 21)
    await client.stream.send_all(frame)
    header, _ = await client.receive()
    assert (header.command_id, header.command_status) == (commands.SUBMIT_SM_RESP, Status.ESME_RINVDSTADR)
    assert (await client.ask(EnquireLink()))[1] == EnquireLinkResp()


async def test_unexpected_responses_and_one_way_pdus_are_counted_and_not_answered(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    for pdu in (DeliverSmResp(), SubmitSmResp(b"1"), UnbindResp(), EnquireLinkResp(), GenericNack()):
        await client.send(pdu, 77)
    _, answer = await client.ask(EnquireLink())
    assert answer == EnquireLinkResp()
    assert simulator.stats.unexpected_responses == 5


@settings(max_examples=150)
@given(st.data())
def test_no_octets_whatever_raise(data: st.DataObject) -> None:
    smsc = Smsc(Scenario(), 0, lambda: 1_767_225_600_000_000)
    session = smsc.connected("", 0.0)
    if data.draw(st.booleans()):
        smsc.receive(session, encode(BindTransceiver(b"demo", b"demo"), 1), 0.0)
    pdus: list[Pdu] = [submit_sm(), DataSm(), SubmitMulti(), QuerySm(), Outbind(), CancelSm(), Unbind()]
    frame = bytearray(encode(data.draw(st.sampled_from(pdus)), 2))
    for _ in range(data.draw(st.integers(0, 4))):
        frame[data.draw(st.integers(4, len(frame) - 1))] = data.draw(st.integers(0, 255))
    junk = data.draw(st.binary(max_size=40))
    smsc.receive(session, bytes(frame) + junk, 0.0)
    smsc.agenda.run(1e9, 1000)


# -- ends of links --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [Cut.close, Cut.reset])
async def test_a_dropped_link_ends_and_frees_its_place(
    autojump_clock: MockClock, simulator: Simulator, how: Cut
) -> None:
    client = await bound(simulator)
    assert simulator.cause(Drop(how=how)) == 1
    assert await client.ended()
    assert simulator.account("demo").sessions == []
    assert simulator.stats.sessions_lost == 1


@pytest.mark.parametrize("how", [Cut.black_hole, Cut.stall])
async def test_a_silent_link_stands_and_answers_nothing(
    autojump_clock: MockClock, simulator: Simulator, how: Cut
) -> None:
    client = await bound(simulator)
    simulator.cause(Drop(account="demo", how=how))
    await client.send(EnquireLink())
    await client.send(submit_sm())
    assert await client.nothing_for(3600)
    assert simulator.stats.submits == 0
    assert len(simulator.account("demo").sessions) == 1


async def test_a_muted_link_goes_on_as_if_nothing_had_been(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    simulator.cause(Mute(for_s=20))
    assert (await client.ask(EnquireLink()))[1] == EnquireLinkResp()
    assert trio.current_time() == 20


async def test_faults_hit_the_links_they_name(autojump_clock: MockClock, simulator: Simulator) -> None:
    one, two = await bound(simulator), await bound(simulator)
    assert simulator.cause(Drop(session=simulator.sessions[0].number)) == 1
    assert await one.ended()
    assert (await two.ask(EnquireLink()))[1] == EnquireLinkResp()
    with pytest.raises(KeyError):
        simulator.cause(Drop(account="nobody"))


async def test_a_ghost_account_answers_already_bound_for_a_while(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.cause(Ghost(for_s=120))
    assert await client.ended()
    again = Client(simulator.connect())
    assert (await again.ask(BindTransceiver(b"demo", b"demo")))[0].command_status == Status.ESME_RALYBND
    await trio.sleep(121)
    await bound(simulator)


async def test_connections_can_be_refused(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.cause(RefuseConnections(for_s=1e6))
    with pytest.raises(ConnectionRefusedError):
        simulator.connect()


async def test_any_octets_can_be_written_onto_a_link(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    simulator.cause(Raw.of(encode(GenericNack(), 0, Status.ESME_RSYSERR)))
    header, _ = await client.receive()
    assert (header.command_id, header.sequence_number) == (commands.GENERIC_NACK, 0)
