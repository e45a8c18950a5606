"""The text of keys, tokens and sealed values: one spelling for each value, and no other is read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import base64url


@given(st.binary(max_size=70))
def test_what_was_written_is_read(octets: bytes) -> None:
    text = base64url.encode(octets)
    assert base64url.decode(text) == octets
    assert not set(text) & set("+/=")


@pytest.mark.parametrize("text", ["AA==", "AB", "A", "AA\n", " AA", "A+8", "A/8", "AÀ"])
def test_padding_other_alphabets_and_second_spellings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"base64url|ASCII"):
        base64url.decode(text)
