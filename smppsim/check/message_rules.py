"""Rules about the fields of a submitted message: addresses, times, flags, optional parameters.

Each is a pure function of the trace; `rules` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from engine.smpp.errors import MalformedTime
from engine.smpp.pdu import DataSm, SubmitSm, Tag, parse_time, tlv
from smppsim.check.findings import Finding, advice, right, wrong
from smppsim.check.trace import Trace

_INTERNATIONAL: Final = 1
_ALPHANUMERIC: Final = 5
_ISDN: Final = 1
_LONGEST_NAME: Final = 11
_LONGEST_NUMBER: Final = 15
_TYPES: Final = 0x3C
"""Bits 5 to 2 of esm_class: the message type; a client may send 0, or its acknowledgements 0x08 and 0x10."""
_CLIENT_TYPES: Final = {0x00, 0x08, 0x10}
_PRIORITIES: Final = 3
_BY_TLV: Final = 0x34


def source_address(trace: Trace) -> Iterator[Finding]:
    """A sender is a number as its TON says, or a name of up to 11 characters (section 5.2.5; F1, F3, F4)."""
    for seen, pdu in trace.submits():
        address, ton = pdu.source_addr, pdu.source_addr_ton
        if ton == _ALPHANUMERIC:
            if len(address) > _LONGEST_NAME:
                yield wrong(f"an alphanumeric sender of {len(address)} characters", seen)
            elif not _is_name(address):
                yield wrong("an alphanumeric sender with characters outside the default alphabet", seen)
            elif pdu.source_addr_npi not in (0, _ISDN):
                yield advice(f"an alphanumeric sender with NPI {pdu.source_addr_npi}", seen)
            else:
                yield right("a name with TON 5", seen)
        elif address and not address.removeprefix(b"+").isdigit():
            yield wrong(f"a sender that is no number, with TON {ton}", seen)
        else:
            yield _number(address, ton, pdu.source_addr_npi)._replace(seen=seen)


def destination_address(trace: Trace) -> Iterator[Finding]:
    """A destination is digits, international ones with TON 1, NPI 1 and no prefix (section 5.2.9; F2, F3)."""
    for seen, pdu in trace.submits():
        if not pdu.destination_addr:
            yield wrong("no destination_addr", seen)
        elif not pdu.destination_addr.removeprefix(b"+").isdigit():
            yield wrong("a destination that is no number", seen)
        else:
            yield _number(pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi)._replace(seen=seen)


def _number(address: bytes, ton: int, npi: int) -> Finding:
    digits = address.removeprefix(b"+")
    if len(digits) > _LONGEST_NUMBER:
        return wrong(f"a number of {len(digits)} digits; E.164 has at most {_LONGEST_NUMBER}")
    if ton == _INTERNATIONAL and digits != address:
        return wrong("'+' before an international number: TON 1 says it already")
    if ton == _INTERNATIONAL and address.startswith(b"0"):
        return wrong("a prefix (00 or 0) before a number with TON 1")
    if ton == _INTERNATIONAL and npi != _ISDN:
        return advice(f"TON 1 with NPI {npi}; operators expect 1/1")
    if digits != address:
        return advice("'+' in an address: TON 1 and digits alone are understood everywhere")
    return right(f"digits, TON {ton}, NPI {npi}")


def _is_name(address: bytes) -> bool:
    return address.isascii() and address.decode("ascii").isprintable() and b"`" not in address


def times(trace: Trace) -> Iterator[Finding]:
    """validity_period and schedule_delivery_time are 16 characters, in UTC or relative (section 7.1.1; G2 to G4)."""
    for seen, pdu in trace.submits():
        if not isinstance(pdu, SubmitSm):
            continue
        for name in ("validity_period", "schedule_delivery_time"):
            value: bytes = getattr(pdu, name)
            try:
                said = parse_time(value)
            except MalformedTime:
                yield wrong(f"{name} is no SMPP time", seen)
                continue
            if said is None:
                continue
            if said.relative and said.microseconds == 0:
                yield wrong(f"{name} of no length at all", seen)
            elif not said.relative and value[13:15] != b"00":
                yield advice(f"{name} in a local zone: summer time will shift it; write UTC or a relative time", seen)
            else:
                yield right(f"{name} {'relative' if said.relative else 'in UTC'}", seen)


def esm_class(trace: Trace) -> Iterator[Finding]:
    """esm_class of a client says no receipt (section 5.2.12)."""
    for seen, pdu in trace.submits():
        kind = pdu.esm_class & _TYPES
        if kind in _CLIENT_TYPES:
            yield right("of a client's message", seen)
        else:
            yield wrong(f"esm_class 0x{pdu.esm_class:02X} is what an operator sends", seen)


def flags(trace: Trace) -> Iterator[Finding]:
    """Priority is 0 to 3, replacing 0 or 1, and reserved bits are zero (sections 5.2.14 to 5.2.18)."""
    for seen, pdu in trace.submits():
        odd = pdu.registered_delivery & 0xE0
        if isinstance(pdu, SubmitSm) and pdu.priority_flag > _PRIORITIES:
            yield wrong(f"priority_flag {pdu.priority_flag}", seen)
        elif isinstance(pdu, SubmitSm) and pdu.replace_if_present_flag > 1:
            yield wrong(f"replace_if_present_flag {pdu.replace_if_present_flag}", seen)
        elif odd or pdu.registered_delivery & 3 == 3:
            yield wrong(f"registered_delivery 0x{pdu.registered_delivery:02X} has reserved bits", seen)
        else:
            yield right("within their ranges", seen)


def receipts_asked(trace: Trace) -> Iterator[Finding]:
    """Receipts are asked for, else nobody learns what became of a message (section 5.2.17)."""
    silent = None
    for seen, pdu in trace.submits():
        if pdu.registered_delivery & 3:
            yield right("asks for receipts", seen)
            return
        silent = silent or seen
    if silent is not None:
        yield advice("no message asks for a receipt", silent)


def parameters(trace: Trace) -> Iterator[Finding]:
    """A client that bound as 3.3 sends no optional parameters (section 3.3; B10)."""
    for seen, pdu in trace.submits():
        version = seen.link.version
        if not pdu.tlvs:
            continue
        if version is not None and version < _BY_TLV:
            yield wrong("optional parameters from a client that bound as 3.3", seen)
        else:
            yield right("optional parameters in 3.4", seen)


def one_text(trace: Trace) -> Iterator[Finding]:
    """The text is in short_message or in message_payload, never in both (section 5.3.2.32; A11)."""
    for seen, pdu in trace.submits():
        if isinstance(pdu, DataSm) or tlv(pdu.tlvs, Tag.MESSAGE_PAYLOAD) is None:
            yield right("in one place", seen)
        elif pdu.short_message:
            yield wrong("short_message and message_payload in one PDU", seen)
        else:
            yield right("in one place", seen)
