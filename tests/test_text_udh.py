"""User data headers: golden octets, elements in any order, and every way of being malformed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp.text import Concat, UserDataHeader, concat_udh, parse_udh


def test_headers_of_our_parts_are_the_octets_of_the_specification() -> None:
    assert concat_udh(Concat(0xA7, 8, 3, 2)).hex() == "050003a70302"
    assert concat_udh(Concat(0x01A7, 16, 3, 2)).hex() == "06080401a70302"


def test_without_the_indicator_there_is_no_header() -> None:
    assert parse_udh(b"\x05\x00\x03\x07\x02\x01hi", 0x00) == (None, b"\x05\x00\x03\x07\x02\x01hi", ())


@pytest.mark.parametrize(
    ("hexa", "concat"),
    [
        ("050003070201", Concat(7, 8, 2, 1)),
        ("06080401070201", Concat(0x0107, 16, 2, 1)),
        ("0b0504158a00000003070202", Concat(7, 8, 2, 2)),
        ("08240101000307 0201", Concat(7, 8, 2, 1)),
        ("0a0003070201 0003080302", Concat(8, 8, 3, 2)),
        ("0b0003070201 080400090201", Concat(9, 16, 2, 1)),
    ],
)
def test_concatenation_is_found_wherever_it_stands(hexa: str, concat: Concat) -> None:
    """E7: 8- and 16-bit references, not the first element, repeated (the last one counts)."""
    header, body, flags = parse_udh(bytes.fromhex(hexa) + b"hi", 0x40)
    assert header is not None
    assert (header.concat, body, flags) == (concat, b"hi", ())


def test_ports_and_shifts_are_read() -> None:
    header, body, _ = parse_udh(bytes.fromhex("0c 05040b84 23f0 240101 250103") + b"hi", 0x40)
    assert header == UserDataHeader(
        ((0x05, b"\x0b\x84\x23\xf0"), (0x24, b"\x01"), (0x25, b"\x03")), None, 3, 1, (2948, 9200)
    )
    assert body == b"hi"
    header, _, _ = parse_udh(bytes.fromhex("040402f5f6"), 0x40)
    assert header is not None
    assert header.ports == (0xF5, 0xF6)


@pytest.mark.parametrize("numbers", ["070001", "070200", "070203", "070101", "070000"])
def test_numbers_that_cannot_be_right_make_a_single_message(numbers: str) -> None:
    """E5: total 0, sequence 0, sequence beyond total, total 1."""
    header, body, flags = parse_udh(bytes.fromhex("050003" + numbers) + b"hi", 0x40)
    assert header is not None
    assert (header.concat, body, flags) == (None, b"hi", ("concatenation_ignored",))


@pytest.mark.parametrize("octets", [b"", b"\x05", b"\x05\x00\x03\x07\x02", b"\xff" * 10, b"\x01"])
def test_a_header_longer_than_the_data_is_no_header(octets: bytes) -> None:
    """A12: UDHI with empty or short data; everything is body."""
    assert parse_udh(octets, 0x40) == (None, octets, ("udh_malformed",))


@pytest.mark.parametrize(("hexa", "left"), [("0400037002", b""), ("0100", b""), ("0300 02 07", b""), ("00", b"")])
def test_an_element_past_the_header_ends_it(hexa: str, left: bytes) -> None:
    """A12: the declared header is still taken off the text."""
    header, body, flags = parse_udh(bytes.fromhex(hexa) + b"hi", 0x40)
    assert header is not None
    assert header.concat is None
    assert body == b"hi" + left
    assert flags == (() if hexa == "00" else ("udh_malformed",))


@given(st.binary(max_size=60), st.integers(0, 255))
@settings(max_examples=200)
def test_no_octets_make_parsing_fail_and_none_are_invented(octets: bytes, esm_class: int) -> None:
    """A12: property: never past the end."""
    header, body, _ = parse_udh(octets, esm_class)
    assert octets.endswith(body)
    if header is not None:
        assert len(body) == len(octets) - octets[0] - 1
        assert header.concat is None or 1 <= header.concat.sequence <= header.concat.total
