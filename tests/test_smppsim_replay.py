"""smppsim.replay: one side of a capture played again, on virtual time."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair
from typer.testing import CliRunner

from engine.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Pdu,
    QuerySm,
    QuerySmResp,
    Status,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    decode,
    encode,
    peek,
)
from smppsim.capture.conversations import Conversation, Said, conversations
from smppsim.capture.packets import Endpoint
from smppsim.capture.pcap import file_header, read
from smppsim.capture.recorder import record_log
from smppsim.cli import app
from smppsim.replay.command import play
from smppsim.replay.player import Login, Outcome, Player
from smppsim.replay.script import Side, script_of
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, bound, submit_sm

ENDS = Endpoint("192.0.2.1", 1024), Endpoint("198.51.100.1", 2775)
LOGIN = Login(password="demo")
Spoken = tuple[float, str, Pdu, int] | tuple[float, str, Pdu, int, int]


def conversation(*rows: Spoken) -> Conversation:
    """Spoken at a second, by `esme` or `smsc`: a PDU, its sequence number, its status."""
    said = [
        Said(round(at * 1_000_000), who == "esme", encode(pdu, sequence, *status))
        for at, who, pdu, sequence, *status in rows
    ]
    return Conversation(*ENDS, tuple(said))


BOUND: tuple[Spoken, ...] = (
    (0.0, "esme", BindTransceiver(b"demo", b"********"), 100),
    (0.1, "smsc", BindTransceiverResp(b"SMSC"), 100),
)


def player(*rows: Spoken, side: Side = Side.esme, speed: float = 1.0, login: Login | None = None) -> Player:
    made = Player(script_of(conversation(*rows), side), speed=speed, login=login)
    made.begin(0.0)
    return made


def said(frames: list[bytes]) -> list[tuple[Pdu, int]]:
    return [(decode(frame)[1], peek(frame).sequence_number) for frame in frames]


def test_requests_go_out_when_they_did_under_new_numbers() -> None:
    played = player(*BOUND, (2.0, "esme", submit_sm("a"), 7), (2.0, "smsc", SubmitSmResp(b"x"), 7), login=LOGIN)
    assert said(played.due(0.0)) == [(BindTransceiver(b"demo", b"demo"), 1)]
    assert played.next_due == math.inf  # nothing before the bind is answered
    assert played.due(5.0) == []
    played.received(encode(BindTransceiverResp(b"SMSC"), 1), 0.5)
    assert (played.next_due, played.due(1.9)) == (2.0, [])
    assert said(played.due(2.0)) == [(submit_sm("a"), 2)]
    assert not played.done
    played.received(encode(SubmitSmResp(b"y"), 2), 2.1)
    assert played.done
    assert played.finish() == Outcome(sent=2, as_before=2)


def test_time_is_compressed_and_without_it_no_more_is_asked_at_a_time_than_then() -> None:
    rows: tuple[Spoken, ...] = (
        *BOUND,
        (10.0, "esme", submit_sm("a"), 1),
        (10.0, "esme", submit_sm("b"), 2),
        (10.5, "smsc", SubmitSmResp(b"x"), 1),
        (10.5, "smsc", SubmitSmResp(b"y"), 2),
        (20.0, "esme", submit_sm("c"), 3),
        (20.5, "smsc", SubmitSmResp(b"z"), 3),
    )
    quick = player(*rows, speed=10)
    quick.due(0.0)
    quick.received(encode(BindTransceiverResp(), 1), 0.0)
    assert quick.next_due == 1.0
    assert len(quick.due(1.0)) == 2
    assert quick.next_due == 2.0
    at_once = player(*rows, speed=math.inf)
    at_once.due(0.0)
    at_once.received(encode(BindTransceiverResp(), 1), 0.0)
    assert [number for _, number in said(at_once.due(0.0))] == [2, 3]
    assert at_once.next_due == math.inf
    at_once.received(encode(SubmitSmResp(b"x"), 2), 0.0)
    assert [number for _, number in said(at_once.due(0.0))] == [4]


def test_ids_that_were_given_then_become_those_that_are_given_now() -> None:
    played = player(
        *BOUND,
        (1.0, "esme", submit_sm("a"), 2),
        (1.1, "smsc", SubmitSmResp(b"then"), 2),
        (2.0, "esme", QuerySm(b"then"), 3),
        (2.1, "smsc", QuerySmResp(b"then"), 3),
        (3.0, "esme", QuerySm(b"another"), 4),
        (3.1, "smsc", QuerySmResp(b"another"), 4),
    )
    played.due(0.0)
    played.received(encode(BindTransceiverResp(), 1), 0.0)
    played.due(1.0)
    played.received(encode(SubmitSmResp(b"now"), 2), 1.0)
    assert [pdu for pdu, _ in said(played.due(3.0))] == [QuerySm(b"now"), QuerySm(b"another")]


def test_what_is_answered_otherwise_or_not_at_all_is_told() -> None:
    played = player(
        *BOUND,
        (1.0, "esme", submit_sm("a"), 2),
        (1.1, "smsc", SubmitSmResp(b"x"), 2),
        (1.0, "esme", submit_sm("b"), 3),
        (1.0, "esme", submit_sm("c"), 4),
        (1.1, "smsc", SubmitSmResp(b"z"), 4),
    )
    played.due(0.0)
    played.received(encode(BindTransceiverResp(), 1), 0.0)
    played.due(1.0)
    played.received(encode(SubmitSmResp(), 2, Status.ESME_RTHROTTLED), 1.0)
    played.received(encode(SubmitSmResp(b"y"), 3), 1.0)
    played.received(encode(SubmitSmResp(b"y"), 77), 1.0)
    outcome = played.finish()
    assert outcome.different == [
        "submit_sm 2: ESME_ROK then, ESME_RTHROTTLED now",
        "submit_sm 3: no answer then, ESME_ROK now",
    ]
    assert outcome.unanswered == ["submit_sm 4"]
    assert (outcome.sent, outcome.as_before, outcome.same) == (4, 1, False)


def test_a_refused_bind_ends_the_replay() -> None:
    played = player(*BOUND, (1.0, "esme", submit_sm("a"), 2))
    played.due(0.0)
    played.received(encode(BindTransceiverResp(), 1, Status.ESME_RINVPASWD), 0.0)
    assert played.done
    assert played.finish().ended == "the bind was refused: ESME_RINVPASWD"


def test_the_other_sides_requests_get_the_answers_of_then_under_the_numbers_of_now() -> None:
    played = player(
        *BOUND,
        (1.0, "smsc", DeliverSm(short_message=b"1"), 900),
        (1.5, "esme", DeliverSmResp(), 900, Status.ESME_RX_T_APPN),
        (2.0, "smsc", DeliverSm(short_message=b"2"), 901),
        (3.0, "smsc", DeliverSm(short_message=b"3"), 902),
        (3.1, "esme", DeliverSmResp(), 902),
    )
    played.due(0.0)
    played.received(encode(BindTransceiverResp(), 1), 0.0)
    assert not played.done  # two answers are owed
    for number in (41, 42, 43):
        played.received(encode(DeliverSm(), number), 7.0)
    first, second = (peek(frame) for frame in played.due(8.0))
    assert (first.sequence_number, first.command_status) == (43, 0)  # it took a tenth, the other half a second
    assert (second.sequence_number, second.command_status) == (41, Status.ESME_RX_T_APPN)
    assert played.done
    assert played.outcome.unscripted == 0


def test_what_the_capture_does_not_hold_is_answered_politely_or_refused() -> None:
    played = player(*BOUND, side=Side.smsc)
    for pdu in (EnquireLink(), Unbind(), SubmitSm()):
        played.received(encode(pdu, 5), 0.0)
    played.received(bytes.fromhex("00000010 00000777 00000000 00000005"), 0.0)
    played.received(b"short", 0.0)
    answers = [(decode(frame)[1], peek(frame).command_status) for frame in played.due(0.0)]
    assert answers == [
        (EnquireLinkResp(), 0),
        (UnbindResp(), 0),
        (SubmitSmResp(), Status.ESME_RSYSERR),
        (GenericNack(), Status.ESME_RINVCMDID),
    ]
    assert played.outcome.unscripted == 4


def test_damaged_octets_are_sent_as_they_were() -> None:
    broken = encode(submit_sm("a"), 9)[:40]
    torn = b"\0\0"
    rows = (Said(0, True, torn), Said(0, True, broken))
    played = Player(script_of(Conversation(*ENDS, rows), Side.esme))
    played.begin(0.0)
    assert played.due(0.0) == [torn, broken[:12] + b"\0\0\0\1" + broken[16:]]


def test_nothing_is_said_of_an_empty_conversation() -> None:
    assert Player(script_of(Conversation(*ENDS, ()), Side.esme)).done


# -- against the simulator --------------------------------------------------------------------------------------


async def lived(simulator: Simulator) -> Conversation:
    """Some traffic, as captured."""
    simulator.behave(receipt_delay=1)
    client = await bound(simulator)
    await client.ask(submit_sm("first"))
    await trio.sleep(5)
    await client.deliver_sm()
    await client.ask(submit_sm("second", registered_delivery=0))
    message_id = next(reversed(list(simulator.smsc.messages))).message_id
    await client.ask(QuerySm(message_id, 0, 0, b"38200"))
    await trio.sleep(5)
    await client.ask(Unbind())
    await client.ended()
    log = simulator.smsc.log
    (conversation,) = conversations(read(file_header() + b"".join(record_log(log, log.connections, 0))))
    return conversation


@pytest.mark.parametrize(("speed", "took"), [(1.0, 10.0), (10.0, 1.0)])
async def test_a_capture_is_lived_again(
    autojump_clock: MockClock, nursery: trio.Nursery, speed: float, took: float
) -> None:
    first, second = Simulator(seed=1), Simulator(seed=2)
    await nursery.start(first.run)
    await nursery.start(second.run)
    captured = await lived(first)
    begun = trio.current_time()
    replayed = Player(script_of(captured, Side.esme), speed=speed, login=LOGIN)
    await play(replayed, second.connect(), 30)
    assert trio.current_time() - begun == pytest.approx(took)
    outcome = replayed.finish()
    assert outcome == Outcome(sent=5, as_before=5)
    assert second.deliveries() == first.deliveries()
    asked = [[peek(row.frame).command_id for row in each.pdus if row.direction == "in"] for each in (first, second)]
    assert sorted(asked[0]) == sorted(asked[1])


async def test_the_smscs_side_answers_a_client_as_it_did(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    first = Simulator()
    await nursery.start(first.run)
    captured = await lived(first)
    ours, theirs = memory_stream_pair()
    replayed = Player(script_of(captured, Side.smsc))
    nursery.start_soon(play, replayed, theirs, 30)
    client = Client(ours)
    header, answer = await client.ask(BindTransceiver(b"whoever"))
    assert (header.sequence_number, answer.system_id) == (1, b"SMPPSIM")  # type: ignore[union-attr]
    await client.send(submit_sm("mine"), sequence=77)
    header, answer = await client.receive()
    assert header.sequence_number == 77
    assert answer.message_id == next(iter(first.smsc.messages)).message_id  # type: ignore[union-attr]
    receipt = await client.deliver_sm()
    assert receipt.short_message.startswith(b"id:" + answer.message_id)  # type: ignore[union-attr]


async def test_a_side_that_goes_away_or_falls_silent_ends_the_replay(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    rows: tuple[Spoken, ...] = (*BOUND, (9.0, "esme", submit_sm("a"), 2), (9.1, "smsc", SubmitSmResp(b"x"), 2))
    ours, theirs = memory_stream_pair()
    gone = Player(script_of(conversation(*rows), Side.esme))
    await theirs.aclose()
    await play(gone, ours, 30)
    assert "closed the connection" in gone.finish().ended
    silent = Player(script_of(conversation(*rows), Side.esme))
    ours, _kept_open = memory_stream_pair()
    begun = trio.current_time()
    await play(silent, ours, 30)
    assert trio.current_time() - begun == 30
    assert silent.finish().unanswered == ["bind_transceiver 100"]


# -- the command ------------------------------------------------------------------------------------------------

RUNNER = CliRunner()


@pytest.mark.real
def test_the_command_plays_a_file_to_a_listening_smsc(tmp_path: Path) -> None:
    file = tmp_path / "some.pcap"

    async def capture() -> bytes:
        async with trio.open_nursery() as nursery:
            simulator = Simulator()
            await nursery.start(simulator.run)
            await lived(simulator)
            nursery.cancel_scope.cancel()
        log = simulator.smsc.log
        return file_header() + b"".join(record_log(log, log.connections, 0))

    file.write_bytes(trio.run(capture, clock=MockClock(autojump_threshold=0)))
    listed = RUNNER.invoke(app, ["replay", str(file), "--list"])
    assert "192.0.2.2:1024" in listed.stdout

    async def against() -> int:
        async with trio.open_nursery() as nursery:
            simulator = Simulator()
            await nursery.start(simulator.run)
            port = await simulator.listen()
            command = ["replay", str(file), "--to", f"127.0.0.1:{port}", "--at-once", "--password", "demo", "--json"]
            with trio.fail_after(60):
                ran = await trio.to_thread.run_sync(lambda: RUNNER.invoke(app, command))
            nursery.cancel_scope.cancel()
        (outcome,) = json.loads(ran.stdout)
        assert (outcome["sent"], outcome["as_before"], outcome["different"]) == (5, 5, [])
        return ran.exit_code

    assert trio.run(against) == 0


def test_the_command_says_what_is_wrong_with_how_it_was_called(tmp_path: Path) -> None:
    nothing, empty = tmp_path / "nothing.pcap", tmp_path / "empty.pcap"
    nothing.write_bytes(b"not a capture")
    empty.write_bytes(file_header())
    for arguments, code, words in (
        ([str(nothing), "--list"], 2, "neither pcap nor pcapng"),
        ([str(empty), "--to", "127.0.0.1:1"], 2, "no such SMPP connection"),
        ([str(tmp_path / "absent.pcap")], 2, "does not exist"),
    ):
        ran = RUNNER.invoke(app, ["replay", *arguments])
        assert (ran.exit_code, words in ran.output) == (code, True), ran.output
