"""Text to the parts that go on the wire: alphabet, size on the air, where to cut, headers.

A cut never falls inside an escape pair, a surrogate pair or a grapheme cluster; only a cluster longer than a
part is cut, between code points. Called by the sender for the bind it is about to use, and by the preview.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from itertools import pairwise
from typing import Final, NamedTuple

import regex

from engine.smpp.errors import NotEncodable, ProtocolError
from engine.smpp.pdu import Tag, Tlv
from engine.smpp.text import gsm7
from engine.smpp.text.alphabet import EXTENSION, Alphabet
from engine.smpp.text.coding import choose_alphabet, encode_text, normalise
from engine.smpp.text.udh import UDHI, Concat, concat_udh

MAX_PARTS: Final = 255
"""What the one octet for the number of parts allows."""

DEFAULT_MAX_PARTS: Final = 10


class Concatenation(StrEnum):
    """How a bind carries a text that is longer than one part."""

    UDH16 = "udh16"
    UDH8 = "udh8"
    SAR = "sar"
    PAYLOAD = "payload"


class TooManyParts(ProtocolError):
    """The text needs `count` parts, more than the cap; nothing was made (row E16)."""

    def __init__(self, count: int) -> None:
        super().__init__(f"the text needs {count} parts")
        self.count = count


class Segment(NamedTuple):
    """One PDU's share: `short_message` with its header, bits to OR into esm_class, parameters to add."""

    short_message: bytes
    esm_class_bits: int = 0
    tlvs: tuple[Tlv, ...] = ()


class Segments(NamedTuple):
    """A text cut for one bind."""

    data_coding: int
    alphabet: Alphabet
    parts: tuple[Segment, ...]


class Preview(NamedTuple):
    """What a text costs: `characters` as a person counts them, `units` septets, octets or UTF-16 units.

    `non_gsm` are the distinct characters that are not in the GSM 7-bit alphabet, in order of appearance.
    """

    alphabet: Alphabet
    characters: int
    units: int
    parts: int
    non_gsm: tuple[str, ...]


class _Room(NamedTuple):
    """Units that fit one message alone, and one part behind a header of 6 or 7 octets (TS 23.040)."""

    alone: int
    udh8: int
    udh16: int


_SEPTETS: Final = _Room(160, 153, 152)
_OCTETS: Final = _Room(140, 134, 133)
_UTF16_UNITS: Final = _Room(70, 67, 66)

_CLUSTER: Final = regex.compile(r"\X")
_EXTENDED: Final = frozenset(EXTENSION.values())


class _Plan(NamedTuple):
    data_coding: int
    alphabet: Alphabet
    units: int
    cuts: tuple[int, ...]  # indexes into the text, ends included: one part more than there are inner cuts


def _septets(cluster: str) -> int:
    return len(cluster) + sum(character in _EXTENDED for character in cluster)


def _utf16_units(cluster: str) -> int:
    return len(cluster) + sum(character > "\uffff" for character in cluster)


def _measure(text: str, alphabet: Alphabet) -> tuple[int, _Room, Callable[[str], int]]:
    if alphabet is Alphabet.UCS2:
        return _utf16_units(text), _UTF16_UNITS, _utf16_units
    # An SMSC turns its Latin-1 or ASCII into septets for the air wherever it can.
    stepped = gsm7.stepped(text)
    if stepped is None:
        return len(text), _OCTETS, len
    return gsm7.septets(stepped), _SEPTETS, _septets


def _plan(text: str, default: Alphabet, concatenation: Concatenation) -> _Plan:
    data_coding, alphabet = choose_alphabet(text, default=default)
    units, room, weigh = _measure(text, alphabet)
    if units <= room.alone:
        return _Plan(data_coding, alphabet, units, (0, len(text)))
    # An SMSC that splits for us (SAR, payload) adds a header of its own choice: 16-bit references for the
    # 16 bits of SAR, the usual 8 for a payload.
    eight_bit = concatenation in (Concatenation.UDH8, Concatenation.PAYLOAD)
    limit = room.udh8 if eight_bit else room.udh16
    if units == len(text) and alphabet is not Alphabet.UCS2 and "\r\n" not in text:
        cuts: Sequence[int] = range(limit, len(text), limit)  # every character is one unit and one cluster
    else:
        cuts = _cut(text, weigh, limit)
    return _Plan(data_coding, alphabet, units, (0, *cuts, len(text)))


