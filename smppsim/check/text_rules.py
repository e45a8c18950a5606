"""Rules about the text of messages: octets against data_coding, headers, and how long texts are cut.

Each is a pure function of the trace; `rules` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from engine.smpp.pdu import DataSm, SubmitSm, Tag, tlv
from engine.smpp.text import UDHI, Alphabet, AssemblyKey, alphabet_of, assembly_key, parse_udh, read_part, user_data
from engine.smpp.text.alphabet import ESCAPE
from smppsim.check.findings import Finding, advice, right, wrong
from smppsim.check.trace import Seen, Trace

_OCTETS: Final = 140
_SEPTETS: Final = 160
_PATIENCE_S: Final = 30.0
_HEADS: Final = (b"\x05\x00\x03", b"\x06\x08\x04")
_HIGH = range(0xD800, 0xDC00)
_LOW = range(0xDC00, 0xE000)


class _Long(NamedTuple):
    """The parts of one long message that have come, by number."""

    key: AssemblyKey
    parts: dict[int, Seen]


def _alphabet(pdu: SubmitSm | DataSm) -> Alphabet:
    return alphabet_of(pdu.data_coding)


def octets_fit(default: Alphabet, trace: Trace) -> Iterator[Finding]:
    """The octets are of the alphabet that data_coding names (section 5.2.19; E9 to E11)."""
    for seen, pdu in trace.submits():
        part, _ = read_part(pdu)
        if not part.body:
            continue
        coding = f"data_coding 0x{pdu.data_coding:02X}"
        alphabet = alphabet_of(pdu.data_coding, default=default)
        seven = alphabet in (Alphabet.GSM7, Alphabet.ASCII)
        if seven and any(octet > 0x7F for octet in part.body):
            yield wrong(f"{coding} with octets above 0x7F: another alphabet, or packed septets", seen)
        elif alphabet is Alphabet.UCS2 and len(part.body) % 2:
            yield wrong(f"{coding} with an odd number of octets", seen)
        elif alphabet is Alphabet.UCS2 and part.body[:2] in (b"\xff\xfe", b"\xfe\xff"):
            yield wrong(f"{coding} with a byte order mark, which the phone shows", seen)
        elif alphabet is Alphabet.UCS2 and _looks_little_endian(part.body):
            yield wrong(f"{coding} in little-endian order", seen)
        elif pdu.data_coding > 0x0F and alphabet is Alphabet.BINARY and pdu.data_coding < 0xF0:
            yield advice(f"{coding} is reserved", seen)
        else:
            yield right("as data_coding says", seen)


def _looks_little_endian(octets: bytes) -> bool:
    """Whether most units have their zero octet second: Latin letters written backwards."""
    units = len(octets) // 2
    return octets[1::2].count(0) * 2 > units and octets[0::2].count(0) * 2 < units


def length(trace: Trace) -> Iterator[Finding]:
    """A part fits one short message: 140 octets or 160 septets with its header (section 5.2.21; TS 23.040)."""
    for seen, pdu in trace.submits():
        if isinstance(pdu, DataSm) or tlv(pdu.tlvs, Tag.MESSAGE_PAYLOAD) is not None:
            continue
        header, body, _ = parse_udh(pdu.short_message, pdu.esm_class)
        head = len(pdu.short_message) - len(body)
        if _alphabet(pdu) is Alphabet.GSM7:
            size, room, unit = len(body), (_OCTETS - head) * 8 // 7 if head else _SEPTETS, "septets"
        elif _alphabet(pdu) is Alphabet.ASCII:
            continue  # how an operator packs it is its own affair
        else:
            size, room, unit = len(body), _OCTETS - head, "octets"
        if size > room:
            with_header = " after the header" if header is not None else ""
            yield wrong(f"{size} {unit} where {room} fit{with_header}", seen)
        else:
            yield right("fits one short message", seen)


def header(trace: Trace) -> Iterator[Finding]:
    """A user data header is sound and announced in esm_class (section 5.2.12; A12, E7)."""
    for seen, pdu in trace.submits():
        octets, _ = user_data(pdu)
        if not pdu.esm_class & UDHI:
            if octets[:3] in _HEADS:
                yield wrong("a concatenation header without the UDHI bit: the phone shows it", seen)
            continue
        _, _, odd = parse_udh(octets, pdu.esm_class)
        if "udh_malformed" in odd:
            yield wrong("UDHI set, and no sound header", seen)
        elif "concatenation_ignored" in odd:
            yield wrong("concatenation numbers that cannot be: total below 2, number 0 or above the total", seen)
        else:
            yield right("sound", seen)


def _long_messages(trace: Trace) -> list[_Long]:
    """Long messages in the order of their first parts; a part that comes again is no news, another text is."""
    found: list[_Long] = []
    current: dict[AssemblyKey, _Long] = {}
    for seen, pdu in trace.submits():
        _, concat = read_part(pdu)
        if concat is None:
            continue
        key = assembly_key(pdu, concat)
        group = current.get(key)
        known = None if group is None else group.parts.get(concat.sequence)
        if group is None or (known is not None and _octets(known) != _octets(seen)):
            group = current[key] = _Long(key, {})
            found.append(group)
        group.parts.setdefault(concat.sequence, seen)
    return found


def complete(trace: Trace) -> Iterator[Finding]:
    """Every part of a long message is sent, unless one was refused or lost (E17)."""
    for group in _long_messages(trace):
        parts = list(group.parts.values())
        missing = group.key.total - len(parts)
        last = parts[-1]
        if not missing:
            yield right(f"all {group.key.total} parts", last)
        elif trace.now - last.at > _PATIENCE_S and all(_taken(part) for part in parts):
            yield wrong(f"{missing} of {group.key.total} parts never came", last)


def _taken(seen: Seen) -> bool:
    return seen.answered is not None and not seen.answered.header.command_status


def together(trace: Trace) -> Iterator[Finding]:
    """The parts of a message go out on one bind, in their order (E18)."""
    for group in _long_messages(trace):
        if len(group.parts) < group.key.total:
            continue
        parts = list(group.parts.values())
        if len({part.link.number for part in parts}) > 1:
            yield advice("parts of one message over several binds", parts[0])
        elif list(group.parts) != sorted(group.parts):
            yield advice("parts of one message out of order", parts[0])
        else:
            yield right("on one bind, in order", parts[0])


def references(trace: Trace) -> Iterator[Finding]:
    """Long messages to one number differ in their reference (section 5.3.2.22; E4, E19)."""
    latest: dict[tuple[bytes, bytes], _Long] = {}
    for group in _long_messages(trace):
        pair = (group.key.source, group.key.destination)
        before = latest.get(pair)
        first = next(iter(group.parts.values()))
        latest[pair] = group
        if before is None or before.key != group.key:
            if before is not None:
                yield right("another reference for the next message", first)
        else:
            yield wrong(f"reference {group.key.reference} for two messages in a row to one number", first)


def _octets(seen: Seen) -> bytes:
    assert isinstance(seen.pdu, SubmitSm | DataSm)
    return user_data(seen.pdu)[0]


def whole_characters(trace: Trace) -> Iterator[Finding]:
    """No part ends inside a character: an escape pair or a surrogate pair (E12, E13)."""
    for seen, pdu in trace.submits():
        part, concat = read_part(pdu)
        if concat is None or not part.body:
            continue
        alphabet = _alphabet(pdu)
        if alphabet is Alphabet.GSM7 and part.body[-1] == ESCAPE:
            yield wrong("the part ends between an escape and its character", seen)
        elif alphabet is Alphabet.UCS2 and _unit(part.body[-2:]) in _HIGH:
            yield wrong("the part ends between the halves of a surrogate pair", seen)
        elif alphabet is Alphabet.UCS2 and _unit(part.body[:2]) in _LOW:
            yield wrong("the part begins with the second half of a surrogate pair", seen)
        else:
            yield right("cut between characters", seen)


def _unit(octets: bytes) -> int:
    return int.from_bytes(octets, "big")
