"""The GSM 7-bit alphabet and the national tables, against the code charts of TS 23.038."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.smpp.errors import NotEncodable
from engine.smpp.text import decode_gsm7, encode_gsm7
from engine.smpp.text.gsm7 import REPERTOIRE
from engine.smpp.text.national import LOCKING, SINGLE

# Row by row as the specification prints it, apart from the table in the module.
CHART = """
@ £ $ ¥ è é ù ì ò Ç LF Ø ø CR Å å
Δ _ Φ Γ Λ Ω Π Ψ Σ Θ Ξ ESC Æ æ ß É
SP ! " # ¤ % & ' ( ) * + , - . /
0 1 2 3 4 5 6 7 8 9 : ; < = > ?
¡ A B C D E F G H I J K L M N O
P Q R S T U V W X Y Z Ä Ö Ñ Ü §
¿ a b c d e f g h i j k l m n o
p q r s t u v w x y z ä ö ñ ü à
""".split()  # noqa: SIM905 - a chart, not a list
NAMED = {"LF": "\n", "CR": "\r", "SP": " "}
EXTENSION = {
    0x0A: "\f", 0x14: "^", 0x28: "{", 0x29: "}", 0x2F: "\\", 0x3C: "[", 0x3D: "~", 0x3E: "]", 0x40: "|", 0x65: "€",
}  # fmt: skip


def test_all_128_codes_and_10_extensions_round_trip() -> None:
    """E15: the whole table, `@` as octet 0 and § at 0x5F among them."""
    assert len(CHART) == 128
    for code, name in enumerate(CHART):
        if name == "ESC":
            continue
        character = NAMED.get(name, name)
        assert encode_gsm7(character) == bytes((code,))
        assert decode_gsm7(bytes((code,))) == (character, ())
    for code, character in EXTENSION.items():
        assert encode_gsm7(character) == bytes((0x1B, code))
        assert decode_gsm7(bytes((0x1B, code))) == (character, ())
    assert len(REPERTOIRE) == 127 + 10


@pytest.mark.parametrize(
    "character", ["`", "\x1b", "\0", "ç", "ê", "’", "\u00a0", "€\u0301", "😀", "Ğ", "\ud800", "\x80"]
)
def test_what_is_not_in_the_table_is_refused_and_never_replaced(character: str) -> None:
    """E14, E15: a backtick has no code; ESC and NUL are not characters."""
    with pytest.raises(NotEncodable) as refused:
        encode_gsm7(f"secret {character}")
    assert "secret" not in str(refused.value)
    assert refused.value.__context__ is None


def test_at_signs_do_not_end_a_text() -> None:
    """E15: `@` is octet 0x00, and nothing here stops at a NUL."""
    assert encode_gsm7("a@b@") == b"a\x00b\x00"
    assert decode_gsm7(b"a\x00b\x00") == ("a@b@", ())


@given(st.text(st.sampled_from(sorted(REPERTOIRE)), max_size=200))
@settings(max_examples=200)
def test_any_text_of_the_repertoire_round_trips(text: str) -> None:
    """E15: property over the whole repertoire."""
    octets = encode_gsm7(text)
    assert octets.isascii()
    assert decode_gsm7(octets) == (text, ())


@pytest.mark.parametrize(
    ("octets", "text", "flags"),
    [
        (b"a\x1b", "a", ("escape_at_end",)),
        (b"\x1b", "", ("escape_at_end",)),
        (b"\x1b\x1bx", " x", ("unknown_escape",)),
        (b"\x1b\x1b\x65", " e", ("unknown_escape",)),
        (b"\x1bA\x1be", "A€", ("unknown_escape",)),
        (b"\x1b\x00", "@", ("unknown_escape",)),
        (b"caf\xe9", "café", ("octet_beyond_septet",)),
        (b"\x85", "\ufffd", ("octet_beyond_septet",)),
        (b"\x1b\xe9", "é", ("octet_beyond_septet", "unknown_escape")),
        (b"", "", ()),
    ],
)
def test_escapes_without_meaning_and_eight_bit_octets_are_read_and_flagged(
    octets: bytes, text: str, flags: tuple[str, ...]
) -> None:
    """E10: bytes of 0x80 and more in "GSM" are read as the Latin-1 they are, and flagged."""
    assert decode_gsm7(octets) == (text, flags)


@given(st.binary(max_size=100), st.integers(0, 20), st.integers(0, 20))
@settings(max_examples=200)
def test_no_octets_and_no_language_make_decoding_fail(octets: bytes, locking: int, single: int) -> None:
    text, _ = decode_gsm7(octets, locking=locking, single=single)
    assert len(text) <= len(octets)


def test_turkish_tables() -> None:
    assert decode_gsm7(b"\x1c\x1d\x0b\x0c\x07\x40\x60\x04", locking=1) == ("ŞşĞğıİç€", ())
    octets = b"\x1bG\x1bI\x1bS\x1bc\x1be\x1bg\x1bi\x1bs\x1b("
    assert decode_gsm7(octets, single=1) == ("ĞİŞç€ğış{", ())


def test_spanish_has_a_single_shift_table_alone() -> None:
    octets = b"\x1bA\x1bI\x1bO\x1bU\x1ba\x1bi\x1bo\x1bu\x1b\x09\x1be"
    assert decode_gsm7(octets, single=2) == ("ÁÍÓÚáíóúç€", ())
    assert decode_gsm7(b"abc", locking=2) == ("abc", ("unknown_locking_shift",))


def test_portuguese_tables() -> None:
    octets = bytes((0x04, 0x06, 0x07, 0x08, 0x09, 0x0B, 0x0C, 0x0E, 0x0F, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18))
    assert decode_gsm7(octets, locking=3) == ("êúíóçÔôÁáªÇÀ∞^\\€", ())
    assert decode_gsm7(b"\x19\x1a\x1c\x1d\x1e\x24\x40\x5b\x5c\x5d\x60\x7b\x7c\x7d", locking=3) == ("Ó|ÂâÊºÍÃÕÚ~ãõ`", ())
    assert decode_gsm7(b"\x1b\x05\x1b\x1f\x1b\x5b\x1b\x61\x1b\x7f\x1b\x13", single=3) == ("êÊÃÂâΓ", ())


@pytest.mark.parametrize(
    ("language", "octets", "text"),
    [
        (4, b"\x00\x03\x15\x7b\x7f\x1b\x19\x1b\x34", "\u0981\u0985\u0995\u09d7\u09f1\u09e6\u09fa"),
        (5, b"\x00\x0c\x57\x7f\x1b\x1c\x1b\x19", "\u0a81\u0a8d\u0ac5\u0af1\u0ae6\u0964"),
        (6, b"\x00\x12\x60\x7f\x1b\x2c\x1b\x3a", "\u0901\u0912\u0950\u097f\u0958\u0971"),
        (7, b"\x01\x24\x45\x60\x1b\x26\x1b\x2a", "\u0c82\u0ca1\u0cb1\u0cd5\u0cde\u0cf2"),
        (8, b"\x02\x48\x7f\x1b\x2e\x1b\x34", "\u0d03\u0d34\u0d79\u0d7a\u0d7f"),
        (9, b"\x00\x60\x7b\x1b\x26\x1b\x2c", "\u0b01\u0b56\u0b57\u0b5c\u0b71"),
        (10, b"\x08\x47\x7f\x1b\x2c\x1b\x2d", "\u0a0a\u0a33\u0a74\u0a5e\u0a75"),
        (11, b"\x1d\x3c\x7f\x1b\x24\x1b\x2e", "\u0b9c\u0ba9\u0bf9\u0bee\u0bfa"),
        (12, b"\x00\x45\x7f\x1b\x22\x1b\x32", "\u0c01\u0c31\u0c63\u0c6c\u0c7f"),
        (13, b"\x00\x47\x7f\x1b\x19\x1b\x1a\x1b\x3f", "\u0627\u06a9\u0670\u0600\u0601\u06d4"),
    ],
)
def test_tables_of_india_and_urdu(language: int, octets: bytes, text: str) -> None:
    assert decode_gsm7(octets, locking=language, single=language) == (text, ())
    assert decode_gsm7(b"\x1b@\x1b(\x1b<\x1be\x1bQ\x1b\x0c0a", locking=language, single=language) == ("|{[€Q+0a", ())


def test_tables_are_complete_and_agree_with_unicode_blocks() -> None:
    assert set(LOCKING) == {1, *range(3, 14)}
    assert set(SINGLE) == set(range(1, 14))
    blocks = {4: 0x0980, 5: 0x0A80, 6: 0x0900, 7: 0x0C80, 8: 0x0D00, 9: 0x0B00, 10: 0x0A00, 11: 0x0B80, 12: 0x0C00}
    for language, table in LOCKING.items():
        assert len(table) == 128
        letters = [character for character in table if character > "\u0500" and character not in "€∞\ufffd"]
        assert len(set(letters)) == len(letters)
        if language in blocks:
            assert all(blocks[language] <= ord(letter) < blocks[language] + 0x80 for letter in letters)
            assert letters == sorted(letters)


def test_an_unknown_language_falls_back_to_the_default_tables() -> None:
    assert decode_gsm7(b"a\x1be", locking=14, single=99) == ("a€", ("unknown_locking_shift", "unknown_single_shift"))


def test_a_code_that_a_national_table_leaves_open_is_the_replacement_character() -> None:
    assert decode_gsm7(b"\x00", locking=7) == ("\ufffd", ())
    assert decode_gsm7(b"\x1b\x7f", single=2) == ("à", ("unknown_escape",))