def _cut(text: str, weigh: Callable[[str], int], limit: int) -> list[int]:
    cuts: list[int] = []
    used = at = 0
    for cluster in _CLUSTER.findall(text):
        weight = weigh(cluster)
        # A cluster that fits no part at all goes by its code points.
        for piece in (cluster,) if weight <= limit else cluster:
            piece_weight = weight if piece is cluster else weigh(piece)
            if used + piece_weight > limit:
                cuts.append(at)
                used = 0
            used += piece_weight
            at += len(piece)
    return cuts


def segment(
    text: str,
    *,
    default_alphabet: Alphabet = Alphabet.GSM7,
    concatenation: Concatenation = Concatenation.UDH16,
    reference: int = 0,
    max_parts: int = DEFAULT_MAX_PARTS,
) -> Segments:
    """`text` as the parts of one message; `reference` is used only where there are several.

    With `payload` a long text is one part with message_payload. Raises TooManyParts beyond `max_parts` (or
    255), NotEncodable for a lone surrogate or a reference that does not fit its width.
    """
    text = normalise(text)
    if default_alphabet is Alphabet.GSM7:  # the common case, before any planning
        stepped = gsm7.stepped(text)
        if stepped is not None and gsm7.septets(stepped) <= _SEPTETS.alone:
            return Segments(0, default_alphabet, (Segment(gsm7.finish(stepped)),))
    plan = _plan(text, default_alphabet, concatenation)
    cuts = plan.cuts
    total = len(cuts) - 1
    if total > min(max_parts, MAX_PARTS):
        raise TooManyParts(total)
    if total == 1:
        parts = [Segment(encode_text(text, plan.alphabet))]
    elif concatenation is Concatenation.PAYLOAD:
        parts = [Segment(b"", 0, ((Tag.MESSAGE_PAYLOAD, encode_text(text, plan.alphabet)),))]
    else:
        width = 8 if concatenation is Concatenation.UDH8 else 16
        if not 0 <= reference < 1 << width:
            raise NotEncodable(f"the reference does not fit {width} bits")
        bodies = [encode_text(text[start:end], plan.alphabet) for start, end in pairwise(cuts)]
        parts = [
            _part(body, Concat(reference, width, total, sequence), concatenation)
            for sequence, body in enumerate(bodies, start=1)
        ]
    return Segments(plan.data_coding, plan.alphabet, tuple(parts))


def _part(body: bytes, concat: Concat, concatenation: Concatenation) -> Segment:
    if concatenation is not Concatenation.SAR:
        return Segment(concat_udh(concat) + body, UDHI)
    return Segment(
        body,
        0,
        (
            (Tag.SAR_MSG_REF_NUM, concat.reference.to_bytes(2, "big")),
            (Tag.SAR_TOTAL_SEGMENTS, bytes((concat.total,))),
            (Tag.SAR_SEGMENT_SEQNUM, bytes((concat.sequence,))),
        ),
    )


def part_count(
    text: str,
    *,
    default_alphabet: Alphabet = Alphabet.GSM7,
    concatenation: Concatenation = Concatenation.UDH16,
) -> int:
    """How many parts a handset's operator will count; a payload counts as what the SMSC makes of it."""
    return len(_plan(normalise(text), default_alphabet, concatenation).cuts) - 1


def preview(
    text: str,
    default_alphabet: Alphabet = Alphabet.GSM7,
    concatenation: Concatenation = Concatenation.UDH16,
) -> Preview:
    """What sending `text` over such a bind would take, before anything is sent."""
    text = normalise(text)
    plan = _plan(text, default_alphabet, concatenation)
    return Preview(
        plan.alphabet,
        len(_CLUSTER.findall(text)),
        plan.units,
        len(plan.cuts) - 1,
        tuple(dict.fromkeys(character for character in text if character not in gsm7.REPERTOIRE)),
    )
