"""smppsim.mangling: what the faults make of frames, as octets and as a client sees it."""

from __future__ import annotations

import random

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from engine.smpp.errors import CodecError, FramingError
from engine.smpp.pdu import (
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    FrameBuffer,
    GenericNack,
    Header,
    Status,
    SubmitSmResp,
    Tag,
    commands,
    decode,
    decode_flagged,
    encode,
    encode_submit_sm_resp,
    peek,
    tlv,
)
from smppsim.behaviour import Cut
from smppsim.faults import (
    BrokenTlvs,
    Corrupt,
    Dribble,
    ForeignOctets,
    FrameFault,
    Nack,
    ResetMidPdu,
    StopMidPdu,
    Truncate,
    UnknownCommand,
    WrongLength,
    WrongSequence,
)
from smppsim.mangling import Pause, damaged, paced
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, bound, submit_sm

RESPONSE = encode_submit_sm_resp(7, 0, b"4711")
RECEIPT = encode(DeliverSm(destination_addr=b"38200", short_message=b"id:4711 stat:DELIVRD"), 9)


def dice() -> random.Random:
    return random.Random(1)


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


# -- frames -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "length"),
    [(WrongLength(length=4), 4), (WrongLength(length=0xFFFF_FFFF), 0xFFFF_FFFF), (WrongLength(by=-3), 18)],
)
def test_the_length_is_a_lie_and_the_rest_stays(fault: WrongLength, length: int) -> None:
    assert damaged(fault, RESPONSE, dice()) == length.to_bytes(4, "big") + RESPONSE[4:]


def test_a_short_length_loses_the_stream_and_a_long_one_waits_for_ever() -> None:
    with pytest.raises(FramingError):
        FrameBuffer().feed(damaged(WrongLength(length=15), RESPONSE, dice()))
    assert FrameBuffer().feed(damaged(WrongLength(by=1), RESPONSE, dice())) == []


def test_command_and_sequence_are_replaced_in_the_header_alone() -> None:
    unknown = damaged(UnknownCommand(command_id=0x999), RESPONSE, dice())
    assert (peek(unknown), unknown[16:]) == (Header(21, 0x999, 0, 7), RESPONSE[16:])
    assert peek(damaged(WrongSequence(by=5), RESPONSE, dice())).sequence_number == 12
    assert peek(damaged(WrongSequence(by=-8), RESPONSE, dice())).sequence_number == 0xFFFF_FFFF


def test_a_nack_keeps_the_request_number_or_says_zero() -> None:
    assert decode(damaged(Nack(status="0x08"), RESPONSE, dice())) == (  # type: ignore[arg-type]
        Header(16, commands.GENERIC_NACK, 8, 7),
        GenericNack(),
    )
    assert peek(damaged(Nack(sequence="zero"), RESPONSE, dice())).sequence_number == 0


@pytest.mark.parametrize("how", ["overrun", "half_head"])
def test_parameters_that_run_past_the_end_are_refused_by_a_codec(how: str) -> None:
    frame = damaged(BrokenTlvs(how=how), RECEIPT, dice())  # type: ignore[arg-type]
    assert peek(frame).command_length == len(frame)
    with pytest.raises(CodecError) as caught:
        decode(frame)
    assert caught.value.status == Status.ESME_RINVOPTPARSTREAM


def test_parameters_that_are_only_odd_are_read_with_a_flag() -> None:
    _, pdu, flags = decode_flagged(damaged(BrokenTlvs(how="wrong_length"), RECEIPT, dice()))
    assert tlv(pdu.tlvs, Tag.MESSAGE_STATE) is None
    assert flags
    assert len(decode(damaged(BrokenTlvs(how="repeated"), RECEIPT, dice()))[1].tlvs) == 2
    assert tlv(decode(damaged(BrokenTlvs(how="unknown"), RECEIPT, dice()))[1].tlvs, 0x1400) == b"42"


def test_a_truncated_body_has_an_honest_length() -> None:
    assert damaged(Truncate(octets=2), RESPONSE, dice()) == (19).to_bytes(4, "big") + RESPONSE[4:19]
    assert len(damaged(Truncate(octets=999), RESPONSE, dice())) == 16


def test_chance_spares_the_length_and_comes_from_the_seed() -> None:
    once, again = (damaged(Corrupt(octets=3), RECEIPT, dice()) for _ in range(2))
    assert once == again != RECEIPT
    assert (once[:4], len(once)) == (RECEIPT[:4], len(RECEIPT))


def test_other_protocols_take_the_place_of_a_pdu() -> None:
    assert damaged(ForeignOctets(), RESPONSE, dice()).startswith(b"HTTP/1.1 400 ")
    assert damaged(ForeignOctets(protocol="tls"), RESPONSE, dice())[:2] == b"\x15\x03"
    assert damaged(ForeignOctets(protocol="noise"), RESPONSE, dice()) != RESPONSE


