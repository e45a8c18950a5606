"""Optional parameters: look-up, lengths, names."""

from __future__ import annotations

import pytest
from hypothesis import given

from engine.smpp import pdu
from engine.smpp.pdu import Tag
from engine.smpp.pdu.tlvs import LENGTHS, Tlv, read_tlvs, write_tlvs
from tests import strategies


@given(strategies.tlvs)
def test_parameters_survive_the_wire_in_their_order(tlvs: tuple[Tlv, ...]) -> None:
    assert read_tlvs(b"head" + write_tlvs(tlvs), 4) == (tlvs, (), True)


@pytest.mark.parametrize(("value", "text"), [(b"12aB\0", b"12aB"), (b"12aB", b"12aB"), (b"\0", b""), (b"a\0b", b"a")])
def test_a_string_is_the_same_with_and_without_its_nul(value: bytes, text: bytes) -> None:
    """A10: receipted_message_id often lacks the NUL and must not lose its last character."""
    assert pdu.tlv_text(((Tag.RECEIPTED_MESSAGE_ID, value),), Tag.RECEIPTED_MESSAGE_ID) == text


def test_an_absent_parameter_is_none_and_an_empty_one_is_not() -> None:
    assert pdu.tlv((), Tag.MESSAGE_PAYLOAD) is None
    assert pdu.tlv_text((), Tag.MESSAGE_PAYLOAD) is None
    assert pdu.tlv_int((), Tag.MESSAGE_PAYLOAD) is None
    assert pdu.tlv(((Tag.MESSAGE_PAYLOAD, b""),), Tag.MESSAGE_PAYLOAD) == b""
    assert pdu.tlv_int(((Tag.SOURCE_PORT, b"\x01\x02"),), Tag.SOURCE_PORT) == 0x0102


@pytest.mark.parametrize("tag", LENGTHS)
def test_each_known_length_is_enforced_at_both_edges(tag: int) -> None:
    """A10: a value that readers could index out of bounds never reaches them."""
    least, most = LENGTHS[tag]
    for length in {least - 1, least, most, most + 1} - {-1}:
        seen, flags, whole = read_tlvs(write_tlvs(((tag, bytes(length)),)), 0)
        fits = least <= length <= most
        assert bool(seen) == fits
        assert flags == (() if fits else (f"tlv_length:{pdu.tag_name(tag)}",))
        assert whole


def test_a_pdu_full_of_bad_parameters_is_read_once_and_flagged_once() -> None:
    """A10: a hostile peer buys no quadratic work."""
    frame = write_tlvs(((Tag.MESSAGE_STATE, b""),) * 17_000)
    assert read_tlvs(frame, 0) == ((), ("tlv_length:message_state",), True)


def test_tags_have_the_names_of_the_specification() -> None:
    assert pdu.tag_name(0x0424) == "message_payload"
    assert pdu.tag_name(0x0606) == "broadcast_area_identifier"
    assert pdu.tag_name(0x1400) == "0x1400"
