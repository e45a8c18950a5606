"""Parts of a received message back to one text, as pure functions of the parts (rows E1 to E7).

Keeps nothing and waits for nothing: intake stores the parts under `AssemblyKey` and decides when to stop
waiting. Octets are joined before they are decoded, so a character cut by the sender comes back whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from engine.smpp.pdu import DataSm, DeliverSm, SubmitSm, Tag, tlv
from engine.smpp.text.alphabet import Alphabet
from engine.smpp.text.coding import decode_text
from engine.smpp.text.segments import Segment
from engine.smpp.text.udh import Concat, UserDataHeader, parse_udh, plausible

GAP: Final = "[…]"
"""Stands in the text where parts never came."""


class MoPart(NamedTuple):
    """One received part: its place, and what is needed to read it; `body` is without the header."""

    sequence: int
    body: bytes
    data_coding: int = 0
    locking: int = 0
    single: int = 0
    ports: bool = False
    flags: tuple[str, ...] = ()


class JoinedText(NamedTuple):
    """A whole message, or what there is of it: `missing` are the numbers of the parts that never came."""

    text: str
    flags: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()


class AssemblyKey(NamedTuple):
    """Parts belong together if these agree, on one operator account and close in time (row E4)."""

    source: bytes
    destination: bytes
    reference: int
    width: int
    total: int


Carrier = DeliverSm | DataSm | SubmitSm


def user_data(pdu: Carrier | Segment) -> tuple[bytes, tuple[str, ...]]:
    """The user data of a message PDU, or of a part that becomes one: message_payload before short_message (row A11)."""
    payload = tlv(pdu.tlvs, Tag.MESSAGE_PAYLOAD) if pdu.tlvs else None
    if isinstance(pdu, DataSm):
        return payload or b"", ()
    if payload is None:
        return pdu.short_message, ()
    return payload, ("payload_and_short_message",) if pdu.short_message else ()


def _sar(pdu: Carrier) -> tuple[Concat | None, tuple[str, ...]]:
    tlvs = pdu.tlvs
    reference = tlv(tlvs, Tag.SAR_MSG_REF_NUM)
    total = tlv(tlvs, Tag.SAR_TOTAL_SEGMENTS)
    sequence = tlv(tlvs, Tag.SAR_SEGMENT_SEQNUM)
    if not reference or not total or not sequence:
        return None, ()
    concat = Concat(int.from_bytes(reference, "big"), 16, total[-1], sequence[-1])
    return (concat, ()) if plausible(concat) else (None, ("concatenation_ignored",))


def _ports_in_tlvs(pdu: Carrier) -> bool:
    return tlv(pdu.tlvs, Tag.DESTINATION_PORT) is not None


def read_part(pdu: Carrier) -> tuple[MoPart, Concat | None]:
    """A message PDU as a part, and which part of what it is; None if it is a message by itself.

    The header's concatenation wins over the SAR parameters (row E7); numbers that cannot be right are
    ignored (row E5). Never raises.
    """
    octets, odd = user_data(pdu)
    header, body, header_odd = parse_udh(octets, pdu.esm_class)
    flags = (*odd, *header_odd)
    header = header or UserDataHeader()
    concat = header.concat
    ports = header.ports is not None
    if pdu.tlvs:
        ports = ports or _ports_in_tlvs(pdu)
        if concat is None:
            concat, sar_odd = _sar(pdu)
            flags = (*flags, *sar_odd)
    sequence = concat.sequence if concat else 1
    part = MoPart(sequence, body, pdu.data_coding, header.locking, header.single, ports, flags)
    return part, concat


def concat_of(pdu: Carrier) -> Concat | None:
    """Which part of which long message `pdu` is; None if it is a message by itself."""
    return read_part(pdu)[1]


def assembly_key(pdu: Carrier, concat: Concat) -> AssemblyKey:
    """What the parts of one message share, besides the operator account."""
    return AssemblyKey(pdu.source_addr, pdu.destination_addr, concat.reference, concat.width, concat.total)


def missing_parts(sequences: Iterable[int], total: int) -> tuple[int, ...]:
    """Which of 1 to `total` have not come yet; empty when the message is complete."""
    have = set(sequences)
    return tuple(sequence for sequence in range(1, total + 1) if sequence not in have)


def join(parts: Sequence[MoPart], *, total: int = 1, default: Alphabet = Alphabet.GSM7) -> JoinedText:
    """The text of the parts that came, in whatever order; never raises.

    Of two parts with one number the first is kept, and `conflicting_parts` flagged if they differ (row E3).
    Missing parts leave GAP in the text and the flag `incomplete` (row E2). A message with a binary or
    port-addressed part has no text (row E22).
    """
    flags: dict[str, None] = {}
    text: list[str] = []
    if total == len(parts) == 1 and parts[0].sequence == 1:
        flags.update(dict.fromkeys(parts[0].flags))
        is_binary = _decode_run([parts[0]], default, text, flags)
        return JoinedText("" if is_binary else text[0], tuple(flags))
    kept: dict[int, MoPart] = {}
    for part in parts:
        flags.update(dict.fromkeys(part.flags))
        first = kept.setdefault(part.sequence, part)
        if first is not part and (first.body, first.data_coding) != (part.body, part.data_coding):
            flags["conflicting_parts"] = None
    missing = missing_parts(kept, total)
    if missing:
        flags["incomplete"] = None

    binary = False
    run: list[MoPart] = []
    for part in sorted(kept.values()):
        # Parts that follow each other in one alphabet are one string of octets.
        if run and (_reading(part) != _reading(run[0]) or part.sequence != run[-1].sequence + 1):
            binary |= _decode_run(run, default, text, flags)
            run = []
        if part.sequence > 1 and part.sequence - 1 not in kept:
            text.append(GAP)
        run.append(part)
    if run:
        binary |= _decode_run(run, default, text, flags)
        if run[-1].sequence < total:
            text.append(GAP)
    return JoinedText("" if binary else "".join(text), tuple(flags), missing)


def _reading(part: MoPart) -> tuple[int, int, int, bool]:
    return part.data_coding, part.locking, part.single, part.ports


def _decode_run(run: list[MoPart], default: Alphabet, text: list[str], flags: dict[str, None]) -> bool:
    first = run[0]
    header = None
    if first.locking or first.single or first.ports:
        header = UserDataHeader(locking=first.locking, single=first.single, ports=(0, 0) if first.ports else None)
    decoded = decode_text(b"".join([part.body for part in run]), first.data_coding, default=default, udh=header)
    text.append(decoded.text)
    flags.update(dict.fromkeys(decoded.flags))
    return decoded.alphabet is Alphabet.BINARY
