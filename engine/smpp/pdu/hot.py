"""The commands that make up the traffic, packed by hand: submit_sm, deliver_sm and their responses.

It handles the plain case only and hands anything unusual to `table`, which decides and explains; both must
agree on every input. Called by `codec`, and directly by the session for the responses it sends.

Theory: between header and text, a submit_sm or deliver_sm is fixed but for the lengths of five strings. One
`struct.Struct` per combination of lengths packs or unpacks all of it in one call. A combination that breaks a
limit has no Struct, so that the lengths need no other check.
"""

from __future__ import annotations

import struct
from typing import Final, TypeVar

from engine.smpp.errors import NotEncodable
from engine.smpp.pdu import commands
from engine.smpp.pdu.framing import HEADER_LENGTH, MAX_COMMAND_LENGTH, Header
from engine.smpp.pdu.messages import DeliverSm, DeliverSmResp, SubmitSm, SubmitSmResp
from engine.smpp.pdu.table import Flags, decode_by_table, encode_by_table
from engine.smpp.pdu.tlvs import Tag, Tlv, read_tlvs, write_tlvs

_Sm = TypeVar("_Sm", SubmitSm, DeliverSm)
_Resp = TypeVar("_Resp", SubmitSmResp, DeliverSmResp)
_Lengths = tuple[int, int, int, int, int]

_pack_header = struct.Struct(">IIII").pack
_new = tuple.__new__  # a NamedTuple's own constructor costs twice as much

_PACKERS: Final[dict[_Lengths, struct.Struct]] = {}  # header to sm_length
_UNPACKERS: Final[dict[_Lengths, struct.Struct]] = {}  # service_type to sm_default_msg_id


def _shape(shapes: dict[_Lengths, struct.Struct], lengths: _Lengths) -> struct.Struct | None:
    """The Struct for these lengths of service_type, source, destination, schedule and validity.

    At most 6 · 21 · 21 · 2 · 2 exist; None if a string is over its limit.
    """
    service_type, source, dest, schedule, validity = lengths
    legal = 0 <= service_type <= 5 and 0 <= source <= 20 and 0 <= dest <= 20
    if not legal or schedule not in (0, 16) or validity not in (0, 16):
        return None
    strings = f"{service_type}sx BB {source}sx BB {dest}sx BBB {schedule}sx {validity}sx BBBB"
    layout = f">IIII {strings} B" if shapes is _PACKERS else f">16x {strings} x"
    shape = shapes[lengths] = struct.Struct(layout)
    return shape


def encode_sm(pdu: SubmitSm | DeliverSm, sequence: int, status: int = 0) -> bytes:
    """The frame of a submit_sm or deliver_sm; NotEncodable for a field that does not fit."""
    (
        service_type,
        source_ton,
        source_npi,
        source,
        dest_ton,
        dest_npi,
        dest,
        esm_class,
        protocol_id,
        priority,
        schedule,
        validity,
        registered,
        replace,
        data_coding,
        default_id,
        text,
        tlvs,
    ) = pdu[:]  # a plain tuple unpacks faster than its subclass
    lengths = (len(service_type), len(source), len(dest), len(schedule), len(validity))
    shape = _PACKERS.get(lengths) or _shape(_PACKERS, lengths)
    if (
        shape is None
        or 0 in source
        or 0 in dest
        or (validity and 0 in validity)
        or (service_type and 0 in service_type)
        or (schedule and 0 in schedule)
        or (size := len(text)) > 254
    ):
        return encode_by_table(pdu, sequence, status)
    if tlvs:
        tail = text + write_tlvs(tlvs)
        if shape.size + len(tail) > MAX_COMMAND_LENGTH:
            return encode_by_table(pdu, sequence, status)
    else:
        tail = text
    try:
        head = shape.pack(
            shape.size + len(tail),
            pdu.command_id,
            status,
            sequence,
            service_type,
            source_ton,
            source_npi,
            source,
            dest_ton,
            dest_npi,
            dest,
            esm_class,
            protocol_id,
            priority,
            schedule,
            validity,
            registered,
            replace,
            data_coding,
            default_id,
            size,
        )
    except struct.error:
        return encode_by_table(pdu, sequence, status)
    return head + tail


