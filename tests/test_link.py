"""One session over a stream: writes with a deadline, reads that wait for nobody, one end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.smpp.errors import NotAllowed, NotEncodable
from engine.smpp.events import Answered, Heard, LossReason, Lost, Unanswered
from engine.smpp.link import Link, LinkOptions, NotWritten
from engine.smpp.options import BindMode
from engine.smpp.pdu import (
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    SubmitSm,
    Unbind,
    UnbindResp,
    commands,
    encode,
)
from engine.smpp.session import Session
from tests.scripted_smsc import Leaky, Pair, Recorder, Reply, ScriptedSmsc, batch, silence
from tests.session_kit import DELIVER, SUBMIT, bind_resp, replaced


class Line:
    """A link that runs, its far end, and what its handler saw."""

    def __init__(self, link: Link, stream: Leaky, smsc: ScriptedSmsc, told: Recorder) -> None:
        self.link = link
        self.stream = stream
        self.smsc = smsc
        self.told = told


@asynccontextmanager
async def linked(
    *,
    script: Mapping[int, Reply] | None = None,
    pair: Pair = trio.testing.memory_stream_pair,
    reading: bool = True,
    wait: bool = True,
    limits: LinkOptions | None = None,
    **options: Any,
) -> AsyncIterator[Line]:
    """A bound link, ended by cancelling."""
    ours, theirs = pair()
    stream, told = Leaky(ours), Recorder()
    session = Session(replaced(**options), now=trio.current_time())
    link = Link(stream, session, told, limits or LinkOptions())
    smsc = ScriptedSmsc(theirs, script or {})
    async with trio.open_nursery() as nursery:
        if reading:
            nursery.start_soon(smsc.run)
        nursery.start_soon(link.run)
        if wait:
            await told.until_bound()
        yield Line(link, stream, smsc, told)
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def stuck_link(limits: LinkOptions | None = None) -> AsyncIterator[Line]:
    """A bound link whose peer reads only when the test does."""
    async with linked(pair=trio.testing.lockstep_stream_pair, reading=False, wait=False, limits=limits) as line:
        await line.smsc.stream.receive_some(65536)
        await line.smsc.write(bind_resp())
        await line.told.until_bound()
        yield line


async def test_a_batch_leaves_in_one_write_and_its_answers_come_back(autojump_clock: MockClock) -> None:
    async with linked() as line:
        await line.link.submit(batch(range(10), SUBMIT))
        await line.told.until(lambda: len(line.told.tokens(Answered)) == 10)
        assert line.told.tokens(Answered) == list(range(10))
        assert len(line.stream.writes) == 2  # bind and batch
        assert line.link.free_slots == 10


async def test_a_link_that_is_listened_to_reports_the_next_octets_once_before_what_they_say(
    autojump_clock: MockClock,
) -> None:
    """B1."""
    async with linked() as line:
        await trio.sleep(7)
        assert line.link.silent_s == pytest.approx(7)
        line.link.listen()
        assert line.told.seen[1:] == []
        await line.link.submit(batch(range(2), SUBMIT))
        await line.told.until(lambda: len(line.told.tokens(Answered)) == 2)
        assert [type(event) for event in line.told.seen[1:]] == [Heard, Answered, Answered]
        assert line.link.silent_s == 0


async def test_a_refused_batch_leaves_no_octet(autojump_clock: MockClock) -> None:
    async with linked() as line:
        for wrong, fault in (
            (batch(range(11), SUBMIT), NotAllowed),
            ([("t", SubmitSm(destination_addr=b"3" * 30))], NotEncodable),
        ):
            with pytest.raises(fault):
                await line.link.submit(wrong)
        assert (line.link.outstanding, len(line.stream.writes)) == (0, 1)


async def test_a_link_that_is_down_refuses_before_any_octet(autojump_clock: MockClock) -> None:
    """B13: queued again only because nothing was passed on."""
    async with linked() as line:
        await line.smsc.stream.aclose()
        assert await line.told.until_lost() == Lost(LossReason.PEER_CLOSED, ())
        passed = line.stream.passed
        with pytest.raises(NotWritten):
            await line.link.submit(batch(["t"], SUBMIT))
        assert line.stream.passed == passed
        assert not line.link.acknowledge([(1, commands.DELIVER_SM, 0)])


async def test_a_receiver_takes_no_submits(autojump_clock: MockClock) -> None:
    """B23: nothing leaves; the message stays queued."""
    async with linked(mode=BindMode.RX) as line:
        assert line.link.free_slots == 0
        with pytest.raises(NotWritten):
            await line.link.submit(batch(["t"], SUBMIT))


@settings(max_examples=60)
@given(st.integers(0, 2 * len(encode(SUBMIT, 1)) + 1))
def test_a_write_that_breaks_at_any_octet_leaves_the_batch_in_doubt_never_queued(octets: int) -> None:
    """B13: NotWritten exactly when no octet of the batch was passed on; else each token is in Lost, once."""

    async def scenario() -> None:
        async with linked(script={commands.SUBMIT_SM: silence}) as line:
            before = line.stream.passed
            line.stream.limit = before + octets
            try:
                await line.link.submit(batch(["a", "b"], SUBMIT))
            except NotWritten:
                pytest.fail("the link was up, octets may have been passed on")
            if octets < 2 * len(encode(SUBMIT, 1)):
                assert (await line.told.until_lost()).unanswered == ("a", "b")
                passed = line.stream.passed
                with pytest.raises(NotWritten):
                    await line.link.submit(batch(["c"], SUBMIT))
                assert line.stream.passed == passed
            else:
                assert line.link.outstanding == 2

    trio.run(scenario, clock=MockClock(autojump_threshold=0))


async def test_a_peer_that_stops_reading_loses_the_session_at_the_write_deadline(autojump_clock: MockClock) -> None:
    """A14: ten seconds; the batch is in doubt, who waits behind it has lost nothing, other links go on."""
    async with stuck_link() as stuck, linked() as other:
        began = trio.current_time()
        refused: list[str] = []

        async def second() -> None:
            try:
                await stuck.link.submit(batch(["b"], SUBMIT))
            except NotWritten:
                refused.append("b")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(stuck.link.submit, batch(["a"], SUBMIT))
            await wait_all_tasks_blocked()
            nursery.start_soon(second)
            await other.link.submit(batch(["x"], SUBMIT))
            await other.told.until(lambda: other.told.tokens(Answered) == ["x"])
            assert trio.current_time() == began
        assert stuck.told.losses == [Lost(LossReason.WRITE_TIMEOUT, ("a",))]
        assert stuck.told.lost_at == [began + 10.0]
        assert refused == ["b"]


async def test_a_peer_that_asks_and_never_reads_cannot_fill_our_memory(autojump_clock: MockClock) -> None:
    """A14: the send buffer is bounded."""
    limits = LinkOptions(send_buffer=1600, write_deadline_s=1000.0)
    async with stuck_link(limits) as line:
        await line.smsc.write(encode(EnquireLink(), 1) * 50)
        await wait_all_tasks_blocked()
        await line.smsc.write(encode(EnquireLink(), 1) * 101)
        assert (await line.told.until_lost()).reason is LossReason.SEND_BUFFER


async def test_link_pdus_are_answered_while_the_handler_is_busy_for_a_minute(autojump_clock: MockClock) -> None:
    """B3: the reader waits for nobody; the acknowledgement comes a minute later."""
    async with linked() as line:
        await line.smsc.say(DELIVER, 7)
        await line.told.until(lambda: bool(line.told.deliveries()))
        began = trio.current_time()
        await line.smsc.say(EnquireLink(), 8)
        await wait_all_tasks_blocked()
        assert [header.sequence_number for header in line.smsc.seen(EnquireLinkResp)] == [8]
        assert trio.current_time() == began
        await trio.sleep(60)
        assert line.link.acknowledge([(7, commands.DELIVER_SM, 0)])
        await wait_all_tasks_blocked()
        assert [header.sequence_number for header in line.smsc.seen(DeliverSmResp)] == [7]


async def test_acknowledgements_are_written_together(autojump_clock: MockClock) -> None:
    async with linked() as line:
        await line.smsc.write(b"".join(encode(DELIVER, n) for n in range(1, 101)))
        await line.told.until(lambda: len(line.told.deliveries()) == 100)
        writes = len(line.stream.writes)
        for event in line.told.deliveries():
            line.link.acknowledge([(event.sequence, event.command_id, 0)])
        await wait_all_tasks_blocked()
        assert len(line.smsc.seen(DeliverSmResp)) == 100
        assert len(line.stream.writes) == writes + 1


async def test_tasks_that_submit_at_once_do_not_mix_their_octets(autojump_clock: MockClock) -> None:
    async with linked(window=100, pair=trio.testing.lockstep_stream_pair) as line:
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(line.link.submit, batch([n, n + 100], SUBMIT))
                line.link.acknowledge([])
        await line.told.until(lambda: len(line.told.tokens(Answered)) == 40)
        assert sorted(map(int, map(str, line.told.tokens(Answered)))) == sorted([*range(20), *range(100, 120)])


async def test_a_black_hole_is_found_within_a_minute_even_while_submitting(autojump_clock: MockClock) -> None:
    """B1: a message a second into nothing; every one is in doubt, none twice, none lost."""
    mute = {commands.SUBMIT_SM: silence, commands.ENQUIRE_LINK: silence}
    async with linked(script=mute, window=100) as line:
        sent: list[object] = []
        with suppress(NotWritten):
            while True:
                await line.link.submit(batch([len(sent)], SUBMIT), 5.0)
                sent.append(len(sent))
                await trio.sleep(1)
        assert line.told.lost_at[0] - line.told.bound_at[0] <= 60
        assert [*line.told.tokens(Unanswered), *line.told.losses[0].unanswered] == sent


async def test_an_idle_black_hole_is_found_at_fifty_seconds(autojump_clock: MockClock) -> None:
    """B1: two enquire_links go unanswered."""
    async with linked(script={commands.ENQUIRE_LINK: silence}) as line:
        assert (await line.told.until_lost()).reason is LossReason.ENQUIRE_TIMEOUT
        assert line.told.lost_at[0] - line.told.bound_at[0] == 50.0
        await trio.sleep(2)
        assert line.smsc.closed_at is not None


async def test_a_deadline_set_by_a_submit_is_kept_though_the_link_waits_for_a_later_one(
    autojump_clock: MockClock,
) -> None:
    """B15: an OTP's five seconds among idle timers of thirty."""
    async with linked(script={commands.SUBMIT_SM: silence}, silent=float("inf")) as line:
        await trio.sleep(3)
        await line.link.submit(batch(["otp"], SUBMIT), 5.0)
        began = trio.current_time()
        await line.told.until(lambda: line.told.tokens(Unanswered) == ["otp"])
        assert trio.current_time() == began + 5.0
        assert line.link.free_slots == 10


