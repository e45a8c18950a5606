"""Broken frames raise nothing but the typed errors, and never read past themselves."""

from __future__ import annotations

import os
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.smpp import pdu
from engine.smpp.errors import CodecError, FramingError
from tests import strategies
from tests.amounts import Figure, amounts
from tests.golden import GOLDEN
from tests.mutations import mutated_frame

SEED = int(os.environ.get("SCEAU_SEED", "20261123"))


def judge(frame: bytes) -> bool:
    """True if `frame` is a PDU, False for a typed error that carries what the session needs."""
    try:
        header, body, flags = pdu.decode_flagged(frame)
    except CodecError as error:
        check_fault(error, frame)
        return False
    assert type(body) is pdu.BODIES[header.command_id]
    assert all(isinstance(flag, str) for flag in flags)
    return True


def check_fault(error: CodecError, frame: bytes) -> None:
    answer = pdu.answer_to(error)
    if isinstance(error, FramingError):
        assert not error.recoverable
        assert answer is not None
        return
    assert error.recoverable
    assert error.header == pdu.peek(frame)
    assert answer is None or pdu.peek(answer).sequence_number == pdu.peek(frame).sequence_number


@settings(max_examples=200)
@given(strategies.frames(), st.data())
def test_any_mutation_of_a_valid_pdu_is_a_pdu_or_a_typed_error(frame: bytes, data: st.DataObject) -> None:
    """A6: no other exception, no over-read."""
    octets = bytearray(frame)
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(frame) - 1), strategies.octet), max_size=8)):
        octets[at] = value
    octets += data.draw(st.binary(max_size=20))
    judge(bytes(octets))
    honest = bytearray(octets)
    honest[:4] = len(honest).to_bytes(4, "big")
    judge(bytes(honest))


@given(st.binary(max_size=200))
@example(b"")
def test_noise_is_a_pdu_or_a_typed_error(noise: bytes) -> None:
    """A6, A13: octets that were never a PDU."""
    judge(noise)
    for command_id in pdu.BODIES:
        judge((16 + len(noise)).to_bytes(4, "big") + command_id.to_bytes(4, "big") + bytes(8) + noise)


@pytest.mark.parametrize("frames", amounts(200_000, 1_000_000, 10_000_000))
def test_many_mutated_frames_raise_nothing_but_typed_errors(frames: int, figure: Figure) -> None:
    """A6, users-ask 28: seeded; SCEAU_SEED chooses another run."""
    dice = random.Random(SEED)
    valid = [golden.frame for golden in GOLDEN.values()]
    readable = sum(judge(mutated_frame(dice.choice(valid), dice)) for _ in range(frames))
    # The mutations must neither break everything nor nothing, or this test says little.
    assert 0.15 * frames < readable < 0.85 * frames
    figure("users-ask 28: mutated frames read, of which PDUs", f"{frames:,}, {readable / frames:.0%}")