def _decode_sm(body: type[_Sm], frame: bytes, header: Header) -> tuple[_Sm, Flags]:
    find = frame.find
    # A NUL that is missing gives a length of which there is no shape; the table then says what is wrong.
    try:
        first = find(0, 16) if frame[16] else 16
        second = find(0, first + 3)
        third = find(0, second + 3)
        at = third + 4
        schedule = 0 if frame[at] == 0 else find(0, at) - at
        at += schedule + 1
        validity = 0 if frame[at] == 0 else find(0, at) - at
    except IndexError:
        return decode_by_table(body, frame, header)
    lengths = (first - 16, second - first - 3, third - second - 3, schedule, validity)
    shape = _UNPACKERS.get(lengths) or _shape(_UNPACKERS, lengths)
    size = len(frame)
    if shape is None or shape.size > size:
        return decode_by_table(body, frame, header)
    start = shape.size
    length = frame[start - 1]
    stop = start + length
    tlvs: tuple[Tlv, ...] = ()
    flags: Flags = ()
    if stop != size or length == 255:
        if stop > size or length == 255:
            return decode_by_table(body, frame, header)
        tlvs, flags, whole = read_tlvs(frame, stop)
        if not whole or (length and _carries_payload(tlvs)):
            return decode_by_table(body, frame, header)
    values = shape.unpack_from(frame) + (frame[start:stop], tlvs)  # noqa: RUF005  # unpacking goes through a list
    return _new(body, values), flags


def _carries_payload(tlvs: tuple[Tlv, ...]) -> bool:
    payload = Tag.MESSAGE_PAYLOAD
    for tag, _ in tlvs:  # noqa: SIM110  # a generator costs as much as reading the parameters
        if tag == payload:
            return True
    return False


def decode_submit_sm(frame: bytes, header: Header) -> tuple[SubmitSm, Flags]:
    """A submit_sm whose header is read and checked; CodecError as `decode`."""
    return _decode_sm(SubmitSm, frame, header)


def decode_deliver_sm(frame: bytes, header: Header) -> tuple[DeliverSm, Flags]:
    """A deliver_sm whose header is read and checked; CodecError as `decode`."""
    return _decode_sm(DeliverSm, frame, header)


def _decode_resp(body: type[_Resp], frame: bytes, header: Header) -> tuple[_Resp, Flags]:
    last = len(frame) - 1
    if 16 <= last < 81 and frame.find(0, HEADER_LENGTH) == last:
        return _new(body, (frame[HEADER_LENGTH:last], ())), ()
    return decode_by_table(body, frame, header)


def decode_submit_sm_resp(frame: bytes, header: Header) -> tuple[SubmitSmResp, Flags]:
    """A submit_sm_resp whose header is read and checked; never raises."""
    return _decode_resp(SubmitSmResp, frame, header)


def decode_deliver_sm_resp(frame: bytes, header: Header) -> tuple[DeliverSmResp, Flags]:
    """A deliver_sm_resp whose header is read and checked; never raises."""
    return _decode_resp(DeliverSmResp, frame, header)


def encode_submit_sm_resp(sequence: int, status: int = 0, message_id: bytes = b"") -> bytes:
    """submit_sm_resp; the bare header for an error without an id. NotEncodable for what does not fit."""
    if (status and not message_id) or len(message_id) > 64 or 0 in message_id:
        return encode_by_table(SubmitSmResp(message_id), sequence, status)
    try:
        return _pack_header(17 + len(message_id), commands.SUBMIT_SM_RESP, status, sequence) + message_id + b"\0"
    except struct.error:
        raise NotEncodable("sequence number or status does not fit 32 bits") from None


def encode_deliver_sm_resp(sequence: int, status: int = 0) -> bytes:
    """deliver_sm_resp with its NULL message_id; the bare header for an error. NotEncodable as above."""
    try:
        if status:
            return _pack_header(HEADER_LENGTH, commands.DELIVER_SM_RESP, status, sequence)
        return _pack_header(17, commands.DELIVER_SM_RESP, 0, sequence) + b"\0"
    except struct.error:
        raise NotEncodable("sequence number or status does not fit 32 bits") from None
