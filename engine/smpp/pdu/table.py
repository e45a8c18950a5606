"""Encoding and decoding any PDU by walking its layout: slow, complete, and the place that explains a fault.

The hot path hands over to it whenever something is unusual, so that every rule is written once. Called by
`codec` and `hot` alone.
"""

from __future__ import annotations

import struct
from typing import TypeVar

from engine.smpp.errors import NotEncodable
from engine.smpp.pdu.bodies import Body
from engine.smpp.pdu.commands import command_name, is_response
from engine.smpp.pdu.fields import Reader
from engine.smpp.pdu.framing import HEADER_LENGTH, MAX_COMMAND_LENGTH, Header, pack_header
from engine.smpp.pdu.status import Status
from engine.smpp.pdu.tlvs import Tag, read_tlvs, tlv, write_tlvs

B = TypeVar("B", bound=Body)

Flags = tuple[str, ...]
"""What was tolerated: `kind:field`, for logs and counters; empty for a faultless PDU."""


def decode_by_table(body: type[B], frame: bytes, header: Header) -> tuple[B, Flags]:
    """The body of `frame`, whose length and command id are already checked.

    Requests are read strictly (CodecError, recoverable, with the field's status: rows A7, A10); responses and
    commands without fields leniently, every leniency being a flag. A response may lack its body.
    """
    lenient = is_response(header.command_id) or not body.layout
    if lenient and len(frame) == HEADER_LENGTH:
        unexpected = bool(body.layout) and header.command_status == Status.ESME_ROK
        return body(), ("truncated:body",) if unexpected else ()
    reader = Reader(frame, header, lenient=lenient)
    names: Flags = body._fields  # type: ignore[attr-defined]  # every Body is also a NamedTuple
    values: list[object] = [field.read(reader, name) for field, name in zip(body.layout, names, strict=False)]
    tlvs, odd, whole = read_tlvs(frame, reader.at)
    if lenient and (reader.flags or not whole):
        # Some SMSCs put only optional parameters into an error response, without the empty message_id.
        only_tlvs, odd_of_them, they_fit = read_tlvs(frame, HEADER_LENGTH)
        if they_fit and body.layout:
            return body(tlvs=only_tlvs), ("tlv_only_body", *odd_of_them)  # type: ignore[call-arg]
    if not whole:
        reader.fault("overrun", "tlvs", Status.ESME_RINVOPTPARSTREAM)
    flags: Flags = (*reader.flags, *odd)
    if "short_message" in names and values[-1] and tlv(tlvs, Tag.MESSAGE_PAYLOAD) is not None:
        flags += ("both:short_message,message_payload",)
    values.append(tlvs)
    return tuple.__new__(body, values), flags


def encode_by_table(pdu: Body, sequence: int, status: int = 0) -> bytes:
    """The frame of `pdu`; NotEncodable names the field that does not fit.

    A response that reports an error and carries nothing is the bare header (3.4 section 4.4.2).
    """
    if status and is_response(pdu.command_id) and pdu == type(pdu)():
        body = b""
    else:
        names: Flags = pdu._fields  # type: ignore[attr-defined]  # every Body is also a NamedTuple
        parts = [field.write(value, name) for field, value, name in zip(pdu.layout, pdu, names, strict=False)]
        body = b"".join(parts) + write_tlvs(pdu[-1])
    length = HEADER_LENGTH + len(body)
    if length > MAX_COMMAND_LENGTH:
        raise NotEncodable(f"{command_name(pdu.command_id)} of {length} octets, {MAX_COMMAND_LENGTH} fit")
    try:
        return pack_header(length, pdu.command_id, status, sequence) + body
    except struct.error:
        raise NotEncodable("sequence number or status does not fit 32 bits") from None
