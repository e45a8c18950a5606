"""Received parts back to texts: order, gaps, duplicates, headers against parameters, binary messages."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp.pdu import DataSm, DeliverSm, Tag, Tlv
from engine.smpp.text import (
    GAP,
    Alphabet,
    Concat,
    Concatenation,
    MoPart,
    assembly_key,
    concat_of,
    join,
    missing_parts,
    read_part,
    segment,
    user_data,
)


def sar(reference: int, total: int, sequence: int) -> tuple[Tlv, ...]:
    return (
        (Tag.SAR_MSG_REF_NUM, reference.to_bytes(2, "big")),
        (Tag.SAR_TOTAL_SEGMENTS, bytes((total,))),
        (Tag.SAR_SEGMENT_SEQNUM, bytes((sequence,))),
    )


def arrived(text: str, concatenation: Concatenation = Concatenation.UDH8, reference: int = 7) -> list[DeliverSm]:
    cut = segment(text, concatenation=concatenation, reference=reference)
    return [
        DeliverSm(
            source_addr=b"33612345601",
            destination_addr=b"38000",
            esm_class=one.esm_class_bits,
            short_message=one.short_message,
            tlvs=one.tlvs,
            data_coding=cut.data_coding,
        )
        for one in cut.parts
    ]


FIVE = "".join(f"part {number} ".ljust(153, ".") for number in range(1, 6))


def test_five_parts_in_any_order_make_one_text() -> None:
    """E1: all 120 orders."""
    parts = [read_part(pdu)[0] for pdu in arrived(FIVE)]
    assert len(parts) == 5
    for order in itertools.permutations(parts):
        assert join(order, total=5) == (FIVE, (), ())


def test_missing_parts_are_named_and_leave_a_gap() -> None:
    """E2: what exists, marked incomplete, with its gaps."""
    parts = [read_part(pdu)[0] for pdu in arrived(FIVE)]
    joined = join([parts[4], parts[1]], total=5)
    assert joined.missing == (1, 3, 4)
    assert joined.flags == ("incomplete",)
    assert joined.text == GAP + FIVE[153:306] + GAP + FIVE[612:]
    assert join(parts[:4], total=5).text == FIVE[:612] + GAP
    assert join([], total=2) == ("", ("incomplete",), (1, 2))
    assert missing_parts([2, 2, 9], 3) == (1, 3)
    assert missing_parts([1, 2], 2) == ()


def test_of_two_parts_with_one_number_the_first_is_kept() -> None:
    """E3: an equal copy changes nothing, a different one is flagged."""
    first, second = (read_part(pdu)[0] for pdu in arrived("a" * 200))
    assert join([first, second, first], total=2) == ("a" * 200, (), ())
    other = first._replace(body=b"b" * 153)
    assert join([first, other, second], total=2) == ("a" * 200, ("conflicting_parts",), ())


def test_two_senders_with_one_reference_are_kept_apart() -> None:
    """E4: the key has source and destination; width and total tell reused references apart."""
    pdu = arrived(FIVE)[0]
    concat = concat_of(pdu)
    assert concat == Concat(7, 8, 5, 1)
    keys = {
        assembly_key(pdu, concat),
        assembly_key(pdu._replace(source_addr=b"33612345602"), concat),
        assembly_key(pdu._replace(destination_addr=b"38001"), concat),
        assembly_key(pdu, concat._replace(width=16)),
        assembly_key(pdu, concat._replace(total=4)),
        assembly_key(pdu, concat._replace(reference=8)),
    }
    assert len(keys) == 6
    assert len({assembly_key(one, found) for one in arrived(FIVE) if (found := concat_of(one))}) == 1


@pytest.mark.parametrize(("total", "sequence"), [(0, 1), (2, 0), (2, 3), (1, 1)])
def test_impossible_numbers_make_a_single_message(total: int, sequence: int) -> None:
    """E5: in the header and in the parameters alike."""
    header = bytes((5, 0, 3, 7, total, sequence))
    for pdu in (
        DeliverSm(esm_class=0x40, short_message=header + b"hi"),
        DeliverSm(short_message=b"hi", tlvs=sar(7, total, sequence)),
    ):
        part, concat = read_part(pdu)
        assert concat is None
        assert join([part]) == ("hi", ("concatenation_ignored",), ())


def test_every_way_of_numbering_parts_is_understood() -> None:
    """E7: 16-bit references, other elements first, SAR; the header wins over SAR."""
    for concatenation, width in ((Concatenation.UDH8, 8), (Concatenation.UDH16, 16), (Concatenation.SAR, 16)):
        pdus = arrived(FIVE, concatenation)
        assert [concat_of(pdu) for pdu in pdus] == [Concat(7, width, len(pdus), i) for i in range(1, len(pdus) + 1)]
        assert join([read_part(pdu)[0] for pdu in pdus], total=len(pdus)).text == FIVE
    shift_first = DeliverSm(esm_class=0x40, short_message=bytes.fromhex("09240101080401070201") + b"hi")
    assert concat_of(shift_first) == Concat(0x0107, 16, 2, 1)
    both = DeliverSm(esm_class=0x40, short_message=b"\x05\x00\x03\x07\x02\x01hi", tlvs=sar(9, 3, 2))
    assert concat_of(both) == Concat(7, 8, 2, 1)
    fallback = both._replace(short_message=b"\x05\x00\x03\x07\x00\x01hi")
    assert concat_of(fallback) == Concat(9, 16, 3, 2)
    assert concat_of(DeliverSm(tlvs=sar(9, 3, 2)[:2])) is None
    assert concat_of(DataSm(tlvs=sar(9, 3, 2))) == Concat(9, 16, 3, 2)


@pytest.mark.parametrize("cut", range(1, 24))
def test_octets_are_joined_before_they_are_decoded(cut: int) -> None:
    """E12, E13: a pair that its sender split comes back as one character."""
    for text, coding, octets in (
        ("Да 😀 👩‍👧 x", 8, "Да 😀 👩‍👧 x".encode("utf-16-be")),
        ("a€b[c]d", 0, b"a\x1beb\x1b<c\x1b>d"),
    ):
        parts = [MoPart(1, octets[:cut], coding), MoPart(2, octets[cut:], coding)]
        joined = join(parts, total=2)
        assert joined.text == text
        assert "lone_surrogate" not in joined.flags


def test_parts_in_different_alphabets_are_decoded_each_in_its_own() -> None:
    parts = [MoPart(1, b"a\x00"), MoPart(2, "я".encode("utf-16-be"), 8), MoPart(3, b"\x1be"), MoPart(4, b"\x1c", 0, 1)]
    assert join(parts, total=4) == ("a@я€Ş", (), ())


def test_payload_wins_over_short_message() -> None:
    """A11: both present: the payload, flagged."""
    pdu = DeliverSm(short_message=b"short", tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),))
    assert user_data(pdu) == (b"long", ("payload_and_short_message",))
    assert join([read_part(pdu)[0]]) == ("long", ("payload_and_short_message",), ())
    assert user_data(pdu._replace(short_message=b"")) == (b"long", ())
    assert user_data(DataSm(tlvs=((Tag.MESSAGE_PAYLOAD, b"long"),))) == (b"long", ())
    assert user_data(DataSm()) == (b"", ())


@pytest.mark.parametrize("octets", [b"", b"\x05", b"\x40 is not a length", b"\x05\x00\x03"])
def test_a_header_flag_without_a_header_leaves_a_plain_message(octets: bytes) -> None:
    """A12: never past the end, never an exception."""
    part, concat = read_part(DeliverSm(esm_class=0x40, short_message=octets))
    assert concat is None
    joined = join([part])
    assert joined.flags[0] == "udh_malformed"


def test_an_empty_message_is_an_empty_text() -> None:
    """E22: an empty MO is stored like any other."""
    assert join([read_part(DeliverSm())[0]]) == ("", (), ())


@pytest.mark.parametrize(
    "pdu",
    [
        DeliverSm(esm_class=0x40, short_message=bytes.fromhex("0605040b8423f0") + b"\x01\x06", data_coding=0xF5),
        DeliverSm(esm_class=0x40, short_message=bytes.fromhex("0605040b8423f0") + b"STOP", data_coding=0),
        DeliverSm(short_message=b"STOP", tlvs=((Tag.DESTINATION_PORT, b"\x0b\x84"),)),
        DeliverSm(short_message=b"STOP", data_coding=0x04),
    ],
)
def test_binary_and_port_addressed_messages_have_no_text(pdu: DeliverSm) -> None:
    """E22: a WAP push or anything for a port is a binary event."""
    joined = join([read_part(pdu)[0]])
    assert joined.text == ""
    assert "binary" in joined.flags


def test_one_binary_part_makes_the_message_binary() -> None:
    """E22: no half of it is taken for words."""
    joined = join([MoPart(1, b"hello"), MoPart(2, b"\x01", 4)], total=2)
    assert (joined.text, joined.flags) == ("", ("binary",))


def test_national_tables_are_those_of_each_part() -> None:
    pdu = DeliverSm(esm_class=0x40, short_message=bytes.fromhex("06250101240101") + b"\x1c\x1bg")
    assert join([read_part(pdu)[0]]) == ("Şğ", (), ())


@given(
    st.integers(0, 255),
    st.binary(max_size=254),
    st.integers(0, 255),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    Tag.SAR_MSG_REF_NUM,
                    Tag.SAR_TOTAL_SEGMENTS,
                    Tag.SAR_SEGMENT_SEQNUM,
                    Tag.MESSAGE_PAYLOAD,
                    Tag.DESTINATION_PORT,
                ]
            ),
            st.binary(max_size=4),
        ),
        max_size=4,
    ),
    st.sampled_from([Alphabet.GSM7, Alphabet.LATIN1, Alphabet.UCS2]),
)
@settings(max_examples=200)
def test_nothing_that_a_peer_sends_makes_reading_fail(
    esm_class: int, octets: bytes, coding: int, tlvs: list[Tlv], default: Alphabet
) -> None:
    """A12, E9: any header, any coding, any parameters."""
    part, concat = read_part(DeliverSm(esm_class=esm_class, short_message=octets, data_coding=coding, tlvs=tuple(tlvs)))
    joined = join([part], total=concat.total if concat else 1, default=default)
    joined.text.encode("utf-8")
