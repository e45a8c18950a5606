"""The wire, pinned by hand: every command's frame, one per test, read and written."""

from __future__ import annotations

import pytest

from engine.smpp import pdu
from tests.golden import GOLDEN, Golden

each_frame = pytest.mark.parametrize("golden", [pytest.param(each, id=name) for name, each in GOLDEN.items()])


@each_frame
def test_a_hand_written_frame_is_what_the_encoder_makes(golden: Golden) -> None:
    assert pdu.encode(golden.body, golden.sequence, golden.status).hex(" ") == golden.frame.hex(" ")


@each_frame
def test_a_hand_written_frame_is_read_without_a_flag(golden: Golden) -> None:
    header, body, flags = pdu.decode_flagged(golden.frame)
    assert header == (len(golden.frame), golden.body.command_id, golden.status, golden.sequence)
    assert (type(body), body, flags) == (type(golden.body), golden.body, ())


def test_every_command_has_a_hand_written_frame() -> None:
    assert {type(golden.body) for golden in GOLDEN.values()} == set(pdu.BODIES.values())
