"""From the PDU log to packets: each session one TCP stream, from its handshake to its end.

The packets never were on a network: addresses and ports are the session's where it had a socket, everything else
is made so that a dissector finds nothing to complain about. Sans-IO; `live` and the control API feed it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final

from smppsim.capture.packets import ACK, FIN, PSH, RST, SYN, Endpoint, Segment, build
from smppsim.capture.pcap import record
from smppsim.pdulog import IN, Connection, LoggedPdu

_LARGEST: Final = 1460
"""Octets in a segment: what fits an Ethernet frame."""
_SMPP: Final = 2775
_HEADER: Final = 16


class Stream:
    """The TCP stream of one session; instants are UTC microseconds."""

    __slots__ = ("_client", "_count", "_next", "_server")

    def __init__(self, connection: Connection) -> None:
        self._client, self._server = _ends(connection)
        self._next = {True: connection.session * 1000, False: connection.session * 1000 + 500}
        """The next sequence number of the client and of the server."""
        self._count = 0

    def opened(self, at: int) -> bytes:
        """The handshake."""
        asked = self._packet(at, SYN, from_client=True)
        granted = self._packet(at, SYN | ACK, from_client=False)
        return asked + granted + self._packet(at, ACK, from_client=True)

    def said(self, at: int, octets: bytes, *, from_client: bool) -> bytes:
        """Octets of one side, cut into segments."""
        pieces = [octets[start : start + _LARGEST] for start in range(0, len(octets), _LARGEST)]
        return b"".join(self._packet(at, PSH | ACK, piece, from_client=from_client) for piece in pieces)

    def closed(self, at: int, *, reset: bool, by_client: bool) -> bytes:
        """The end: our RST, or the FIN of who ended it, and of the other."""
        if reset:
            return self._packet(at, RST | ACK, from_client=False)
        first = self._packet(at, FIN | ACK, from_client=by_client)
        second = self._packet(at, FIN | ACK, from_client=not by_client)
        return first + second + self._packet(at, ACK, from_client=by_client)

    def _packet(self, at: int, flags: int, payload: bytes = b"", *, from_client: bool) -> bytes:
        ends = (self._client, self._server) if from_client else (self._server, self._client)
        sequence = self._next[from_client]
        acknowledged = self._next[not from_client] if flags & ACK else 0
        self._next[from_client] += len(payload) + bool(flags & (SYN | FIN))
        self._count += 1
        segment = Segment(*ends, sequence, acknowledged, flags, payload)
        return record(at, build(segment, self._count, from_client=from_client))


class Recorder:
    """Turns what happens on sessions into records of a pcap file."""

    def __init__(self) -> None:
        self._streams: dict[int, Stream] = {}

    def opened(self, connection: Connection, at: int) -> bytes:
        """A connection has come."""
        stream = self._streams[connection.session] = Stream(connection)
        return stream.opened(at)

    def said(self, row: LoggedPdu, at: int) -> bytes:
        """A frame has passed; one of a session whose beginning nobody saw begins it."""
        begun = b""
        if row.session not in self._streams:
            begun = self.opened(Connection(row.session, "", "", row.at), at)
        return begun + self._streams[row.session].said(at, row.frame, from_client=row.direction == IN)

    def closed(self, connection: Connection, at: int) -> bytes:
        """A connection has ended."""
        stream = self._streams.pop(connection.session, None)
        return b"" if stream is None else stream.closed(at, reset=connection.reset, by_client=connection.by_client)


def record_log(rows: Iterable[LoggedPdu], connections: dict[int, Connection], offset: int) -> Iterator[bytes]:
    """The records of what a PDU log holds. `offset`: UTC microseconds at the zero of its clock."""
    rows = list(rows)
    recorder = Recorder()
    events: list[tuple[float, int, LoggedPdu | Connection]] = [(row.at, 1, row) for row in rows]
    spoke = {row.session for row in rows}
    for connection in connections.values():
        if connection.session in spoke:
            events.append((connection.opened, 0, connection))
            if connection.closed is not None:
                events.append((connection.closed, 2, connection))
    for instant, order, what in sorted(events, key=itemgetter(0, 1)):
        at = offset + round(instant * 1_000_000)
        if isinstance(what, LoggedPdu):
            yield recorder.said(what, at)
        else:
            yield recorder.closed(what, at) if order else recorder.opened(what, at)


def _ends(connection: Connection) -> tuple[Endpoint, Endpoint]:
    """The client's and the simulator's; stand-ins (RFC 5737) where there was no socket, or one of another family."""
    client, server = _endpoint(connection.peer), _endpoint(connection.local)
    if client is not None and server is not None and (":" in client.address) == (":" in server.address):
        return client, server
    number = connection.session
    return Endpoint(f"192.0.2.{number % 254 + 1}", 1024 + number // 254 % 64_000), Endpoint("198.51.100.1", _SMPP)


def _endpoint(text: str) -> Endpoint | None:
    address, _, port = text.rpartition(":")
    try:
        return Endpoint(str(ipaddress.ip_address(address.strip("[]"))), int(port))
    except ValueError:
        return None