async def test_ten_outstanding_on_a_closed_connection_are_ten_in_doubt(autojump_clock: MockClock) -> None:
    """B12: closed without unbind."""
    async with linked(script={commands.SUBMIT_SM: silence}) as line:
        await line.link.submit(batch(range(10), SUBMIT))
        await line.smsc.stream.aclose()
        assert await line.told.until_lost() == Lost(LossReason.PEER_CLOSED, tuple(range(10)))


async def test_the_peers_unbind_gets_its_response_before_we_close(autojump_clock: MockClock) -> None:
    """B11: unbind_resp is on the wire, then the stream ends."""
    async with linked() as line:
        await line.smsc.say(Unbind(), 99)
        assert (await line.told.until_lost()).reason is LossReason.PEER_UNBOUND
        await wait_all_tasks_blocked()
        assert [header.sequence_number for header in line.smsc.seen(UnbindResp)] == [99]
        assert line.smsc.closed_at is not None


async def test_a_stream_that_cannot_be_followed_gets_its_nack_before_we_close(autojump_clock: MockClock) -> None:
    """A4: generic_nack with sequence 0, then the end."""
    async with linked() as line:
        await line.smsc.write(b"\0\0\0\4")
        assert (await line.told.until_lost()).reason is LossReason.FRAMING
        await wait_all_tasks_blocked()
        assert line.smsc.received[-1][1].command_id == commands.GENERIC_NACK


