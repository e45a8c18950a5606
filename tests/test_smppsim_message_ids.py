"""smppsim.message_ids: every form is one that the engine's keys can follow from response to receipt."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.smpp.receipts import IdStyle, receipt_keys, submit_keys
from smppsim.message_ids import IdForm, write_id

NUMBERS = st.integers(0, 2**31 - 1)


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.sampled_from(IdForm))
def test_two_numbers_never_share_an_id_of_one_form(one: int, other: int, form: IdForm) -> None:
    assert (write_id(one, form) == write_id(other, form)) == (one == other)
    assert len(write_id(one, form)) <= 64


def test_the_forms_of_an_id_differ_as_operators_do() -> None:
    assert write_id(255, IdForm.decimal) == b"255"
    assert write_id(255, IdForm.padded) == b"0000000255"
    assert write_id(255, IdForm.hex) == b"ff"
    assert write_id(255, IdForm.upper_hex) == b"FF"
    assert int(write_id(255, IdForm.huge), 16) == int(write_id(255, IdForm.huge_decimal)) > 2**63
    assert len(write_id(255, IdForm.uuid)) == 36
    assert write_id(255, IdForm.uuid_hex) == write_id(255, IdForm.uuid).replace(b"-", b"")
    assert write_id(255, IdForm.zero_led) == b"0" + write_id(255, IdForm.long_decimal)
    assert write_id(255, IdForm.padded_upper_hex) == write_id(255, IdForm.padded_hex).upper() == b"%016X" % 255


_DIFFERENT = [
    (IdForm.decimal, IdForm.padded, IdStyle.PLAIN),
    (IdForm.hex, IdForm.upper_hex, IdStyle.PLAIN),
    (IdForm.padded_upper_hex, IdForm.hex, IdStyle.PLAIN),
    (IdForm.zero_led, IdForm.long_decimal, IdStyle.PLAIN),
    (IdForm.hex, IdForm.decimal, IdStyle.HEX_SUBMIT_DEC_RECEIPT),
    (IdForm.padded_hex, IdForm.padded, IdStyle.HEX_SUBMIT_DEC_RECEIPT),
    (IdForm.huge, IdForm.huge_decimal, IdStyle.HEX_SUBMIT_DEC_RECEIPT),
    (IdForm.decimal, IdForm.upper_hex, IdStyle.DEC_SUBMIT_HEX_RECEIPT),
    (IdForm.huge_decimal, IdForm.huge, IdStyle.DEC_SUBMIT_HEX_RECEIPT),
]


@pytest.mark.parametrize(
    ("response", "receipt", "style"), [*((form, form, IdStyle.PLAIN) for form in IdForm), *_DIFFERENT]
)
@given(number=NUMBERS)
def test_the_id_of_a_receipt_finds_the_response_that_was_written_otherwise(
    response: IdForm, receipt: IdForm, style: IdStyle, number: int
) -> None:
    """D3: padded, in the other case, in the other base, as a UUID, beyond 63 bits, or without its leading zero."""
    stored = submit_keys(write_id(number, response).decode(), style)
    looked_up = receipt_keys(write_id(number, receipt).decode(), style)
    assert set(stored) & set(looked_up)
    assert not set(stored) & set(receipt_keys(write_id(number ^ 1, receipt).decode(), style))
