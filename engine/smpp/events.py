"""What a session reports: one immutable tuple for each thing that happened on the link.

Nothing here decides; the session makes them, the link hands them to intake and the sender in the order in
which they happened.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, NamedTuple

from engine.smpp.pdu import AlertNotification, DataSm, DeliverSm, Pdu, Tlv
from engine.smpp.states import BindState

Token = Any
"""Whatever the sender wants back with the answer; never looked into."""


class LossReason(StrEnum):
    """Why a session ended."""

    REFUSED = "refused"  # bind_resp or generic_nack with an error
    BIND_TIMEOUT = "bind_timeout"
    PDU_TIMEOUT = "pdu_timeout"  # a frame was begun and never finished
    FRAMING = "framing"  # the stream cannot be followed any further
    ENQUIRE_TIMEOUT = "enquire_timeout"
    SILENT = "silent"  # submits unanswered, probed, and still not one octet
    INACTIVE = "inactive"
    SUSPECT = "suspect"  # generic_nack without a sequence number
    PEER_UNBOUND = "peer_unbound"
    PEER_CLOSED = "peer_closed"
    READ_FAILED = "read_failed"
    WRITE_FAILED = "write_failed"
    WRITE_TIMEOUT = "write_timeout"
    SEND_BUFFER = "send_buffer"  # the peer asks faster than it reads
    SHUTDOWN = "shutdown"  # our own unbind


class Bound(NamedTuple):
    """bind_resp with ESME_ROK. `interface_version` is None where the peer did not say it."""

    system_id: bytes
    interface_version: int | None
    tlvs_allowed: bool
    state: BindState


class BindRefused(NamedTuple):
    """The peer refused the bind; a `Lost` follows."""

    status: int


class Answered(NamedTuple):
    """A request of ours is answered, `late` if after its deadline (and `Unanswered`).

    `flags` holds the codec's leniencies and `nacked` for a generic_nack; `response` is the whole PDU.
    `sent_at` and `now` are the session's seconds.
    """

    token: Token
    status: int
    message_id: bytes
    tlvs: tuple[Tlv, ...]
    late: bool
    sent_at: float
    now: float
    flags: tuple[str, ...]
    response: Pdu


class DuplicateAnswer(NamedTuple):
    """A second response to one request, with another id: receipts may carry either (row B16)."""

    token: Token
    status: int
    message_id: bytes


class Unanswered(NamedTuple):
    """No valid answer in time: in doubt. A late `Answered` may still follow for an hour (row B15)."""

    token: Token


class Delivered(NamedTuple):
    """A deliver_sm or data_sm that waits for `Session.acknowledge(sequence, …)`; `raw` is its frame."""

    sequence: int
    command_id: int
    pdu: DeliverSm | DataSm
    raw: bytes
    flags: tuple[str, ...] = ()


class Alerted(NamedTuple):
    """alert_notification: a handset can be reached again; there is no response to it."""

    pdu: AlertNotification


class Heard(NamedTuple):
    """Octets came on a link that was listened to: the peer lives. It comes before what they say."""


class PeerUnbinding(NamedTuple):
    """The peer sent unbind and has its answer; a `Lost` follows when the owed responses are in."""


class Suspect(NamedTuple):
    """The peer could not read us: no new submits, the session drains and ends (row B20)."""

    status: int


class Flagged(NamedTuple):
    """Something odd that changes nothing: for counters and logs. `detail` never holds message content."""

    kind: str
    detail: str = ""


class Lost(NamedTuple):
    """The session's last event, exactly once: each request without an answer, oldest first, is in doubt."""

    reason: LossReason
    unanswered: tuple[Token, ...]


Event = (
    Bound
    | BindRefused
    | Answered
    | DuplicateAnswer
    | Unanswered
    | Delivered
    | Alerted
    | Heard
    | PeerUnbinding
    | Suspect
    | Flagged
    | Lost
)
"""Anything a session or its link can report."""