async def test_an_unfinished_pdu_ends_the_session_at_ten_seconds(autojump_clock: MockClock) -> None:
    """A3: fifteen octets of a header."""
    async with linked() as line:
        await line.smsc.write(encode(EnquireLink(), 1)[:15])
        began = trio.current_time()
        assert (await line.told.until_lost()).reason is LossReason.PDU_TIMEOUT
        assert trio.current_time() - began == 10.0


async def test_a_cancelled_caller_leaves_no_half_written_pdu(autojump_clock: MockClock) -> None:
    """A14: the write is shielded; the peer reads whole PDUs, the session lives on."""
    async with stuck_link() as line, trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def abandoned() -> None:
            with scope:
                await line.link.submit(batch(["t"], SUBMIT))

        nursery.start_soon(abandoned)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        assert await line.smsc.stream.receive_some(65536) == encode(SUBMIT, 2)
        await wait_all_tasks_blocked()
        assert (line.link.lost, line.link.outstanding) == (None, 1)


async def test_nothing_follows_a_write_that_was_cut_short(autojump_clock: MockClock) -> None:
    """A14: the enquire_link that waits behind it stays unsaid; after half a PDU it would be garbage."""
    async with stuck_link() as line:
        await line.link.submit(batch(["t"], SUBMIT))
        await trio.sleep(5)
        assert line.told.losses == [Lost(LossReason.WRITE_TIMEOUT, ("t",))]
        assert line.stream.writes[1:] == [len(encode(SUBMIT, 2))]


async def test_a_link_that_is_cancelled_hands_everything_back(autojump_clock: MockClock) -> None:
    """B12: the process goes down without a drain."""
    async with linked(script={commands.SUBMIT_SM: silence}) as line:
        await line.link.submit(batch(["t"], SUBMIT))
        told = line.told
    assert told.losses == [Lost(LossReason.SHUTDOWN, ("t",))]
