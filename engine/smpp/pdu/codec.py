"""Frames to PDUs and back for every command of SMPP 3.4 and the broadcast block of 5.0.

It picks the decoder by command id and the encoder by type; the work is done by `hot` and `table`. Called by
the session, the simulator and the trace command.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar, cast, get_args

from engine.smpp.errors import CodecError, FramingError, NotEncodable
from engine.smpp.pdu import ancillary, commands, hot, link, messages
from engine.smpp.pdu.bodies import Body
from engine.smpp.pdu.framing import Header, peek
from engine.smpp.pdu.status import Status
from engine.smpp.pdu.table import Flags, decode_by_table, encode_by_table
from engine.smpp.pdu.tlvs import Tag

Pdu = (
    link.BindTransmitter
    | link.BindTransmitterResp
    | link.BindReceiver
    | link.BindReceiverResp
    | link.BindTransceiver
    | link.BindTransceiverResp
    | link.Outbind
    | link.Unbind
    | link.UnbindResp
    | link.EnquireLink
    | link.EnquireLinkResp
    | link.GenericNack
    | messages.SubmitSm
    | messages.SubmitSmResp
    | messages.DeliverSm
    | messages.DeliverSmResp
    | messages.DataSm
    | messages.DataSmResp
    | messages.SubmitMulti
    | messages.SubmitMultiResp
    | ancillary.QuerySm
    | ancillary.QuerySmResp
    | ancillary.CancelSm
    | ancillary.CancelSmResp
    | ancillary.ReplaceSm
    | ancillary.ReplaceSmResp
    | ancillary.AlertNotification
    | ancillary.BroadcastSm
    | ancillary.BroadcastSmResp
    | ancillary.QueryBroadcastSm
    | ancillary.QueryBroadcastSmResp
    | ancillary.CancelBroadcastSm
    | ancillary.CancelBroadcastSmResp
)
"""Any PDU body."""

P = TypeVar("P", bound=Body)
_Decoder = Callable[[bytes, Header], tuple[Pdu, Flags]]
_Encoder = Callable[[Any, int, int], bytes]

BODIES: Final[dict[int, type[Pdu]]] = {body.command_id: body for body in get_args(Pdu)}
"""The body of each command id we speak."""

_DECODERS: Final[dict[int, _Decoder]] = {
    command_id: cast("_Decoder", partial(decode_by_table, body)) for command_id, body in BODIES.items()
} | {
    commands.SUBMIT_SM: hot.decode_submit_sm,
    commands.DELIVER_SM: hot.decode_deliver_sm,
    commands.SUBMIT_SM_RESP: hot.decode_submit_sm_resp,
    commands.DELIVER_SM_RESP: hot.decode_deliver_sm_resp,
}
_ENCODERS: Final[dict[type[Body], _Encoder]] = {
    messages.SubmitSm: hot.encode_sm,
    messages.DeliverSm: hot.encode_sm,
}


def encode(pdu: Pdu, sequence: int, status: int = 0) -> bytes:
    """One whole frame. NotEncodable names the field that does not fit, never its value.

    A response with a status other than ESME_ROK and nothing to say is the bare 16-octet header.
    """
    encoder = _ENCODERS.get(type(pdu))
    if encoder is not None:
        return encoder(pdu, sequence, status)
    return encode_by_table(pdu, sequence, status)


def decode_flagged(frame: bytes) -> tuple[Header, Pdu, Flags]:
    """As `decode`, with the leniencies that were needed (rows A7, A10, A11) as `kind:field` texts."""
    header = peek(frame)
    decoder = _DECODERS.get(header[1])
    if header[0] != len(frame) or decoder is None:
        raise _unreadable(frame, header)
    pdu, flags = decoder(frame, header)
    return header, pdu, flags


def _unreadable(frame: bytes, header: Header) -> CodecError:
    if header.command_length != len(frame):
        return FramingError(
            f"command_length {header.command_length} for {len(frame)} octets",
            status=Status.ESME_RINVCMDLEN,
            header=header,
        )
    return CodecError(f"command_id 0x{header.command_id:08X} is unknown", header=header, status=Status.ESME_RINVCMDID)


def decode(frame: bytes) -> tuple[Header, Pdu]:
    """Header and body of one whole frame, as `FrameBuffer` yields them.

    CodecError is recoverable: `answer_to` says what to send, the session goes on. FramingError is not: the
    octets are not one frame.
    """
    header = peek(frame)
    decoder = _DECODERS.get(header[1])
    if header[0] != len(frame) or decoder is None:
        raise _unreadable(frame, header)
    return header, decoder(frame, header)[0]


def answer_to(error: CodecError) -> bytes | None:
    """The frame that answers a malformed PDU, None where silence is right (rows A4, A7, A8, A9, A10).

    A known request gets its own response with the error's status, an unknown one a generic_nack, both with
    the request's sequence number; a lost stream a generic_nack with sequence 0; a response, an outbind and
    an alert_notification nothing.
    """
    header = error.header
    if header is None or not error.recoverable:
        return encode_by_table(link.GenericNack(), 0, error.status)
    if commands.is_response(header.command_id) or header.command_id in commands.UNANSWERED:
        return None
    response = BODIES.get(header.command_id | commands.RESPONSE, link.GenericNack)
    return encode_by_table(response(), header.sequence_number, error.status)


_TEXT_TAGS: Final = frozenset(
    {Tag.MESSAGE_PAYLOAD, Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM}
)


def without_tlvs(pdu: P) -> P:
    """The PDU as a 3.3 peer understands it (row B10); NotEncodable if its text depends on parameters."""
    if any(tag in _TEXT_TAGS for tag, _ in pdu[-1]):
        raise NotEncodable("a 3.3 peer takes neither message_payload nor segmentation parameters")
    return cast("P", pdu._replace(tlvs=()))  # type: ignore[attr-defined]  # every Body is also a NamedTuple
