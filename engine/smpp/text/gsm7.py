"""GSM 7-bit default alphabet, unpacked: one septet in each octet, as SMPP carries it (3GPP TS 23.038).

Encodes with the default table and its extension only; decodes with the national tables too. It never
packs septets, which is the SMSC's work. Called by `coding` and `segments`.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from engine.smpp.errors import NotEncodable
from engine.smpp.text.alphabet import BASIC, ESCAPE, EXTENSION
from engine.smpp.text.national import LOCKING, SINGLE, UNDEFINED

# `codecs.charmap_build` makes a C table only if code 0 is NUL, so "@" and the characters of the extension
# get codes above 0x7F for one step; where none of them occurs that step's octets are the result.
_SHIFTED: Final = ("@", *EXTENSION.values())
_SHIFTED_OCTETS: Final = (b"\x00", *(bytes((ESCAPE, code)) for code in EXTENSION))
_NOTHING: Final = "\ufffe"
_BUILT = codecs.charmap_build("\0" + _NOTHING.join(BASIC[1:].split("\x1b")) + "".join(_SHIFTED))
_FIRST_TWO_SEPTETS: Final = 0x81
_TWO_SEPTETS: Final = bytes(range(_FIRST_TWO_SEPTETS, 0x80 + len(_SHIFTED)))
_ABOVE: Final = re.compile(rb"[\x80-\xff]")

# Octets beyond a septet cannot be GSM 7-bit: an SMSC that means Latin-1 sent them.
_BEYOND: Final = UNDEFINED * 0x20 + "".join(map(chr, range(0xA0, 0x100)))
_DECODING: Final[dict[int, str]] = {0: BASIC + _BEYOND} | {
    language: table + _BEYOND for language, table in LOCKING.items()
}
_ESCAPED: Final = re.compile(rb"\x1b([\x00-\xff]?)")

REPERTOIRE: Final = frozenset(BASIC.replace("\x1b", "")) | frozenset(EXTENSION.values())
"""Every character that can be sent: 127 of the default alphabet and 10 of its extension."""


def _put_back(match: re.Match[bytes]) -> bytes:
    return _SHIFTED_OCTETS[match[0][0] - 0x80]


def stepped(text: str) -> bytes | None:
    """One octet for each character, above 0x80 for those of the extension; None if one is in neither table."""
    try:
        octets = codecs.charmap_encode(text, "strict", _BUILT)[0]
    except UnicodeEncodeError:
        return None
    return None if b"\0" in octets else octets


def septets(stepped_octets: bytes) -> int:
    """How many septets the octets of `stepped` take on the air."""
    if stepped_octets.isascii():
        return len(stepped_octets)
    return 2 * len(stepped_octets) - len(stepped_octets.translate(None, _TWO_SEPTETS))


def finish(stepped_octets: bytes) -> bytes:
    """The octets of `stepped`, or a slice of them, as they stand on the wire."""
    return stepped_octets if stepped_octets.isascii() else _ABOVE.sub(_put_back, stepped_octets)


def encode_gsm7(text: str) -> bytes:
    """`text` as unpacked septets, an escape before each character of the extension.

    Raises NotEncodable if a character is in neither table; nothing is transliterated (row E14).
    """
    octets = stepped(text)
    if octets is None:
        raise NotEncodable("the text has a character that is not in the GSM 7-bit alphabet")
    return finish(octets)


def decode_gsm7(octets: bytes, *, locking: int = 0, single: int = 0) -> tuple[str, tuple[str, ...]]:
    """Text of unpacked septets and what was odd about them; never raises.

    `locking` and `single` are the languages of the user data header's shift elements, 0 for none. An escape
    before a code that no table knows shows the code's own character, an escape before an escape a space, and
    an escape at the very end is dropped (TS 23.038 section 6.2.1.1).
    """
    odd: list[str] = []
    table = _DECODING.get(locking)
    if table is None:
        table = _DECODING[0]
        odd.append("unknown_locking_shift")
    shift = SINGLE.get(single) if single else EXTENSION
    if shift is None:
        shift = EXTENSION
        odd.append("unknown_single_shift")
    if not octets.isascii():
        odd.append("octet_beyond_septet")
    if ESCAPE not in octets:
        return codecs.charmap_decode(octets, "strict", table)[0], tuple(odd)

    pieces: list[str] = []
    start = 0
    for escape in _ESCAPED.finditer(octets):
        pieces.append(codecs.charmap_decode(octets[start : escape.start()], "strict", table)[0])
        start = escape.end()
        code = escape[1]
        if not code:
            odd.append("escape_at_end")
        elif code[0] == ESCAPE:
            pieces.append(" ")
            odd.append("unknown_escape")
        elif (character := shift.get(code[0])) is not None:
            pieces.append(character)
        else:
            pieces.append(table[code[0]])
            odd.append("unknown_escape")
    pieces.append(codecs.charmap_decode(octets[start:], "strict", table)[0])
    return "".join(pieces), tuple(dict.fromkeys(odd))
