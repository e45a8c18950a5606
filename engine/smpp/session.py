"""One SMPP session as an ESME, without I/O: octets and time in, events and octets out.

It waits for nothing, opens nothing and logs nothing; whether a message is sent again is not its business.
`link` drives it over a stream; tests drive it by hand.

Theory of operation
-------------------
A session lives once: `start` gives the bind PDU; `receive` and `tick` return what happened since, in order; `submit`,
`acknowledge` and `drain` say what we want. Octets to write come from `start`, `submit` and `acknowledge` directly; what
the session itself has to say (enquire_link, answers, unbind) waits in `data_to_send`. The last event is `Lost`, exactly
once: it hands back each request that has no answer, and the session is CLOSED, says nothing and takes nothing.

    OPEN --bind_resp ROK--> BOUND_TX | BOUND_RX | BOUND_TRX --peer's unbind answered--> UNBOUND --> CLOSED
      \\--refused, bind timer---------\\--link faults, our unbind answered--------------------------> CLOSED

Which PDU may come or go in which state is the table of `states`. What is not allowed to the peer is answered with
ESME_RINVBNDSTS and flagged; what is not allowed to us raises NotAllowed. Three kinds of fault are kept apart: a PDU
that is malformed is answered and the session goes on; a stream that cannot be followed ends it; an answer that does
not fit its request leaves the request in doubt, never accepted.

A request is *outstanding* from `submit` until its answer or its response deadline. After the deadline its slot is free
(`Unanswered`), and the answer is still honoured for an hour (`Answered` with `late`). A session that is *draining*
takes no new requests, waits for the outstanding ones and for our own acknowledgements up to a grace time, then sends
unbind and ends with the answer to it.

Link PDUs (enquire_link, unbind and their responses) are handled inside `receive`, so that no consumer of events can
delay them. Any octet proves that the peer lives; one enquire_link without its answer proves nothing (`timers`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from engine.smpp.answers import settle
from engine.smpp.errors import CodecError, FramingError, NotAllowed
from engine.smpp.events import (
    Alerted,
    BindRefused,
    Bound,
    Delivered,
    Event,
    Flagged,
    LossReason,
    Lost,
    PeerUnbinding,
    Suspect,
    Token,
    Unanswered,
)
from engine.smpp.options import NO_TLVS, SessionOptions
from engine.smpp.pdu import (
    AlertNotification,
    DataSm,
    DataSmResp,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    Flags,
    FrameBuffer,
    Header,
    Pdu,
    Status,
    Tag,
    Tlv,
    Unbind,
    UnbindResp,
    answer_to,
    command_name,
    commands,
    decode_flagged,
    encode,
    encode_deliver_sm_resp,
    is_response,
    status_name,
    tlv_int,
    without_tlvs,
)
from engine.smpp.states import BOUND_BY, MAY_SEND, BindState, Side, allowed
from engine.smpp.timers import NEVER, Due, LinkTimers
from engine.smpp.window import Window

# Requests that take a slot of the window.
_WINDOWED: Final = frozenset(
    command_id for command_id in MAY_SEND[Side.ESME, BindState.BOUND_TX] if not is_response(command_id)
) - {commands.ENQUIRE_LINK, commands.UNBIND}


class Session:
    """The theory of operation is above. `now` is monotonic seconds, the same clock in every call."""

    def __init__(self, options: SessionOptions, *, now: float, first_sequence: int = 1) -> None:
        self.options = options
        self.state = BindState.OPEN
        self.tlvs_allowed = False
        self._timings = options.timings
        self._window = Window(options.window, late_s=options.timings.late, first_sequence=first_sequence)
        self._timers = LinkTimers(options.timings, now)
        self._frames = FrameBuffer()
        self._out = bytearray()
        self._unacknowledged: dict[int, int] = {}
        self._submittable: frozenset[int] = frozenset()
        self._bind_sequence = self._bind_command = 0
        self._enquire_sequence = self._unbind_sequence = 0  # 0: none in flight
        self._ending: LossReason | None = None  # draining, unbinding or unbound, and why
        self._link_answers = {
            commands.ENQUIRE_LINK_RESP: self._enquire_answered,
            commands.UNBIND_RESP: self._unbind_answered,
            commands.GENERIC_NACK: self._nacked,
        } | dict.fromkeys(BOUND_BY, self._bind_answered)

    # What may be asked.

    @property
    def free_slots(self) -> int:
        """Requests that `submit` would take now."""
        return self._window.free if self._submittable else 0

    @property
    def submitting(self) -> bool:
        """Whether requests are taken at all: bound for them, and not ending."""
        return bool(self._submittable)

    @property
    def outstanding(self) -> int:
        """Requests that wait for their answer."""
        return len(self._window)

    @property
    def unacknowledged(self) -> int:
        """Deliveries that wait for `acknowledge`."""
        return len(self._unacknowledged)

    def next_deadline(self) -> float:
        """When `tick` next has something to do, in the session's seconds; infinity if never."""
        if self._closed() or self._at_rest:
            return NEVER if self._closed() else 0.0
        return min(self._timers.next_deadline(), self._window.next_deadline())

    def data_to_send(self) -> bytes:
        """Octets that the session itself wants written; taking them empties the buffer."""
        data, self._out = bytes(self._out), bytearray()
        return data

    # What we want.

    def start(self, now: float) -> bytes:
        """The bind PDU; its answer is due within the bind timer."""
        if self._bind_sequence:
            raise NotAllowed("a session is started once")
        pdu = self.options.bind_pdu()
        self._bind_command = pdu.command_id
        self._bind_sequence = self._window.draw()
        self._timers.binding(now)
        return encode(pdu, self._bind_sequence)

    def submit(self, batch: Sequence[tuple[Token, Pdu]], now: float, deadline_s: float | None = None) -> bytes:
        """The frames of a batch, which are outstanding from now on; `deadline_s` is for their answers.

        NotAllowed (not bound for it, draining, more than `free_slots`) and NotEncodable leave nothing behind.
        """
        if len(batch) > self.free_slots:
            raise NotAllowed(f"{len(batch)} requests for {self.free_slots} slots while {self.state}")
        frames: list[bytes] = []
        requests: list[tuple[int, Token, int]] = []
        submittable, draw = self._submittable, self._window.draw
        for token, pdu in batch:
            command_id = pdu.command_id
            if command_id not in submittable:
                raise NotAllowed(f"{command_name(command_id)} while {self.state}")
            if pdu[-1] and not self.tlvs_allowed:
                pdu = without_tlvs(pdu)  # the peer's dialect of the same request
            sequence = draw()
            frames.append(encode(pdu, sequence))
            requests.append((sequence, token, command_id))
        self._window.open(requests, now, self._timings.response if deadline_s is None else deadline_s)
        if requests:
            self._timers.submitted(now)
        return b"".join(frames)

    def acknowledge(self, sequence: int, status: int, command_id: int = commands.DELIVER_SM) -> bytes:
        """The response to a `Delivered`; NotAllowed once the session can no longer answer."""
        self._unacknowledged.pop(sequence, None)
        if not allowed(Side.ESME, self.state, command_id | commands.RESPONSE):
            raise NotAllowed(f"{command_name(command_id | commands.RESPONSE)} while {self.state}")
        if command_id == commands.DELIVER_SM:
            return encode_deliver_sm_resp(sequence, status)
        return encode(DataSmResp(), sequence, status)

    def drain(self, now: float, grace_s: float, reason: LossReason = LossReason.SHUTDOWN) -> list[Event]:
        """Take no new requests; unbind when nothing is owed either way, after `grace_s` at the latest."""
        if self.state is BindState.OPEN:
            return self.close(reason)
        if self.state in (BindState.UNBOUND, BindState.CLOSED):
            return []
        self._submittable = frozenset()
        self._ending = reason
        if self._unbind_sequence == 0 and grace_s <= 0:
            self._send_unbind(now)
        elif self._unbind_sequence == 0:
            self._timers.draining(now, grace_s)
        return self._finish([], now)

    def unbind(self, now: float) -> list[Event]:
        """Say unbind now; answers that come before the peer's are honoured."""
        return self.drain(now, 0.0)

    def close(self, reason: LossReason) -> list[Event]:
        """The link is gone or given up: `Lost` with every unanswered request, once."""
        return self._lose([], reason)

    # What happened.

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Octets from the peer, chunked in any way. Never raises for what a peer can send."""
        events: list[Event] = []
        if not data or self._closed():
            return events
        self._timers.heard(now)
        frames, fault = self._cut(data)
        for frame in frames:
            self._take(frame, now, events)
            if self._ending is not None:
                self._finish(events, now)
            if self._closed():
                return events
        if fault is not None:
            self._out += answer_to(fault) or b""
            events.append(Flagged("framing", str(fault)))
            return self._lose(events, LossReason.FRAMING)
        self._timers.framed(now, unfinished=self._frames.pending > 0, completed=bool(frames))
        self._timers.waiting(now, len(self._window))
        return events

    def tick(self, now: float) -> list[Event]:
        """Time has passed; call it at `next_deadline` or whenever."""
        events: list[Event] = []
        if self._closed():
            return events
        due = self._timers.due(now)
        events += [Unanswered(token) for token in self._window.expire(now)]
        for what in due:
            if what is Due.ENQUIRE:
                self._enquire_sequence = self._say(EnquireLink())
                self._timers.enquired(now)
            elif what is Due.MISSED:
                events.append(Flagged("enquire_missed"))
            elif what is Due.DRAINED:
                self._send_unbind(now)
            elif what is Due.UNBIND_TIMEOUT:
                self._lose(events, self._ending or LossReason.SHUTDOWN)
            else:
                self._lose(events, LossReason(what.value))
        return self._finish(events, now)

    # One PDU.

    def _cut(self, data: bytes) -> tuple[Sequence[bytes], FramingError | None]:
        try:
            return self._frames.feed(data), None
        except FramingError as error:
            return error.frames, error

    def _take(self, frame: bytes, now: float, events: list[Event]) -> None:
        try:
            header, pdu, flags = decode_flagged(frame)
        except CodecError as fault:
            self._out += answer_to(fault) or b""
            events.append(Flagged("malformed", str(fault)))
            return
        if not is_response(header[1]):
            self._requested(header, pdu, flags, frame, now, events)
            return
        link_answer = self._link_answers.get(header[1])
        if link_answer is None:
            events += settle(self._window, header, pdu, flags, now)
        else:
            link_answer(header, pdu, now, events)

    def _requested(self, header: Header, pdu: Pdu, flags: Flags, frame: bytes, now: float, events: list[Event]) -> None:
        command_id, sequence = header.command_id, header.sequence_number
        if command_id == commands.ENQUIRE_LINK:  # in any state (row B5), with the peer's number (row B4)
            self._out += encode(EnquireLinkResp(), sequence)
        elif command_id == commands.OUTBIND:  # never answered (row B24)
            events.append(Flagged("outbind"))
        elif command_id == commands.UNBIND:
            self._peer_unbinds(sequence, now, events)
        elif not allowed(Side.SMSC, self.state, command_id):
            self._out += _refusal(header, Status.ESME_RINVBNDSTS)
            events.append(Flagged("not_allowed", f"{command_name(command_id)} while {self.state}"))
        elif command_id == commands.ALERT_NOTIFICATION:
            events.append(Alerted(cast("AlertNotification", pdu)))
        elif len(self._unacknowledged) >= self.options.inbound_window:
            self._out += _refusal(header, Status.ESME_RX_T_APPN)
            events.append(Flagged("inbound_full", command_name(command_id)))
        else:
            self._unacknowledged[sequence] = command_id
            events.append(Delivered(sequence, command_id, cast("DeliverSm | DataSm", pdu), frame, flags))

    def _nacked(self, header: Header, pdu: Pdu, now: float, events: list[Event]) -> None:
        sequence = header.sequence_number
        # A refusal whose reason is "no error" is still a refusal.
        status = header.command_status or Status.ESME_RUNKNOWNERR
        if self.state is BindState.OPEN and sequence in (0, self._bind_sequence):
            events.append(BindRefused(status))
            self._lose(events, LossReason.REFUSED)
        elif sequence == 0:
            if self._ending is None:
                events.append(Suspect(status))
                events += self.drain(now, self._timings.unbind_wait, LossReason.SUSPECT)
        elif sequence == self._enquire_sequence:
            self._enquire_answered(header, pdu, now, events)
            events.append(Flagged("enquire_nacked", status_name(status)))
        elif sequence == self._unbind_sequence:
            self._unbind_answered(header, pdu, now, events)
        else:
            header = header._replace(command_status=status)
            events += settle(self._window, header, pdu, ("nacked",), now)

    def _enquire_answered(self, header: Header, _pdu: Pdu, _now: float, events: list[Event]) -> None:
        if not self._enquire_sequence:
            events.append(Flagged("unknown_response", command_name(header.command_id)))
            return
        if header.sequence_number != self._enquire_sequence:
            events.append(Flagged("enquire_sequence"))  # it proves life all the same
        self._enquire_sequence = 0
        self._timers.enquire_answered()

    # The beginning and the end.

    def _bind_answered(self, header: Header, pdu: Pdu, now: float, events: list[Event]) -> None:
        command_id = header.command_id
        if self.state is not BindState.OPEN or command_id != self._bind_command | commands.RESPONSE:
            events.append(Flagged("unknown_response", command_name(command_id)))
            return
        if header.command_status:
            events.append(BindRefused(header.command_status))
            self._lose(events, LossReason.REFUSED)
            return
        if header.sequence_number != self._bind_sequence:
            events.append(Flagged("bind_sequence"))
        system_id, tlvs = cast("tuple[bytes, tuple[Tlv, ...]]", pdu)
        version = tlv_int(tlvs, Tag.SC_INTERFACE_VERSION)
        known = self.options.assumed_version if version is None else version
        self.tlvs_allowed = min(known, self.options.interface_version) > NO_TLVS
        self.state = BOUND_BY[command_id]
        self._submittable = MAY_SEND[Side.ESME, self.state] & _WINDOWED
        self._timers.bound(now)
        events.append(Bound(system_id, version, self.tlvs_allowed, self.state))

    def _peer_unbinds(self, sequence: int, now: float, events: list[Event]) -> None:
        self._out += encode(UnbindResp(), sequence)
        events.append(PeerUnbinding())
        self._submittable = frozenset()
        if self.state is not BindState.UNBOUND:
            self.state = BindState.UNBOUND
            self._ending = self._ending or LossReason.PEER_UNBOUND
            self._timers.unbinding(now)

    def _send_unbind(self, now: float) -> None:
        self._unbind_sequence = self._say(Unbind())
        self._timers.unbinding(now)

    def _unbind_answered(self, header: Header, _pdu: Pdu, _now: float, events: list[Event]) -> None:
        if self._unbind_sequence:
            self._lose(events, self._ending or LossReason.SHUTDOWN)
        else:
            events.append(Flagged("unknown_response", command_name(header.command_id)))

    def _closed(self) -> bool:
        return self.state is BindState.CLOSED

    @property
    def _at_rest(self) -> bool:
        """Ending, nothing owed either way, and that not yet acted upon."""
        owed = self._unbind_sequence or len(self._window) or self._unacknowledged
        return self._ending is not None and not owed

    def _finish(self, events: list[Event], now: float) -> list[Event]:
        if self._at_rest and self.state is BindState.UNBOUND:
            return self._lose(events, self._ending or LossReason.PEER_UNBOUND)
        if self._at_rest and not self._closed():
            self._send_unbind(now)
        return events

    def _lose(self, events: list[Event], reason: LossReason) -> list[Event]:
        if not self._closed():
            self.state = BindState.CLOSED
            self._submittable = frozenset()
            self._unacknowledged.clear()
            events.append(Lost(reason, self._window.surrender()))
        return events

    def _say(self, pdu: EnquireLink | Unbind) -> int:
        self._out += encode(pdu, sequence := self._window.draw())
        return sequence


def _refusal(header: Header, status: int) -> bytes:
    return answer_to(CodecError("refused", header=header, status=status)) or b""
