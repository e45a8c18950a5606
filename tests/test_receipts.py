"""Receipts: what is one and what is not, every dialect, states that only rise, ids in all their forms, scrubbing."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp.pdu import DataSm, DeliverSm, Tag, Tlv
from engine.smpp.receipts import (
    FINAL_STATES,
    STATE_RANK,
    IdStyle,
    MessageState,
    final_state,
    read_receipt,
    receipt_keys,
    scrub_text,
    submit_keys,
)
from tests.amounts import Figure, amounts
from tests.mutations import mutated
from tests.receipt_fixtures import FIXTURES, ReceiptFixture

APPENDIX_B = FIXTURES[0].text
TOLD: tuple[Tlv, ...] = ((Tag.RECEIPTED_MESSAGE_ID, b"77\0"), (Tag.MESSAGE_STATE, b"\x02"))


def on_the_wire(fixture: ReceiptFixture, esm_class: int = 0x04) -> DeliverSm | DataSm:
    payload: tuple[Tlv, ...] = ((Tag.MESSAGE_PAYLOAD, fixture.text),)
    if fixture.carrier == "data_sm":
        return DataSm(esm_class=esm_class, tlvs=(*fixture.tlvs, *payload), data_coding=fixture.data_coding)
    if fixture.carrier == "payload":
        return DeliverSm(esm_class=esm_class, tlvs=(*fixture.tlvs, *payload), data_coding=fixture.data_coding)
    return DeliverSm(
        esm_class=esm_class, short_message=fixture.text, tlvs=fixture.tlvs, data_coding=fixture.data_coding
    )


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_every_dialect_gives_its_id_and_state(fixture: ReceiptFixture) -> None:
    """D3, D5, D6, D7, D15, D20, users-ask 5: fixtures 1 to 20 and more; A10: a vendor parameter changes nothing."""
    receipt = read_receipt(on_the_wire(fixture))
    assert receipt is not None
    assert (receipt.smsc_id, receipt.state, receipt.err) == (fixture.smsc_id, fixture.state, fixture.err)
    assert receipt.flags == fixture.flags
    assert receipt.ids == (fixture.ids if fixture.ids is not None else tuple(filter(None, (fixture.smsc_id,))))
    assert (receipt.submitted, receipt.done) == (fixture.submitted, fixture.done)
    assert receipt.final == (receipt.state in FINAL_STATES)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_the_quick_way_and_the_tolerant_way_read_the_same(fixture: ReceiptFixture) -> None:
    quick = read_receipt(on_the_wire(fixture))
    pdu = on_the_wire(fixture)
    slow = read_receipt(pdu._replace(tlvs=(*pdu.tlvs, (0x1400, b""))))
    assert quick == slow


def test_an_mo_that_imitates_a_receipt_stays_an_mo() -> None:
    """D8, users-ask 6: the message type decides; a text alone is believed only where the account says so."""
    for fixture in FIXTURES:
        assert read_receipt(on_the_wire(fixture._replace(tlvs=()), esm_class=0x00)) is None
    believed = read_receipt(DeliverSm(short_message=APPENDIX_B), text_only=True)
    assert believed is not None
    assert (believed.smsc_id, believed.flags) == ("0123456789", ("text_only",))
    assert read_receipt(DeliverSm(short_message=b"stat: DELIVRD my parcel"), text_only=True) is None
    assert read_receipt(DeliverSm(short_message=b"hello"), text_only=True) is None


@pytest.mark.parametrize("tlvs", [(), TOLD[:1], TOLD[1:], TOLD])
@pytest.mark.parametrize("text", [b"", b"hello", APPENDIX_B])
@pytest.mark.parametrize("kind", range(0, 0x40, 4))
@pytest.mark.parametrize("other_bits", [0x00, 0x03, 0x80])
def test_type_parameters_and_text_are_classified_as_documented(
    tlvs: tuple[Tlv, ...], text: bytes, kind: int, other_bits: int
) -> None:
    """D8: message type first, then id and state in the parameters, never the text by itself."""
    receipt = read_receipt(DeliverSm(esm_class=kind | other_bits, short_message=text, tlvs=tlvs))
    is_one = kind in (0x04, 0x20) or (kind == 0 and tlvs == TOLD)
    assert (receipt is not None) == is_one
    if receipt is not None and kind == 0x20:
        assert not receipt.final
        assert receipt.state not in FINAL_STATES
        assert "intermediate" in receipt.flags


def test_a_receipt_behind_a_user_data_header_is_read() -> None:
    pdu = DeliverSm(esm_class=0x44, short_message=b"\x05\x00\x03\x07\x02\x01" + APPENDIX_B)
    receipt = read_receipt(pdu)
    assert receipt is not None
    assert receipt.smsc_id == "0123456789"


@pytest.mark.parametrize("label", [b"text:", b"Text: "])
def test_words_of_the_message_never_fill_in_for_missing_fields(label: bytes) -> None:
    """D7: text is the last field; what stands behind it is not read even where the field itself is absent."""
    words = label + b"stat:DELIVRD err:999 done date:0809011131"
    receipt = read_receipt(DeliverSm(esm_class=4, short_message=b"id:1 sub:001 " + words))
    assert receipt is not None
    assert (receipt.smsc_id, receipt.state, receipt.err, receipt.done) == ("1", MessageState.UNKNOWN, "", "")
    receipt = read_receipt(DeliverSm(esm_class=4, short_message=b"stat:EXPIRED " + words + b" id:1"))
    assert receipt is not None
    assert (receipt.smsc_id, receipt.state, receipt.err) == ("", MessageState.EXPIRED, "")


def test_message_payload_wins_over_short_message() -> None:
    """A11: both present, the payload counts."""
    pdu = DeliverSm(esm_class=4, short_message=b"id:1 stat:EXPIRED", tlvs=((Tag.MESSAGE_PAYLOAD, APPENDIX_B),))
    receipt = read_receipt(pdu)
    assert receipt is not None
    assert (receipt.smsc_id, receipt.state) == ("0123456789", MessageState.DELIVERED)


def test_network_error_code_gives_type_and_code() -> None:
    for octets, found in ((b"\x03\x00\x1b", (3, 27)), (b"\x03\x00", None), (b"", None)):
        receipt = read_receipt(
            DeliverSm(esm_class=4, short_message=APPENDIX_B, tlvs=((Tag.NETWORK_ERROR_CODE, octets),))
        )
        assert receipt is not None
        assert receipt.network_error == found


def test_the_last_of_repeated_parameters_counts() -> None:
    """A10: a duplicate parameter, last wins."""
    pdu = DeliverSm(esm_class=4, tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"1\0"), *TOLD))
    receipt = read_receipt(pdu)
    assert receipt is not None
    assert receipt.smsc_id == "77"


def test_dates_of_a_receipt_are_text_and_never_an_instant() -> None:
    """D15: missing, zero, 10, 12 or 14 digits or nonsense: informational only."""
    for date in (b"", b"0000000000", b"9912312359", b"301231235959", b"20991231235959", b"tomorrow", b"1" * 30):
        receipt = read_receipt(
            DeliverSm(esm_class=4, short_message=b"id:1 submit date:" + date + b" done date:" + date + b" stat:DELIVRD")
        )
        assert receipt is not None
        assert receipt.state is MessageState.DELIVERED
        assert receipt.done == (date.decode() if date.isdigit() and len(date) <= 14 else "")


@pytest.mark.parametrize("texts", amounts(10_000, 1_000_000))
def test_nothing_near_a_known_dialect_makes_reading_fail(texts: int, figure: Figure) -> None:
    """D6, users-ask 5: the corpus, damaged; most ids and states are still found."""
    dice = random.Random(5)
    whole = [fixture.text for fixture in FIXTURES if fixture.text]
    found = 0
    for _ in range(texts):
        receipt = read_receipt(DeliverSm(esm_class=4, short_message=bytes(mutated(dice.choice(whole), dice))))
        assert receipt is not None
        found += bool(receipt.smsc_id)
    assert 0.5 * texts < found < texts
    figure("users-ask 5: damaged receipt texts read, of which with an id", f"{texts:,}, {found / texts:.0%}")


@given(st.binary(max_size=300), st.sampled_from([0x04, 0x20, 0x44]), st.sampled_from([0, 8]))
@settings(max_examples=200)
def test_nothing_in_a_receipt_makes_reading_fail(octets: bytes, esm_class: int, data_coding: int) -> None:
    pdu = DeliverSm(esm_class=esm_class, short_message=octets, data_coding=data_coding)
    receipt = read_receipt(pdu)
    assert receipt is not None
    assert receipt.smsc_id.isprintable()
    assert scrub_text(octets, data_coding) is not None


@given(
    st.lists(
        st.sampled_from([b"id:", b"stat:", b"err:", b"text:", b"submit date:", b" ", b"DELIVRD", b"17", b"\n", b","]),
        max_size=20,
    )
)
@settings(max_examples=200)
def test_any_order_of_labels_is_read_without_failing(pieces: list[bytes]) -> None:
    assert read_receipt(DeliverSm(esm_class=4, short_message=b"".join(pieces))) is not None


# --- states


def test_every_state_has_a_rank_and_no_final_one_is_below_another() -> None:
    assert set(STATE_RANK) == set(MessageState)
    assert max(rank for state, rank in STATE_RANK.items() if state not in FINAL_STATES) < min(
        STATE_RANK[state] for state in FINAL_STATES
    )
    assert MessageState.ACCEPTED not in FINAL_STATES
    assert MessageState.UNKNOWN not in FINAL_STATES


def test_all_orders_of_arrival_end_in_the_same_state() -> None:
    """D9: intermediate before or after the final one, late ENROUTE."""
    for final in FINAL_STATES:
        reports = (MessageState.ENROUTE, MessageState.ACCEPTED, MessageState.UNKNOWN, final, MessageState.ENROUTE)
        assert {final_state(order) for order in itertools.permutations(reports)} == {final}


def test_delivered_stays_delivered_whatever_else_is_claimed() -> None:
    """D10: contradictory finals; D11: ACCEPTD is not delivery."""
    for final in FINAL_STATES:
        assert final_state((MessageState.DELIVERED, final)) is MessageState.DELIVERED
    assert final_state((MessageState.EXPIRED, MessageState.UNDELIVERABLE)) is MessageState.EXPIRED
    assert final_state((MessageState.ENROUTE, MessageState.ACCEPTED)) is MessageState.ACCEPTED


# --- ids


@pytest.mark.parametrize(
    ("submitted", "reported", "style"),
    [
        ("0123456789", "0123456789", IdStyle.PLAIN),
        ("39f99dd5", "0972660181", IdStyle.HEX_SUBMIT_DEC_RECEIPT),
        ("39F99DD5", "972660181", IdStyle.HEX_SUBMIT_DEC_RECEIPT),
        ("0972660181", "39f99dd5", IdStyle.DEC_SUBMIT_HEX_RECEIPT),
        ("04062581461565934000241", "4062581461565934000241", IdStyle.PLAIN),
        ("812FC7470000001B", "9308878062554710043", IdStyle.HEX_SUBMIT_DEC_RECEIPT),
        ("00B8BE19", "B8BE19", IdStyle.PLAIN),
        ("B8BE19", "00B8BE19", IdStyle.PLAIN),
        ("b8be19", "B8BE19", IdStyle.PLAIN),
        ("c449ab97-44f7-4b6a-9187-9e49e75e4f40", "C449AB97-44F7-4B6A-9187-9E49E75E4F40", IdStyle.PLAIN),
        (
            "c449ab97-44f7-4b6a-9187-9e49e75e4f40",
            "c449ab97-44f7-4b6a-9187-9e49e75e4f40",
            IdStyle.HEX_SUBMIT_DEC_RECEIPT,
        ),
        ("39f99dd5", "39f99dd5", IdStyle.HEX_SUBMIT_DEC_RECEIPT),
        ("000", "0", IdStyle.PLAIN),
    ],
)
def test_the_id_of_a_receipt_finds_its_part(submitted: str, reported: str, style: IdStyle) -> None:
    """D3: case, zeros, base and size of ids, fixtures 16 to 20."""
    assert set(submit_keys(submitted, style)) & set(receipt_keys(reported, style))
    assert set(submit_keys(submitted, IdStyle.ANY)) & set(receipt_keys(reported, IdStyle.ANY))


def test_a_plain_id_has_one_key_and_no_id_has_none() -> None:
    assert submit_keys("00Ab12") == ("ab12",)
    for style in IdStyle:
        assert submit_keys("", style) == ()
        assert receipt_keys(" ", style) == ()


numbers = st.integers(0, 2**256)
ids = st.text("0123456789abcdefABCDEFxyz-_.#", min_size=1, max_size=64)


@given(numbers, st.integers(0, 12), st.booleans())
@settings(max_examples=200)
def test_every_way_of_writing_one_number_matches(number: int, zeros: int, upper: bool) -> None:
    """D3, users-ask 3: decimal, hexadecimal, padded, any case, beyond 63 bits."""
    in_hex = f"{number:X}" if upper else f"{number:x}"
    decimal = f"{'0' * zeros}{number}"
    for style in (IdStyle.HEX_SUBMIT_DEC_RECEIPT, IdStyle.ANY):
        if len(decimal) <= 80:
            assert set(submit_keys(in_hex, style)) & set(receipt_keys(decimal, style))
    for style in (IdStyle.DEC_SUBMIT_HEX_RECEIPT, IdStyle.ANY):
        assert set(submit_keys(f"{number}", style)) & set(receipt_keys("0" * zeros + in_hex, style))


@given(ids, ids, st.sampled_from(list(IdStyle)))
@settings(max_examples=200)
def test_two_ids_share_a_stored_key_only_if_they_are_one_value(one: str, other: str, style: IdStyle) -> None:
    """D3: no two parts of an account are confused by normalising."""
    same_text = one.lower().lstrip("0") == other.lower().lstrip("0")
    shared = set(submit_keys(one, style)) & set(submit_keys(other, style))
    same_value = style is IdStyle.DEC_SUBMIT_HEX_RECEIPT and _dec_or_hex(one) == _dec_or_hex(other) is not None
    assert bool(shared) == (same_text or same_value)


def _dec_or_hex(text: str) -> int | None:
    try:
        return int(text) if text.isdigit() else int(text, 16) if "_" not in text else None
    except ValueError:
        return None


@pytest.mark.parametrize("style", IdStyle)
def test_ids_beyond_63_bits_do_not_collide(style: IdStyle) -> None:
    """D3: signed parsing collapsed such ids in a known engine."""
    ids_in_hex = [f"{0x812FC74700000000 + low:X}" for low in range(64)]
    stored = [key for message_id in ids_in_hex for key in submit_keys(message_id, style)]
    assert len(stored) == len(set(stored)) >= 64
    looked_up = [set(receipt_keys(str(int(message_id, 16)), style)) for message_id in ids_in_hex]
    assert all(not one & other for one, other in itertools.combinations(looked_up, 2))


# --- scrubbing


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda fixture: fixture.name)
def test_a_scrubbed_receipt_reads_the_same_and_holds_no_word_of_the_message(fixture: ReceiptFixture) -> None:
    scrubbed = scrub_text(fixture.text, fixture.data_coding)
    assert b"hello" not in scrubbed
    assert b"33612345601" not in scrubbed
    before = read_receipt(on_the_wire(fixture))
    after = read_receipt(on_the_wire(fixture._replace(text=scrubbed, data_coding=0)))
    assert before == after


@given(st.from_regex(r"\A[0-9]{6}\Z"), st.sampled_from(FIXTURES[:6]))
@settings(max_examples=50)
def test_a_code_in_the_text_is_gone_with_or_without_a_label(code: str, fixture: ReceiptFixture) -> None:
    secret = f"~{code}~ is your code stat:UNDELIV".encode()
    assert code.encode() + b"~" not in scrub_text(fixture.text.replace(b"hello", secret))
    assert scrub_text(b"Your code is " + secret[:8]) == b""
