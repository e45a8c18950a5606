"""What the tests of the session share: a bound session, frames of the peer, and reading what we wrote.

The frames come from the codec, which its own tests pin to hand-made octets.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from engine.smpp.events import Bound, Event
from engine.smpp.options import BindMode, SessionOptions
from engine.smpp.pdu import (
    BindReceiverResp,
    BindTransceiverResp,
    BindTransmitterResp,
    DeliverSm,
    FrameBuffer,
    Header,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Tag,
    decode,
    encode,
)
from engine.smpp.session import Session
from engine.smpp.timers import Timings

VERSION_34 = ((Tag.SC_INTERFACE_VERSION, b"\x34"),)
SUBMIT = SubmitSm(
    source_addr=b"38000", dest_addr_ton=1, dest_addr_npi=1, destination_addr=b"33612345601", short_message=b"hello"
)
DELIVER = DeliverSm(source_addr=b"33612345601", destination_addr=b"38000", short_message=b"yes")
OPTIONS = SessionOptions(system_id="sceau", password="secret", window=10)
_BIND_RESPONSES: dict[BindMode, type[BindTransmitterResp | BindReceiverResp | BindTransceiverResp]] = {
    BindMode.TX: BindTransmitterResp,
    BindMode.RX: BindReceiverResp,
    BindMode.TRX: BindTransceiverResp,
}


def bind_resp(mode: BindMode = BindMode.TRX, sequence: int = 1, status: int = 0, **fields: Any) -> bytes:
    """The peer's answer to our bind; by default a 3.4 peer's."""
    fields.setdefault("tlvs", VERSION_34)
    return encode(_BIND_RESPONSES[mode](**fields), sequence, status)


def replaced(**options: Any) -> SessionOptions:
    """The usual options; keywords replace single ones, or timings of that name."""
    timings = {key: options.pop(key) for key in list(options) if key in Timings.__dataclass_fields__}
    return replace(OPTIONS, timings=replace(Timings(), **timings), **options)


def opened(now: float = 0.0, *, first_sequence: int = 1, **options: Any) -> Session:
    """A session whose bind PDU is on the way."""
    session = Session(replaced(**options), now=now, first_sequence=first_sequence)
    session.start(now)
    return session


def bound(now: float = 0.0, *, first_sequence: int = 1, **options: Any) -> Session:
    """A bound session; the bind took its first sequence number, usually 1."""
    session = opened(now, first_sequence=first_sequence, **options)
    (event,) = session.receive(bind_resp(session.options.mode, first_sequence), now)
    assert isinstance(event, Bound)
    return session


def submitted(session: Session, tokens: list[Any], now: float = 0.0, deadline_s: float | None = None) -> list[int]:
    """Submit one message for each token; their sequence numbers."""
    written = session.submit([(token, SUBMIT) for token in tokens], now, deadline_s)
    return [header.sequence_number for header, _ in read(written)]


def read(octets: bytes) -> list[tuple[Header, Pdu]]:
    """The PDUs in what we wrote."""
    return [decode(frame) for frame in FrameBuffer().feed(octets)]


def said(session: Session) -> list[tuple[object, int, int]]:
    """Type, status and sequence number of what the session itself wants written."""
    return [(type(pdu), header.command_status, header.sequence_number) for header, pdu in read(session.data_to_send())]


def answer(sequence: int, message_id: bytes = b"id", status: int = 0) -> bytes:
    """submit_sm_resp."""
    return encode(SubmitSmResp(b"" if status else message_id), sequence, status)


def kinds(events: list[Event]) -> list[str]:
    """Names of the events; a Flagged by its kind."""
    return [getattr(event, "kind", type(event).__name__) for event in events]
