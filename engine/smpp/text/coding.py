"""data_coding: which alphabet a text is sent in, and how the octets of a received one are read.

Both ways follow `smpp-facts` section 7 (SMPP 3.4 section 5.2.19 and, for the values it leaves to GSM,
TS 23.038 section 4). Called by the sender through `segments`, by intake through `reassembly`.
"""

from __future__ import annotations

import unicodedata
from typing import Final, NamedTuple

from engine.smpp.errors import NotEncodable
from engine.smpp.text import gsm7
from engine.smpp.text.alphabet import Alphabet
from engine.smpp.text.udh import UserDataHeader

DEFAULT_CODING: Final = 0x00
UCS2_CODING: Final = 0x08

_EIGHT_BIT: Final = {Alphabet.LATIN1: "latin-1", Alphabet.ASCII: "ascii"}


class DecodedText(NamedTuple):
    """A received text. `flags` name everything that was guessed or repaired; a binary message has no text."""

    text: str
    flags: tuple[str, ...] = ()
    alphabet: Alphabet = Alphabet.GSM7


def normalise(text: str) -> str:
    """NFC, the only change ever made to a text that is sent: look-alikes stay what they are (row E14)."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def choose_alphabet(text: str, *, default: Alphabet = Alphabet.GSM7) -> tuple[int, Alphabet]:
    """The data_coding and alphabet in which the whole text can be sent over a bind with that default alphabet.

    One character outside the default alphabet moves the whole message to UCS-2.
    """
    text = normalise(text)
    if default is Alphabet.GSM7:
        fits = gsm7.stepped(text) is not None
    elif default is Alphabet.ASCII:
        fits = text.isascii()
    elif default is Alphabet.LATIN1:
        fits = text.isascii() or max(text) < "\u0100"
    else:
        fits = False
    return (DEFAULT_CODING, default) if fits else (UCS2_CODING, Alphabet.UCS2)


def encode_text(text: str, alphabet: Alphabet) -> bytes:
    """Octets of `text`, NFC first; UCS-2 is big-endian with surrogate pairs beyond the basic plane.

    Raises NotEncodable, without the text, if a character is not in the alphabet.
    """
    text = normalise(text)
    if alphabet is Alphabet.GSM7:
        return gsm7.encode_gsm7(text)
    codec = "utf-16-be" if alphabet is Alphabet.UCS2 else _EIGHT_BIT.get(alphabet)
    octets = None if codec is None else _encoded(text, codec)
    if octets is None:
        raise NotEncodable(f"the text cannot be written in {alphabet.value}")
    return octets


def _encoded(text: str, codec: str) -> bytes | None:
    # The error of the codec holds the text: it must not become the cause or context of ours.
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        return None


def _alphabet_table() -> tuple[tuple[Alphabet, str | None], ...]:
    """For each data_coding its alphabet and, where the value is not one SMPP defines, the flag to raise."""
    table: list[tuple[Alphabet, str | None]] = []
    smpp = {
        0x01: Alphabet.ASCII,
        0x02: Alphabet.BINARY,
        0x03: Alphabet.LATIN1,
        0x04: Alphabet.BINARY,
        0x05: Alphabet.JAPANESE,
        0x06: Alphabet.CYRILLIC,
        0x07: Alphabet.HEBREW,
        0x08: Alphabet.UCS2,
        0x09: Alphabet.BINARY,  # pictograms: no public code chart
        0x0A: Alphabet.JAPANESE,
        0x0D: Alphabet.JAPANESE,
        0x0E: Alphabet.KOREAN,
    }
    for coding in range(0x100):
        if coding == DEFAULT_CODING:
            table.append((Alphabet.GSM7, None))  # replaced by the bind's default alphabet
        elif coding in smpp:
            table.append((smpp[coding], None))
        elif coding < 0xC0:
            table.append((_gsm_general(coding), "reserved_coding"))
        elif coding < 0xE0:
            table.append((Alphabet.GSM7, None))
        elif coding < 0xF0:
            table.append((Alphabet.BINARY, "reserved_coding"))
        else:
            table.append((Alphabet.BINARY if coding & 0x04 else Alphabet.GSM7, None))
    return tuple(table)


def _gsm_general(coding: int) -> Alphabet:
    """The alphabet if a peer put a GSM data coding scheme of the general group into data_coding."""
    if coding >= 0x80:
        return Alphabet.GSM7  # reserved groups: TS 23.038 says to assume the default alphabet
    if coding & 0x20:
        return Alphabet.BINARY  # compressed
    return (Alphabet.GSM7, Alphabet.BINARY, Alphabet.UCS2, Alphabet.GSM7)[coding >> 2 & 0x03]


_ALPHABETS: Final = _alphabet_table()
_NATIONAL_CODECS: Final[dict[int, tuple[str, ...]]] = {
    0x05: ("shift_jis",),
    0x06: ("iso8859_5",),
    0x07: ("iso8859_8",),
    0x0A: ("iso2022_jp",),
    0x0D: ("iso2022_jp_1", "euc_jp"),
    0x0E: ("euc_kr",),
}


def alphabet_of(data_coding: int, *, default: Alphabet = Alphabet.GSM7) -> Alphabet:
    """The alphabet that a data_coding (0 to 255) means on a bind with that default alphabet."""
    return default if data_coding == DEFAULT_CODING else _ALPHABETS[data_coding & 0xFF][0]


def decode_text(
    octets: bytes,
    data_coding: int,
    *,
    default: Alphabet = Alphabet.GSM7,
    udh: UserDataHeader | None = None,
) -> DecodedText:
    """The text of a message body (its user data header already taken off); never raises.

    What cannot be read as text, or is addressed to an application port, has an empty text and the flag
    `binary`: no conversation may answer it (rows E9 to E11, E22).
    """
    if udh is not None and udh.ports is not None:
        return DecodedText("", ("binary", "port_addressed"), Alphabet.BINARY)
    alphabet, unusual = _ALPHABETS[data_coding & 0xFF]
    if data_coding == DEFAULT_CODING:
        alphabet = default
    odd = () if unusual is None else (unusual,)
    if alphabet is Alphabet.GSM7:
        text, flags = gsm7.decode_gsm7(octets, locking=udh.locking if udh else 0, single=udh.single if udh else 0)
        return DecodedText(text, (*odd, *flags), alphabet)
    if alphabet is Alphabet.UCS2:
        text, flags = _decode_ucs2(octets)
        return DecodedText(text, (*odd, *flags), alphabet)
    if alphabet is Alphabet.LATIN1:
        return DecodedText(octets.decode("latin-1"), odd, alphabet)
    if alphabet is Alphabet.ASCII:
        # Latin-1 is what peers mean that use the eighth bit here.
        flags = () if octets.isascii() else ("octet_beyond_ascii",)
        return DecodedText(octets.decode("latin-1"), (*odd, *flags), alphabet)
    for codec in _NATIONAL_CODECS.get(data_coding, ()):
        try:
            return DecodedText(octets.decode(codec), odd, alphabet)
        except UnicodeDecodeError:
            continue
    unreadable = () if alphabet is Alphabet.BINARY else ("unreadable",)
    return DecodedText("", (*odd, *unreadable, "binary"), Alphabet.BINARY)


def _decode_ucs2(octets: bytes) -> tuple[str, tuple[str, ...]]:
    odd: list[str] = []
    if len(octets) % 2:
        octets = octets[:-1]
        odd.append("odd_length")
    codec = "utf-16-be"
    if octets[:2] == b"\xfe\xff":
        octets = octets[2:]
        odd.append("byte_order_mark")
    elif octets[:2] == b"\xff\xfe":
        octets = octets[2:]
        codec = "utf-16-le"
        odd.append("little_endian")
    try:
        return octets.decode(codec), tuple(odd)
    except UnicodeDecodeError:
        odd.append("lone_surrogate")
        return octets.decode(codec, "replace"), tuple(odd)
