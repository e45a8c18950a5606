"""The alphabets a short message may be written in, and the tables of the GSM 7-bit one (3GPP TS 23.038).

Holds data alone; `gsm7`, `coding` and `national` work with it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Alphabet(StrEnum):
    """How the octets of a message are read; the first four may be a bind's default alphabet."""

    GSM7 = "gsm7"
    LATIN1 = "latin1"
    ASCII = "ascii"
    UCS2 = "ucs2"
    CYRILLIC = "cyrillic"
    HEBREW = "hebrew"
    JAPANESE = "japanese"
    KOREAN = "korean"
    BINARY = "binary"


ESCAPE: Final = 0x1B

BASIC: Final = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
"""The default alphabet by code (section 6.2.1)."""

EXTENSION: Final[dict[int, str]] = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
"""What the code after an escape means without a national table (section 6.2.1.1); two septets each."""
