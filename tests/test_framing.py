"""Cutting a stream into frames: any chunking, hostile lengths, no memory given away."""

from __future__ import annotations

import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.smpp import pdu
from engine.smpp.errors import FramingError
from tests import strategies
from tests.golden import GOLDEN

FRAMES = [golden.frame for golden in GOLDEN.values()]
ENQUIRE = pdu.encode(pdu.EnquireLink(), 1)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_pdu_arriving_octet_by_octet_is_the_same_pdu(name: str) -> None:
    """A1: every PDU type, one octet per read, equals one write."""
    buffer = pdu.FrameBuffer()
    frame = GOLDEN[name].frame
    seen = [buffer.feed(frame[at : at + 1]) for at in range(len(frame))]
    assert seen[:-1] == [[]] * (len(frame) - 1)
    assert seen[-1] == [frame]
    assert buffer.pending == 0


def test_a_thousand_pdus_in_one_chunk_come_out_in_order() -> None:
    """A2: one read may hold many PDUs."""
    frames = [pdu.encode(pdu.EnquireLink(), number) for number in range(1000)]
    assert pdu.FrameBuffer().feed(b"".join(frames)) == frames


@given(st.lists(strategies.frames(), max_size=6), st.data())
def test_any_chunking_gives_the_same_frames(frames: list[bytes], data: st.DataObject) -> None:
    """A1, A2: chunk borders carry no meaning."""
    buffer = pdu.FrameBuffer()
    chunks = data.draw(strategies.chunkings(b"".join(frames)))
    assert [frame for chunk in chunks for frame in buffer.feed(chunk)] == frames
    assert buffer.pending == 0


@given(st.data())
def test_pending_counts_the_octets_of_the_unfinished_frame(data: st.DataObject) -> None:
    frame = data.draw(strategies.frames())
    cut = data.draw(st.integers(0, len(frame) - 1))
    buffer = pdu.FrameBuffer()
    assert buffer.feed(ENQUIRE + frame[:cut]) == [ENQUIRE]
    assert buffer.pending == cut


@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_any_buffer_type_may_be_fed_and_frames_are_bytes(kind: type) -> None:
    buffer = pdu.FrameBuffer()
    assert buffer.feed(kind(ENQUIRE[:7])) == []
    (frame, second) = buffer.feed(kind(ENQUIRE[7:] + ENQUIRE))
    assert (type(frame), frame, type(second), second) == (bytes, ENQUIRE, bytes, ENQUIRE)


@pytest.mark.parametrize("length", [0, 1, 4, 15])
def test_a_command_length_below_the_header_loses_the_stream(length: int) -> None:
    """A4: generic_nack ESME_RINVCMDLEN with sequence 0, then the link must be dropped."""
    with pytest.raises(FramingError) as caught:
        pdu.FrameBuffer().feed(struct.pack(">I", length))
    assert not caught.value.recoverable
    assert pdu.answer_to(caught.value) == bytes.fromhex("00000010 80000000 00000002 00000000")


@pytest.mark.parametrize("length", [70_001, 2**31, 2**32 - 1])
def test_a_huge_command_length_is_refused_before_anything_is_kept(length: int) -> None:
    """A5: the four length octets are enough, and memory stays flat."""
    buffer = pdu.FrameBuffer()
    tracemalloc.start()
    try:
        with pytest.raises(FramingError):
            buffer.feed(struct.pack(">I", length))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()
    assert buffer.pending == 0


@pytest.mark.parametrize("split", range(1, 4))
def test_a_bad_length_is_seen_with_its_fourth_octet(split: int) -> None:
    """A5: no waiting for a body that never comes."""
    bad = struct.pack(">I", 2**32 - 1)
    buffer = pdu.FrameBuffer()
    assert buffer.feed(ENQUIRE + bad[:split]) == [ENQUIRE]
    with pytest.raises(FramingError):
        buffer.feed(bad[split:])


@pytest.mark.parametrize("length", [16, 70_000])
def test_the_edges_of_the_legal_length_are_accepted(length: int) -> None:
    frame = struct.pack(">I", length) + bytes(length - 4)
    assert pdu.FrameBuffer().feed(frame) == [frame]


def test_frames_before_the_fault_are_delivered_with_it() -> None:
    """A4: what was complete is still handled."""
    with pytest.raises(FramingError) as caught:
        pdu.FrameBuffer().feed(b"".join(FRAMES) + b"\0\0\0\x0f" + ENQUIRE)
    assert caught.value.frames == tuple(FRAMES)


def test_a_lost_stream_stays_lost() -> None:
    """A4: nothing after the fault is believed."""
    buffer = pdu.FrameBuffer()
    with pytest.raises(FramingError):
        buffer.feed(bytes(4))
    with pytest.raises(FramingError) as caught:
        buffer.feed(ENQUIRE)
    assert caught.value.frames == ()


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-x\r\n",
    ],
    ids=["http", "tls", "ssh"],
)
def test_other_protocols_are_recognised_as_noise_at_once(noise: bytes) -> None:
    """A13: a scanner costs four octets."""
    with pytest.raises(FramingError):
        pdu.FrameBuffer().feed(noise)


def test_the_cap_may_be_set_lower() -> None:
    with pytest.raises(FramingError):
        pdu.FrameBuffer(max_length=4096).feed(struct.pack(">I", 4097))


@pytest.mark.parametrize("octets", [b"", ENQUIRE[:15]])
def test_fewer_octets_than_a_header_are_no_pdu(octets: bytes) -> None:
    with pytest.raises(FramingError) as caught:
        pdu.peek(octets)
    assert caught.value.header is None


def test_peek_reads_the_full_range_of_every_field() -> None:
    frame = bytes.fromhex("00000010 80000015 FFFFFFFF FFFFFFFE")
    assert pdu.peek(frame) == pdu.Header(16, 0x80000015, 0xFFFFFFFF, 0xFFFFFFFE)
