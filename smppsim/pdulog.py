"""The last PDUs of every session, in a ring of bounded length, and between whom they passed.

It keeps octets as they were on the wire, passwords of binds apart, and decodes only when read. Written by the
sessions and the operator, read by tests, the control API and captures.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from engine.smpp.errors import CodecError
from engine.smpp.pdu import Header, Pdu, commands, decode, encode, peek

IN, OUT = "in", "out"
_HEADER: Final = 16
_CONNECTIONS: Final = 10_000


class LoggedPdu(NamedTuple):
    """One frame. `at` is the shell's monotonic clock in seconds, `direction` is seen from the simulator,
    `serial` counts from 1 over the whole run."""

    at: float
    session: int
    direction: str
    frame: bytes
    serial: int

    @property
    def command_id(self) -> int | None:
        """None if there are not even 16 octets."""
        return int.from_bytes(self.frame[4:8], "big") if len(self.frame) >= _HEADER else None

    @property
    def header(self) -> Header:
        """FramingError if there are not even 16 octets."""
        return peek(self.frame)

    @property
    def pdu(self) -> Pdu | None:
        """The decoded body, None if it is malformed."""
        try:
            return decode(self.frame)[1]
        except CodecError:
            return None


@dataclass(slots=True)
class Connection:
    """Between whom a session's frames passed, and how long. Instants as in LoggedPdu."""

    session: int
    peer: str
    """The client's `address:port`, empty where there is no socket."""
    local: str
    opened: float
    account: str | None = None
    closed: float | None = None
    reset: bool = False
    """Ended by our RST, not by FIN."""
    by_client: bool = False
    """It was the client that ended it."""


class PduLog:
    """The ring. `PduLog(0)` keeps nothing."""

    __slots__ = ("_count", "_listeners", "_ring", "_watchers", "connections")

    def __init__(self, length: int) -> None:
        self._ring: deque[tuple[float, int, str, bytes, int]] = deque(maxlen=length)
        self._count = 0
        self.connections: dict[int, Connection] = {}
        """By session; the latest ten thousand."""
        self._listeners: list[Callable[[LoggedPdu], object]] = []
        self._watchers: list[Callable[[Connection], object]] = []

    def __len__(self) -> int:
        return len(self._ring)

    def __iter__(self) -> Iterator[LoggedPdu]:
        return map(LoggedPdu._make, tuple(self._ring))

    @property
    def last(self) -> int:
        """The serial of the latest frame, 0 before the first."""
        return self._count

    def add(self, at: float, session: int, direction: str, frame: bytes) -> None:
        """Keep one frame."""
        self._count += 1
        row = at, session, direction, frame, self._count
        self._ring.append(row)
        for listener in self._listeners:
            listener(LoggedPdu._make(row))

    def after(self, serial: int) -> list[LoggedPdu]:
        """What was kept after this one and is still there, oldest first."""
        fresh = min(self._count - serial, len(self._ring))
        return [LoggedPdu._make(row) for row in islice(reversed(self._ring), max(0, fresh))][::-1]

    def opened(self, session: int, peer: str, local: str, now: float) -> None:
        """A connection has come."""
        connection = self.connections[session] = Connection(session, peer, local, now)
        if len(self.connections) > _CONNECTIONS:
            del self.connections[next(iter(self.connections))]
        for watcher in self._watchers:
            watcher(connection)

    def bound(self, session: int, account: str) -> None:
        """It is known whose connection it is."""
        if session in self.connections:
            self.connections[session].account = account

    def closed(self, session: int, now: float, *, reset: bool, by_client: bool) -> None:
        """A connection has ended."""
        connection = self.connections.get(session)
        if connection is None or connection.closed is not None:
            return
        connection.closed, connection.reset, connection.by_client = now, reset, by_client
        for watcher in self._watchers:
            watcher(connection)

    def listen(self, listener: Callable[[LoggedPdu], object]) -> None:
        """Hand every frame to `listener` as well from now on, as it is logged; nobody else pays for it."""
        self._listeners.append(listener)

    def watch(self, watcher: Callable[[Connection], object]) -> None:
        """Hand every connection to `watcher` from now on, as it opens and as it closes."""
        self._watchers.append(watcher)

    def clear(self) -> None:
        """Forget every frame; serials go on."""
        self._ring.clear()


def without_password(frame: bytes) -> bytes:
    """A bind or outbind with its password starred out; of a malformed one the whole body, any other frame as it is."""
    try:
        header, pdu = decode(frame)
    except CodecError:
        return frame[:_HEADER] + b"*" * (len(frame) - _HEADER)
    if header.command_id in commands.BINDS or header.command_id == commands.OUTBIND:
        masked = pdu._replace(password=b"*" * 8)  # type: ignore[call-arg]  # a bind or outbind has one
        return encode(masked, header.sequence_number, header.command_status)
    return frame