def test_pace_is_octets_pauses_and_ends() -> None:
    assert paced(Dribble(octets=2, every_s=3), b"abc") == [b"ab", Pause(3), b"c", Pause(3)]
    assert paced(StopMidPdu(after=1), b"abc") == [b"a", Cut.black_hole]
    assert paced(StopMidPdu(after=1, pause_s=5), b"abc") == [b"a", Pause(5), b"bc"]
    assert paced(ResetMidPdu(after=2), b"abc") == [b"ab", Cut.reset]
    assert paced(Nack(), b"abc") == [b"abc"]


# -- on the wire --------------------------------------------------------------------------------------------------


async def test_the_next_pdu_alone_is_hit_unless_more_are_asked_for(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    assert simulator.cause(WrongSequence(by=100)) == 1
    numbers = [(await client.ask(EnquireLink()))[0].sequence_number for _ in range(2)]
    assert numbers == [102, 3]
    simulator.cause(WrongSequence(by=100, times=2))
    assert [(await client.ask(EnquireLink()))[0].sequence_number for _ in range(3)] == [104, 105, 6]
    simulator.cause(WrongSequence(by=100, for_s=10))
    assert [(await client.ask(EnquireLink()))[0].sequence_number for _ in range(2)] == [107, 108]
    await trio.sleep(10)
    assert (await client.ask(EnquireLink()))[0].sequence_number == 9


async def test_a_fault_waits_for_the_pdu_the_link_and_the_account_that_it_names(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    one, two = await bound(simulator), await bound(simulator)
    second = simulator.sessions[1].number
    simulator.cause(Nack(command="submit_sm_resp", session=second, account="demo"))  # type: ignore[arg-type]
    assert (await two.ask(EnquireLink()))[1] == EnquireLinkResp()
    assert isinstance((await one.ask(submit_sm(registered_delivery=0)))[1], SubmitSmResp)
    assert (await two.ask(submit_sm(registered_delivery=0)))[0] == Header(16, commands.GENERIC_NACK, 3, 3)


async def test_a_share_of_the_pdus_is_hit_by_the_seed(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    simulator.cause(Nack(share=0.5, for_s=1000))
    hit = [(await client.ask(EnquireLink()))[0].command_status for _ in range(40)]
    assert 10 < hit.count(Status.ESME_RINVCMDID) < 30


async def test_connections_of_tomorrow_are_hit_too(autojump_clock: MockClock, simulator: Simulator) -> None:
    assert simulator.cause(ForeignOctets(protocol="http")) == 0
    client = Client(await simulator.dial())
    await client.send(EnquireLink())
    assert (await client.stream.receive_some()).startswith(b"HTTP/1.1")


async def test_octets_dribble_and_the_log_has_what_went_out(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    simulator.cause(Dribble(octets=4, every_s=2))
    await client.send(EnquireLink(), 50)
    arrived = [(await client.stream.receive_some(), trio.current_time()) for _ in range(4)]
    assert [(len(octets), at) for octets, at in arrived] == [(4, 0), (4, 2), (4, 4), (4, 6)]
    assert simulator.pdus[-1].frame == encode(EnquireLinkResp(), 50)


async def test_a_pdu_stops_in_the_middle_for_a_while_or_for_ever(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.cause(StopMidPdu(after=15, pause_s=60))
    assert (await client.ask(EnquireLink()))[1] == EnquireLinkResp()
    assert trio.current_time() == 60
    simulator.cause(StopMidPdu(after=15))
    await client.send(EnquireLink())
    assert len(await client.stream.receive_some()) == 15
    assert await client.nothing_for(3600)
    assert len(simulator.pdus[-1].frame) == 15


async def test_a_link_is_reset_in_the_middle_of_what_we_write(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    simulator.cause(ResetMidPdu(after=3))
    await client.send(EnquireLink())
    assert await client.stream.receive_some() == bytes(3)
    assert await client.ended()
    assert simulator.sessions == []


@pytest.mark.parametrize(("after", "taken"), [(20, False), (200, True)])
async def test_a_link_is_reset_in_the_middle_of_what_we_read(
    autojump_clock: MockClock, simulator: Simulator, after: int, taken: bool
) -> None:
    """B13: what was only half read was never taken."""
    client = await bound(simulator)
    simulator.cause(ResetMidPdu(after=after, direction="in"))
    frame = encode(submit_sm(registered_delivery=0), 2)
    await client.stream.send_all(frame[:19])
    await trio.testing.wait_all_tasks_blocked()
    await client.stream.send_all(frame[19:])
    assert await client.ended() is not taken
    assert simulator.stats.accepted == taken


@pytest.mark.parametrize(
    "fault",
    [
        *(WrongLength(length=length) for length in (0, 15, 0xFFFF_FFFF)),
        UnknownCommand(),
        BrokenTlvs(command=commands.SUBMIT_SM_RESP),
        Truncate(),
        Corrupt(octets=16),
        ForeignOctets(protocol="noise"),
    ],
)
async def test_no_damage_hurts_the_simulator(
    autojump_clock: MockClock, simulator: Simulator, fault: FrameFault
) -> None:
    client = await bound(simulator)
    simulator.cause(fault)
    await client.send(submit_sm(registered_delivery=0))
    assert await client.stream.receive_some()
    assert isinstance((await (await bound(simulator)).ask(submit_sm(registered_delivery=0)))[1], SubmitSmResp)
