"""SMPP times: always 16 characters, read back to the same instant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.smpp import pdu
from engine.smpp.errors import MalformedTime, NotEncodable
from tests import strategies

SECOND = 1_000_000


@given(st.integers(1, 100 * 86_400 - 1))
def test_a_relative_time_is_sixteen_characters_of_days_and_below(seconds: int) -> None:
    """G4: fixed format, no years, no months, no tenths."""
    written = pdu.relative_validity(seconds)
    assert re.fullmatch(rb"0000\d{8}000R", written)
    assert pdu.parse_time(written) == pdu.SmppTime(True, seconds * SECOND)


@given(st.integers(946_684_800 * SECOND, 4_102_444_800 * SECOND - 1))
def test_an_absolute_time_is_sixteen_characters_in_utc(instant: int) -> None:
    """G4: fixed format, tenths of a second kept."""
    written = pdu.absolute_time(instant)
    assert re.fullmatch(rb"\d{13}00\+", written)
    assert pdu.parse_time(written) == pdu.SmppTime(False, instant - instant % 100_000)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (300, b"000000000500000R"),
        (86_400, b"000001000000000R"),
        (90_061, b"000001010101000R"),
        (1, b"000000000001000R"),
    ],
)
def test_known_relative_times(seconds: int, written: bytes) -> None:
    assert pdu.relative_validity(seconds) == written


def test_a_known_absolute_time() -> None:
    assert pdu.absolute_time(1_795_417_200_123_456) == b"261123070000100+"


@pytest.mark.parametrize("seconds", [0, -5, 100 * 86_400])
def test_a_life_that_is_over_or_too_long_is_refused(seconds: int) -> None:
    """G4: never a malformed validity_period on the wire."""
    with pytest.raises(NotEncodable):
        pdu.relative_validity(seconds)


@pytest.mark.parametrize("instant", [0, 946_684_799 * SECOND, 4_102_444_800 * SECOND, 2**63, 10**30])
def test_an_instant_of_another_century_is_refused(instant: int) -> None:
    with pytest.raises(NotEncodable):
        pdu.absolute_time(instant)


@pytest.mark.parametrize(
    ("written", "same"),
    [
        (b"261123090000004+", b"261123080000000+"),
        (b"261123020000020-", b"261123070000000+"),
        (b"261123000000048+", b"261122120000000+"),
    ],
)
def test_quarter_hours_shift_to_utc(written: bytes, same: bytes) -> None:
    assert pdu.parse_time(written) == pdu.parse_time(same)


def test_null_is_no_time() -> None:
    assert pdu.parse_time(b"") is None


def test_a_relative_time_counts_from_now_and_an_absolute_one_does_not() -> None:
    relative, absolute = pdu.parse_time(b"000000000500000R"), pdu.parse_time(b"261123070000000+")
    assert relative is not None
    assert relative.instant(1_000) == 300 * SECOND + 1_000
    assert absolute is not None
    assert absolute.instant(1_000) == absolute.microseconds == 1_795_417_200 * SECOND


@given(st.one_of(strategies.smpp_time, st.binary(max_size=20), st.from_regex(rb"\A[0-9]{15}[+R-]\Z")))
def test_any_octets_are_a_time_or_the_typed_error(octets: bytes) -> None:
    try:
        read = pdu.parse_time(octets)
    except MalformedTime:
        return
    assert (read is None) == (octets == b"")


@pytest.mark.parametrize(
    "written",
    [
        b"000000000500000", b"000000000500000Z", b"00000000050000xR", b"261323070000000+", b"260230070000000+",
        b"261123240000000+", b"261123076000000+", b"261123070060000+", b"261123070000049+",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(written: bytes) -> None:
    with pytest.raises(MalformedTime):
        pdu.parse_time(written)
