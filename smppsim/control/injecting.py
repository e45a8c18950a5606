"""Routes that send what nobody asked for: any deliver_sm, any receipt, a final state."""

from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException
from pydantic import Field

from engine.smpp.errors import ProtocolError
from engine.smpp.pdu import DeliverSm, encode
from smppsim.control.views import IMPOSSIBLE, UNKNOWN, MessageView, Parts
from smppsim.data import Data
from smppsim.messages import ENROUTE, Message
from smppsim.outcomes import Outcome
from smppsim.receipt_text import MESSAGE_STATES
from smppsim.simulator import Simulator

Octet = Annotated[int, Field(ge=0, le=0xFF)]
Address = Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,20}$")]
Hex = Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2})*$", max_length=131_072)]


class Tlv(Data):
    """One optional parameter."""

    tag: Annotated[int, Field(ge=0, le=0xFFFF)]
    value: Hex = ""
    """Its octets in hex."""


class DeliverSmFields(Data):
    """A deliver_sm, field by field (3.4 section 4.6.1); none is checked against another."""

    account: str
    session: int | None = None
    """Preferred among the account's receivers."""
    service_type: Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,5}$")] = ""
    source_addr_ton: Octet = 1
    source_addr_npi: Octet = 1
    source_addr: Address = ""
    dest_addr_ton: Octet = 1
    dest_addr_npi: Octet = 1
    destination_addr: Address = ""
    esm_class: Octet = 0
    protocol_id: Octet = 0
    priority_flag: Octet = 0
    registered_delivery: Octet = 0
    data_coding: Octet = 0
    short_message: Annotated[str, Field(pattern=r"^([0-9a-fA-F]{2})*$", max_length=510)] = ""
    """Its octets in hex; `sm_length` is theirs."""
    tlvs: Annotated[tuple[Tlv, ...], Field(max_length=64)] = ()

    def pdu(self) -> DeliverSm:
        """The PDU; ProtocolError if a field does not fit."""
        fields: dict[str, Any] = self.model_dump(exclude={"account", "session", "short_message", "tlvs"})
        octets: dict[str, Any] = {
            name: value.encode() if isinstance(value, str) else value for name, value in fields.items()
        }
        tlvs = tuple((tlv.tag, bytes.fromhex(tlv.value)) for tlv in self.tlvs)
        pdu = DeliverSm(short_message=bytes.fromhex(self.short_message), tlvs=tlvs, **octets)
        encode(pdu, 1)
        return pdu


class Receipt(Data):
    """One more receipt for an accepted message, whatever was said before."""

    message_id: str
    """As submit_sm_resp gave it."""
    state: Literal[tuple(MESSAGE_STATES)]  # type: ignore[valid-type]
    err: Annotated[str, Field(pattern=r"^[\x20-\x7e]{0,16}$")] | None = None
    intermediate: bool = False


class OutbindCall(Data):
    """A client that listens, and what it is told."""

    host: Annotated[str, Field(min_length=1, max_length=255)]
    port: Annotated[int, Field(ge=1, le=65535)]
    system_id: Annotated[str, Field(pattern=r"^[\x21-\x7e]{0,15}$")] = "SMPPSIM"
    password: Annotated[str, Field(pattern=r"^[\x21-\x7e]{0,8}$", repr=False)] = ""


def add_routes(app: FastAPI, simulator: Simulator) -> None:
    """Each goes out as soon as a receiver of the account is bound."""

    @app.post("/deliver-sm", status_code=202, tags=["injecting"], responses=UNKNOWN)
    async def deliver_sm(fields: DeliverSmFields) -> Parts:
        """Send any deliver_sm to an account."""
        try:
            pdu = fields.pdu()
        except ProtocolError as error:
            raise HTTPException(422, str(error)) from None
        simulator.send(fields.account, pdu, fields.session)
        return Parts(parts=1)

    @app.post("/receipts", status_code=202, tags=["injecting"], responses=UNKNOWN)
    async def receipt(receipt: Receipt) -> Parts:
        """Send one more receipt: a second, a contradictory or an intermediate one."""
        message = _message(simulator, receipt.message_id)
        simulator.receipt(message, receipt.state, err=receipt.err, intermediate=receipt.intermediate)
        return Parts(parts=1)

    @app.post("/messages/{message_id}/settle", status_code=202, tags=["injecting"], responses=UNKNOWN | IMPOSSIBLE)
    async def settle(message_id: str, outcome: Outcome) -> MessageView:
        """Give an undelivered message its final state now; its receipt follows as behaviour says."""
        message = _message(simulator, message_id)
        if message.state != ENROUTE:
            raise HTTPException(409, f"the message is {message.state} already")
        simulator.settle(message, **outcome.model_dump(exclude={"weight"}))
        return MessageView.of(message)

    @app.post("/outbind", status_code=204, tags=["injecting"], responses=IMPOSSIBLE)
    async def outbind(call: OutbindCall) -> None:
        """Call a client that listens and ask it to bind as a receiver (3.4 section 2.2.1)."""
        try:
            await simulator.outbind(call.host, call.port, call.system_id, call.password)
        except OSError:
            raise HTTPException(409, f"nobody listens at {call.host}:{call.port}") from None


def _message(simulator: Simulator, message_id: str) -> Message:
    for message in simulator.smsc.messages:
        if message.message_id == message_id.encode():
            return message
    raise KeyError(message_id)
