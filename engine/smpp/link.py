"""One session over one stream: reads, writes with a deadline, keeps the session's timers, reports what happens.

It decides nothing and never connects; `bind` makes a link for each connection, the sender and intake use it
while it is bound.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import trio

from engine.smpp.connect import is_tls_fault
from engine.smpp.errors import ProtocolError
from engine.smpp.events import BindRefused, Bound, Event, Heard, LossReason, Lost, Token
from engine.smpp.pdu import Pdu
from engine.smpp.session import Session
from engine.smpp.states import BindState

_READ_SIZE: Final = 32_768  # a storm of replies in one piece would hold up everything else for tens of milliseconds


class NotWritten(ProtocolError):
    """The link was down before one octet of the batch was handed to the socket: it may be queued again."""


class LinkHandler(Protocol):
    """Who is told. Every method is called synchronously from the link's tasks and must not block.

    For each session that binds: `bound` first, `lost` last, each once. `events` never carries the `Lost`; before
    `bound` it may carry a `Flagged` or the `BindRefused`.
    """

    def bound(self, link: Link) -> None:
        """The session is bound; `link` is good until `lost`."""

    def events(self, events: list[Event]) -> None:
        """What happened, in order, as it came from one read or one tick."""

    def lost(self, lost: Lost) -> None:
        """The session is over; every request of it without an answer is in `lost.unanswered`."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Limits of the writing side; seconds and octets."""

    write_deadline_s: float = 10.0
    send_buffer: int = 1 << 20
    farewell_s: float = 1.0


