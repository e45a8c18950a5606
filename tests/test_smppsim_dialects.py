"""smppsim.dialects and receipt_text: each format is written as its operator does and read by the engine."""

from __future__ import annotations

from typing import get_args

import pytest

from engine.smpp.pdu import DeliverSm
from engine.smpp.receipts import MessageState, read_receipt
from smppsim.behaviour import Behaviour
from smppsim.dialects import DIALECTS
from smppsim.receipt_text import MESSAGE_STATES, ReceiptFields, ReceiptText, State

SAID = ReceiptFields(
    b"42", "delivered", None, 1_767_225_600_000_000, 1_767_225_665_000_000, b"stat:UNDELIV id:666", b"33612345601"
)
_SILENT = {"empty"}
_WITHOUT_ID = _SILENT | {"stat_only"}
_WITHOUT_ERR = _WITHOUT_ID | {"empty_err", "nul_err", "commas"}


def test_there_are_at_least_25_and_no_two_are_the_same() -> None:
    assert len({dialect.text for dialect in DIALECTS.values()}) == len(DIALECTS) >= 25


def test_the_states_have_one_name_each() -> None:
    assert get_args(State) == tuple(MESSAGE_STATES)
    assert set(MESSAGE_STATES) | {"scheduled"} == set(MessageState)


@pytest.mark.parametrize("state", MESSAGE_STATES)
@pytest.mark.parametrize("name", DIALECTS)
def test_the_engine_reads_every_dialect_in_every_state(name: str, state: str) -> None:
    """D6: whatever an operator writes, id and state are found, and the message's own words are not taken for them."""
    dialect = DIALECTS[name].text
    text = dialect.fill(SAID._replace(state=state))
    receipt = read_receipt(DeliverSm(esm_class=4, short_message=text, data_coding=8 if dialect.ucs2 else 0))
    assert receipt is not None
    assert receipt.smsc_id == ("" if name in _WITHOUT_ID else "42")
    # What the text does not say, optional parameters must.
    silent = name in _SILENT or (name == "commas" and state != "delivered")
    assert receipt.state == ("unknown" if silent else state)
    if name not in _WITHOUT_ERR:
        number = int(receipt.err, 16 if name == "hex_err" else 10)
        assert number == int(MESSAGE_STATES[state][2])


def test_the_standard_receipt_is_appendix_b() -> None:
    assert ReceiptText().fill(SAID) == (
        b"id:42 sub:001 dlvrd:001 submit date:2601010000 done date:2601010001 stat:DELIVRD err:000 "
        b"text:stat:UNDELIV id:666"
    )


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("seconds", b"submit date:260101000000 done date:260101000105"),
        ("full_years", b"done date:20260101000105"),
        ("zero_dates", b"submit date:0000000000"),
        ("four_digit_err", b"err:0027"),
        ("hex_err", b"err:01b"),
        ("vendor_words", b"stat:EXPIRED"),
        ("long_words", b"stat:EXPIRED"),
        ("lower_case_stat", b"stat:expired"),
        ("single_digit_counts", b"sub:1 dlvrd:0"),
        ("lines", b"\r\nstat:EXPIRED\r\nerr:027"),
        ("prose_first", b"Delivery report for your message to 33612345601: id:42"),
        ("commas", b"02,2601010001,2601010000,,33612345601,20260101000105,42"),
        ("ucs2", "stat:EXPIRED".encode("utf-16-be")),
    ],
)
def test_a_dialect_is_as_odd_as_its_name_says(name: str, part: bytes) -> None:
    assert part in DIALECTS[name].text.fill(SAID._replace(state="expired"))


def test_a_template_of_ones_own_may_hold_percent_signs_and_long_dates() -> None:
    assert ReceiptText("100% {stat}/{err} {done14}").fill(SAID._replace(err="21b")) == (
        b"100% DELIVRD/21b 20260101000105"
    )


def test_a_dialect_is_named_and_shown_by_its_name_and_a_template_as_itself() -> None:
    behaviour = Behaviour().changed({"receipt_text": "commas"})
    assert behaviour.receipt_text == DIALECTS["commas"].text
    assert behaviour.model_dump(mode="json")["receipt_text"] == "commas"
    own = Behaviour().changed({"receipt_text": {"template": "{id}={stat}", "ucs2": True}})
    assert own.model_dump(mode="json")["receipt_text"] == {"template": "{id}={stat}", "ucs2": True}
