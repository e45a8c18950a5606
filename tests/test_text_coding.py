"""data_coding both ways: alphabets chosen for what is sent, everything readable of what is received."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp.errors import NotEncodable
from engine.smpp.text import (
    Alphabet,
    UserDataHeader,
    alphabet_of,
    choose_alphabet,
    decode_text,
    encode_text,
)

DEFAULTS = [Alphabet.GSM7, Alphabet.LATIN1, Alphabet.ASCII, Alphabet.UCS2]


@pytest.mark.parametrize(
    ("text", "default", "chosen"),
    [
        ("code 123456", Alphabet.GSM7, (0, Alphabet.GSM7)),
        ("12 € [é]", Alphabet.GSM7, (0, Alphabet.GSM7)),
        ("façade", Alphabet.GSM7, (8, Alphabet.UCS2)),
        ("`", Alphabet.GSM7, (8, Alphabet.UCS2)),
        ("it’s", Alphabet.GSM7, (8, Alphabet.UCS2)),
        ("façade", Alphabet.LATIN1, (0, Alphabet.LATIN1)),
        ("12 €", Alphabet.LATIN1, (8, Alphabet.UCS2)),
        ("`~", Alphabet.ASCII, (0, Alphabet.ASCII)),
        ("é", Alphabet.ASCII, (8, Alphabet.UCS2)),
        ("code", Alphabet.UCS2, (8, Alphabet.UCS2)),
        ("", Alphabet.LATIN1, (0, Alphabet.LATIN1)),
    ],
)
def test_one_character_outside_the_default_alphabet_moves_the_whole_text_to_ucs2(
    text: str, default: Alphabet, chosen: tuple[int, Alphabet]
) -> None:
    """E14: ç is not in GSM 7-bit, and nothing is transliterated."""
    assert choose_alphabet(text, default=default) == chosen


def test_composed_and_decomposed_letters_are_one_text() -> None:
    """E14: NFC first; look-alikes of NFC (the ohm sign) become the letter that is in the table."""
    for text in ("é", "e\u0301"):
        assert encode_text(text, Alphabet.GSM7) == b"\x05"
        assert choose_alphabet(text) == (0, Alphabet.GSM7)
    assert encode_text("\u2126", Alphabet.GSM7) == b"\x15"


@pytest.mark.parametrize(
    ("text", "alphabet"),
    [
        ("ç", Alphabet.GSM7),
        ("€", Alphabet.LATIN1),
        ("é", Alphabet.ASCII),
        ("\ud800", Alphabet.UCS2),
        ("a", Alphabet.BINARY),
    ],
)
def test_a_text_that_does_not_fit_its_alphabet_is_refused_without_showing_it(text: str, alphabet: Alphabet) -> None:
    with pytest.raises(NotEncodable) as refused:
        encode_text(f"canary {text}", alphabet)
    assert "canary" not in str(refused.value)
    assert refused.value.__context__ is None


@given(st.text(max_size=120), st.sampled_from(DEFAULTS))
@settings(max_examples=200)
def test_what_is_sent_reads_back_as_the_normalised_text(text: str, default: Alphabet) -> None:
    data_coding, alphabet = choose_alphabet(text, default=default)
    decoded = decode_text(encode_text(text, alphabet), data_coding, default=default)
    expected = unicodedata.normalize("NFC", text)
    if alphabet is Alphabet.UCS2 and expected.startswith("\ufeff"):
        expected = expected[1:]
    if not expected.startswith("\ufffe"):
        assert (decoded.text, decoded.alphabet) == (expected, alphabet)


@given(st.binary(max_size=160), st.integers(0, 255), st.sampled_from(DEFAULTS))
@settings(max_examples=200)
def test_no_octets_under_any_data_coding_make_decoding_fail(octets: bytes, coding: int, default: Alphabet) -> None:
    """E9: every value 0 to 255 gives text or `binary`, never an exception."""
    decoded = decode_text(octets, coding, default=default)
    decoded.text.encode("utf-8")
    assert ("binary" in decoded.flags) == (decoded.alphabet is Alphabet.BINARY)
    if decoded.alphabet is Alphabet.BINARY:
        assert decoded.text == ""


@pytest.mark.parametrize(
    ("coding", "octets", "text", "flags"),
    [
        (0x01, b"a@`", "a@`", ()),
        (0x01, b"\xe9", "é", ("octet_beyond_ascii",)),
        (0x02, b"\x00\xff", "", ("binary",)),
        (0x03, b"\xe9@", "é@", ()),
        (0x04, b"abc", "", ("binary",)),
        (0x05, "日本".encode("shift_jis"), "日本", ()),
        (0x05, b"\xff\xff", "", ("unreadable", "binary")),
        (0x06, "Да".encode("iso8859_5"), "Да", ()),
        (0x07, "שלום".encode("iso8859_8"), "שלום", ()),
        (0x08, "Да 😀".encode("utf-16-be"), "Да 😀", ()),
        (0x09, b"abc", "", ("binary",)),
        (0x0A, "日本".encode("iso2022_jp"), "日本", ()),
        (0x0B, "Да".encode("utf-16-be"), "Да", ("reserved_coding",)),
        (0x0C, b"\x00a", "@a", ("reserved_coding",)),
        (0x0D, "丂".encode("iso2022_jp_1"), "丂", ()),
        (0x0E, "한글".encode("euc_kr"), "한글", ()),
        (0x0F, b"a", "a", ("reserved_coding",)),
        (0x10, b"flash \x00", "flash @", ("reserved_coding",)),
        (0x14, b"\x01\x02", "", ("reserved_coding", "binary")),
        (0x18, "é".encode("utf-16-be"), "é", ("reserved_coding",)),
        (0x20, b"\x01\x02", "", ("reserved_coding", "binary")),
        (0x80, b"a", "a", ("reserved_coding",)),
        (0xBF, b"a", "a", ("reserved_coding",)),
        (0xC8, b"a\x00", "a@", ()),
        (0xE0, b"ab", "", ("reserved_coding", "binary")),
        (0xF0, b"a\x00", "a@", ()),
        (0xF5, b"ab", "", ("binary",)),
    ],
)
def test_each_data_coding_is_read_as_the_table_says(
    coding: int, octets: bytes, text: str, flags: tuple[str, ...]
) -> None:
    """E9: reserved values give their best-effort text and a flag; the octets stay with the caller."""
    decoded = decode_text(octets, coding)
    assert (decoded.text, decoded.flags) == (text, flags)


def test_the_default_alphabet_is_the_binds_own() -> None:
    """E10: é under data_coding 0, whichever way the SMSC writes it."""
    assert decode_text(b"\xe9", 0, default=Alphabet.LATIN1) == ("é", (), Alphabet.LATIN1)
    assert decode_text(b"\x05", 0, default=Alphabet.GSM7) == ("é", (), Alphabet.GSM7)
    assert decode_text(b"\xe9", 0, default=Alphabet.GSM7) == ("é", ("octet_beyond_septet",), Alphabet.GSM7)
    assert decode_text(b"\x00\xe9", 0, default=Alphabet.UCS2) == ("é", (), Alphabet.UCS2)
    assert encode_text("é", Alphabet.LATIN1) == b"\xe9"
    assert encode_text("é", Alphabet.GSM7) == b"\x05"
    assert alphabet_of(0, default=Alphabet.LATIN1) is Alphabet.LATIN1
    assert alphabet_of(8, default=Alphabet.LATIN1) is Alphabet.UCS2


@pytest.mark.parametrize(
    ("octets", "text", "flags"),
    [
        (b"\xfe\xff\x00a", "a", ("byte_order_mark",)),
        (b"\xff\xfea\x00", "a", ("little_endian",)),
        (b"\x00a\x00", "a", ("odd_length",)),
        (b"\x00", "", ("odd_length",)),
        (b"\xd8\x3d", "\ufffd", ("lone_surrogate",)),
        (b"\xde\x00\x00a", "\ufffda", ("lone_surrogate",)),
        (b"\xd8\x3d\xde\x00", "😀", ()),
    ],
)
def test_odd_ucs2_is_repaired_and_flagged(octets: bytes, text: str, flags: tuple[str, ...]) -> None:
    """E11: byte order marks honoured and removed, an odd octet dropped, lone surrogates replaced."""
    assert decode_text(octets, 8) == (text, flags, Alphabet.UCS2)


def test_a_port_addressed_message_has_no_text() -> None:
    """E22: nothing for an application port is ever taken for words."""
    header = UserDataHeader(ports=(2948, 9200))
    for coding in (0x00, 0x04, 0x08, 0xF5):
        assert decode_text(b"\x00a", coding, udh=header) == ("", ("binary", "port_addressed"), Alphabet.BINARY)


def test_shift_tables_of_the_header_are_used() -> None:
    header = UserDataHeader(locking=1, single=1)
    assert decode_text(b"\x1c\x1bg", 0, udh=header).text == "Şğ"
    assert decode_text(b"", 0).text == ""
