"""The receipt of a finished message as a PDU: text in the account's dialect, optional parameters, id form.

Pure; `submission` asks for it, `delivery` sends it.
"""

from __future__ import annotations

from typing import Final

from engine.smpp.pdu import DataSm, DeliverSm, SubmitSm, Tag, Tlv
from engine.smpp.text import parse_udh, user_data
from smppsim.messages import Message
from smppsim.receipt_text import MESSAGE_STATES, ReceiptFields

_RECEIPT: Final = 0x04
_INTERMEDIATE: Final = 0x20
_UCS2: Final = 0x08
_QUOTED: Final = 20  # Appendix B quotes the first 20 characters
_LONGEST: Final = 254
_INTERMEDIATE_BIT: Final = 0x10

# registered_delivery bits 1-0: 1 every final state, 2 failures only, 3 (5.0) success only.
_ASKED: Final = {0: "neither", 1: "both", 2: "failure", 3: "success"}


def is_asked_for(pdu: SubmitSm, state: str) -> bool:
    """Whether the client wanted to hear of this final state."""
    asked = _ASKED[pdu.registered_delivery & 3]
    return asked == "both" or asked == ("success" if state == "delivered" else "failure")


def is_intermediate_asked_for(pdu: SubmitSm) -> bool:
    """Whether the client wanted to hear that a message could not be delivered yet (3.4 section 5.2.17)."""
    return bool(pdu.registered_delivery & _INTERMEDIATE_BIT)


def quote(pdu: SubmitSm) -> bytes:
    """What `text:` repeats of a message, in the default alphabet."""
    _, body, _ = parse_udh(user_data(pdu)[0], pdu.esm_class)
    if pdu.data_coding == _UCS2:
        return body[: 2 * _QUOTED].decode("utf-16-be", "replace").encode("ascii", "replace")
    return body[:_QUOTED]


def write_receipt(
    message: Message,
    *,
    wall: int,
    state: str | None = None,
    err: str | None = None,
    network_error: tuple[int, int] | None = None,
    intermediate: bool = False,
    message_id: bytes | None = None,
) -> DeliverSm | DataSm:
    """The receipt as the message's behaviour words it; the arguments say otherwise than the message does."""
    pdu, behaviour = message.pdu, message.behaviour
    if state is None:
        state = message.state
        err = message.err if err is None else err
    receipt_id = message.receipt_id if message_id is None else message_id
    said = ReceiptFields(receipt_id, state, err, message.submitted, wall, quote(pdu), pdu.destination_addr)
    text = behaviour.receipt_text.fill(said)[:_LONGEST]
    data_coding = _UCS2 if behaviour.receipt_text.ucs2 else 0
    tlvs: tuple[Tlv, ...] = ()
    if behaviour.receipt_tlvs:
        tlvs = (
            (Tag.RECEIPTED_MESSAGE_ID, receipt_id + b"\0"),
            (Tag.MESSAGE_STATE, bytes((MESSAGE_STATES[state][0],))),
        )
    if network_error is not None:
        tlvs += ((Tag.NETWORK_ERROR_CODE, bytes((network_error[0], *divmod(network_error[1], 256)))),)
    kind = _INTERMEDIATE if intermediate else _RECEIPT
    if behaviour.receipt_pdu != "deliver_sm" and text:
        tlvs += ((Tag.MESSAGE_PAYLOAD, text),)
        text = b""
    if behaviour.receipt_pdu == "data_sm":
        return DataSm(
            source_addr_ton=pdu.dest_addr_ton,
            source_addr_npi=pdu.dest_addr_npi,
            source_addr=pdu.destination_addr,
            dest_addr_ton=pdu.source_addr_ton,
            dest_addr_npi=pdu.source_addr_npi,
            destination_addr=pdu.source_addr,
            esm_class=kind,
            data_coding=data_coding,
            tlvs=tlvs,
        )
    return DeliverSm(
        b"",
        pdu.dest_addr_ton,
        pdu.dest_addr_npi,
        pdu.destination_addr,
        pdu.source_addr_ton,
        pdu.source_addr_npi,
        pdu.source_addr,
        kind,
        data_coding=data_coding,
        short_message=text,
        tlvs=tlvs,
    )
