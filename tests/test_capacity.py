"""Window slots and tokens together, and the floor that only codes may go below."""

from __future__ import annotations

import pytest

from engine.transit.capacity import Capacity, window_floor
from engine.transit.pacing import UNLIMITED, Pace


def capacity(window: int, rate: float = UNLIMITED) -> Capacity:
    return Capacity(window, Pace(rate, 0.0))


@pytest.mark.parametrize(("window", "floor"), [(1, 0), (3, 0), (4, 1), (10, 1), (100, 10), (1_000, 100)])
def test_the_reserve_of_a_window_is_a_tenth_and_none_under_four(window: int, floor: int) -> None:
    assert window_floor(window) == floor
    room = capacity(window)
    assert room.room(0.0, otp=False) == window - floor
    assert room.room(0.0, otp=True) == window


def test_bulk_never_takes_the_last_slots_and_codes_do() -> None:
    room = capacity(10)
    room.claim(9, 0.0)
    room.written(9, 9, 0.0, 0.0)
    assert room.room(0.0, otp=False) == 0
    assert room.room(0.0, otp=True) == 1


def test_slots_are_promised_before_the_claim_and_returned_after_it() -> None:
    room = capacity(10)
    room.claim(5, 0.0)
    assert room.free == 5
    room.written(5, 2, 0.0, 0.0)
    assert (room.outstanding, room.claimed, room.free) == (2, 0, 8)
    room.answered(2)
    assert room.free == 10


def test_tokens_of_a_claim_that_found_less_return() -> None:
    room = capacity(100, rate=1_000.0)
    room.claim(5, 0.0)
    assert room.room(0.0, otp=False) == 0
    room.written(5, 1, 0.0, 0.0)
    assert room.room(0.0, otp=False) == 4


def test_other_lanes_stand_still_while_a_long_message_has_parts_to_send() -> None:
    """E18: its parts follow each other; codes pass between them."""
    room = capacity(10)
    room.held = True
    assert room.room(0.0, otp=False) == 0
    assert room.room(0.0, otp=True) == 10


def test_waiting_for_a_slot_has_no_clock_and_waiting_for_a_token_has() -> None:
    room = capacity(4, rate=1.0)
    room.claim(1, 0.0)
    wait = room.wait(0.0, otp=True)
    assert wait is not None
    assert wait > 0
    room.claim(3, 0.0)
    assert room.wait(0.0, otp=True) is None