class Link:
    """The shell of one `Session`. `run` drives it until the session is lost and the stream closed."""

    def __init__(self, stream: trio.abc.Stream, session: Session, handler: LinkHandler, options: LinkOptions) -> None:
        self._stream = stream
        self._session = session
        self._handler = handler
        self._options = options
        self._writing = trio.Lock()
        self._write_scope: trio.CancelScope | None = None
        self._buffer = bytearray()  # acknowledgements and link PDUs, until the next write
        self._torn = False  # a write was cut short: whatever followed would be read as garbage
        self._wake = trio.Event()
        self._alarm = trio.CancelScope()
        self._over = trio.Event()
        self._heard_at = 0.0
        self._listening = False
        self.bound: Bound | None = None
        self.bound_at: float | None = None
        self.refused_status: int | None = None
        self.tls_refused = False
        self.lost: Lost | None = None

    # What may be asked.

    @property
    def free_slots(self) -> int:
        """Requests that `submit` would take now; 0 unless bound for sending and not draining."""
        return self._session.free_slots

    @property
    def outstanding(self) -> int:
        """Requests that wait for their answer."""
        return self._session.outstanding

    @property
    def state(self) -> BindState:
        """The session's."""
        return self._session.state

    @property
    def tlvs_allowed(self) -> bool:
        """Whether the peer takes optional parameters (row B10)."""
        return self._session.tlvs_allowed

    @property
    def silent_s(self) -> float:
        """Seconds since the last octet came."""
        return trio.current_time() - self._heard_at

    def listen(self) -> None:
        """Report the next octets as `Heard`, whatever they are."""
        self._listening = True

    # What the sender and intake want.

    async def submit(self, batch: Sequence[tuple[Token, Pdu]], deadline_s: float | None = None) -> None:
        """Send requests in one write; their fate comes as `Answered`, `Unanswered` or in `Lost`.

        NotWritten: the link can no longer send and no octet left. NotEncodable, NotAllowed (wrong PDU, more
        than `free_slots`): our mistake, no octet left either. On return the batch may be on the wire whole,
        in part or not at all: the tokens are the session's, even if the write failed.
        """
        async with self._writing:
            if self.lost is not None or not self._session.submitting:
                raise NotWritten(f"link is {self._session.state}")
            data = self._session.submit(batch, trio.current_time(), deadline_s)
            self._rearm()
            await self._write(data)

    def acknowledge(self, answers: Iterable[tuple[int, int, int]]) -> bool:
        """Answer deliveries: (sequence, command id, status) of each; written together, soon.

        False if the session is over: the peer will deliver again.
        """
        if self.lost is not None:
            return False
        acknowledge = self._session.acknowledge
        self._put(b"".join([acknowledge(sequence, status, command_id) for sequence, command_id, status in answers]))
        self._rearm()
        return True

    def drain(self, grace_s: float, reason: LossReason = LossReason.SHUTDOWN) -> None:
        """Begin to end the session: no new submits, unbind when nothing is owed or `grace_s` is over."""
        self._happened(self._session.drain(trio.current_time(), grace_s, reason))

    # Running.

    async def run(self) -> Lost:
        """Bind and stay bound until the session is lost, then close the stream and say why."""
        try:
            async with trio.open_nursery() as nursery:
                self._put(self._session.start(trio.current_time()))
                nursery.start_soon(self._read)
                nursery.start_soon(self._flush)
                nursery.start_soon(self._watch)
                await self._over.wait()
                nursery.cancel_scope.cancel()
        finally:
            self._end(LossReason.SHUTDOWN)  # nothing, unless we were cancelled
            await self._close()
        assert self.lost is not None
        return self.lost

    async def _read(self) -> None:
        while self.lost is None:
            try:
                data = await self._stream.receive_some(_READ_SIZE)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self.tls_refused = is_tls_fault(error)
                self._end(LossReason.READ_FAILED)
                return
            if not data:
                self._end(LossReason.PEER_CLOSED)
                return
            self._heard_at = trio.current_time()
            events = self._session.receive(bytes(data), self._heard_at)
            if self._listening:
                self._listening = False
                events.insert(0, Heard())
            self._happened(events)

    async def _flush(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            async with self._writing:
                if self._buffer and not self._torn:
                    await self._write(b"")

    async def _watch(self) -> None:
        while True:
            with trio.CancelScope(deadline=self._session.next_deadline()) as self._alarm:
                await trio.sleep_forever()
            self._happened(self._session.tick(trio.current_time()))

    def _rearm(self) -> None:
        # A deadline that moved later costs nothing: the old one fires and finds nothing due.
        self._alarm.deadline = min(self._alarm.deadline, self._session.next_deadline())

    async def _write(self, data: bytes, within_s: float | None = None) -> None:
        """One write of whatever waits and `data`; the caller holds `_writing`.

        Half a PDU is never left behind on a link that lives: a write that fails or outlasts its deadline ends
        the session (rows A14, B13), and a cancelled caller waits for it.
        """
        data = bytes(self._buffer) + data
        self._buffer.clear()
        deadline = trio.current_time() + (within_s or self._options.write_deadline_s)
        with trio.CancelScope(deadline=deadline, shield=True) as self._write_scope:
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                self._torn = True
                self._end(LossReason.WRITE_FAILED)
        if self._write_scope.cancelled_caught:
            self._torn = True
            self._end(LossReason.WRITE_TIMEOUT)
        self._write_scope = None

    def _put(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > self._options.send_buffer:
            self._buffer.clear()
            self._end(LossReason.SEND_BUFFER)
        elif self._buffer:
            self._wake.set()

    # Telling.

    def _happened(self, events: list[Event]) -> None:
        lost = events.pop() if events and isinstance(events[-1], Lost) else None
        if self.bound is None:
            self._binding(events)
        if events:
            self._handler.events(events)
        self._put(self._session.data_to_send())
        if isinstance(lost, Lost):
            self._gone(lost)
        else:
            self._rearm()

    def _binding(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Bound):
                self.bound, self.bound_at = event, trio.current_time()
                self._handler.bound(self)
            elif isinstance(event, BindRefused):
                self.refused_status = event.status

    def _end(self, reason: LossReason) -> None:
        for event in self._session.close(reason):
            assert isinstance(event, Lost)
            self._gone(event)

    def _gone(self, lost: Lost) -> None:
        self.lost = lost
        self._over.set()
        if self._write_scope is not None:
            self._write_scope.deadline = min(self._write_scope.deadline, trio.current_time() + self._options.farewell_s)
        if self.bound is not None:
            self._handler.lost(lost)

    async def _close(self) -> None:
        """Say what is still to be said (unbind_resp, generic_nack) if the peer takes it, then close."""
        with trio.move_on_after(self._options.farewell_s, shield=True):
            async with self._writing:
                if self._buffer and not self._torn:
                    await self._write(b"", self._options.farewell_s)
                await self._stream.aclose()
        with trio.CancelScope(shield=True):
            await trio.aclose_forcefully(self._stream)
