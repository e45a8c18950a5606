"""Captured packets back to SMPP: TCP streams put in order, each side's octets cut into frames.

Sans-IO. It forgives what captures are like: retransmissions, disorder, a beginning or a segment that is missing.
`replay` plays what it finds.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from engine.smpp.pdu import MAX_COMMAND_LENGTH, commands
from smppsim.capture.packets import ACK, FIN, RST, SYN, Endpoint, Segment, parse
from smppsim.capture.pcap import Packet

_NUMBERS: Final = 1 << 32  # sequence numbers of TCP
_LENGTH, _HEADER = 4, 16
_OF_CLIENTS: Final = frozenset(command.to_bytes(4, "big") for command in commands.BINDS)
_OF_SERVERS: Final = frozenset(
    command.to_bytes(4, "big") for command in (*(bind | commands.RESPONSE for bind in commands.BINDS), commands.OUTBIND)
)


class Said(NamedTuple):
    """One frame, or octets that are none: broken off, or from where a stream is no SMPP any more. `at` in UTC
    microseconds."""

    at: int
    by_client: bool
    frame: bytes


class Conversation(NamedTuple):
    """One connection: who spoke, and everything that was said, in the order in which it was complete."""

    client: Endpoint
    server: Endpoint
    said: tuple[Said, ...]


class _Side:
    """What one end said: its octets in order, cut into frames."""

    def __init__(self) -> None:
        self._expected: int | None = None
        self._early: dict[int, bytes] = {}
        self._rest = bytearray()
        self._lost = False

    def begins(self, sequence: int) -> None:
        """The first octet will have this number."""
        self._expected = sequence % _NUMBERS

    def take(self, sequence: int, payload: bytes) -> list[bytes]:
        """A segment's payload; the frames that it completes."""
        if self._expected is None:
            self._expected = sequence
        known = self._early.get(sequence, b"")
        self._early[sequence] = max(known, payload, key=len)
        return self._cut()

    def finish(self) -> list[bytes]:
        """No more comes: what waits for segments that never came, and a frame that broke off."""
        frames: list[bytes] = []
        while self._early:
            self._expected = min(self._early, key=self._beyond)
            frames += self._cut()
        if self._rest:
            frames.append(bytes(self._rest))
        return frames

    def _beyond(self, sequence: int) -> int:
        """How far beyond the next expected octet; negative for what came before."""
        assert self._expected is not None
        return (sequence - self._expected + _NUMBERS // 2) % _NUMBERS - _NUMBERS // 2

    def _cut(self) -> list[bytes]:
        while (sequence := next((each for each in self._early if self._beyond(each) <= 0), None)) is not None:
            fresh = self._early[sequence][-self._beyond(sequence) :]
            del self._early[sequence]
            self._rest += fresh
            self.begins((self._expected or 0) + len(fresh))
        frames = []
        while len(self._rest) >= _LENGTH:
            length = int.from_bytes(self._rest[:_LENGTH], "big")
            self._lost = self._lost or not _HEADER <= length <= MAX_COMMAND_LENGTH
            if self._lost:  # no SMPP from here on
                length = len(self._rest)
            if len(self._rest) < length:
                break
            frames.append(bytes(self._rest[:length]))
            del self._rest[:length]
        return frames


class _Stream:
    """Both directions, by the end that speaks."""

    def __init__(self, first: Segment) -> None:
        self.began = first.sequence
        self.over = False
        self._ends = (first.source, first.destination)
        self._caller = first.source if first.flags & SYN and not first.flags & ACK else None
        self._sides = {end: _Side() for end in self._ends}
        self._said: list[tuple[int, Endpoint, bytes]] = []

    def take(self, at: int, segment: Segment) -> None:
        side, sequence = self._sides[segment.source], segment.sequence
        if segment.flags & SYN:
            sequence += 1
            side.begins(sequence)
        if segment.payload:
            frames = side.take(sequence % _NUMBERS, segment.payload)
            self._said += [(at, segment.source, frame) for frame in frames]
        self.over = self.over or bool(segment.flags & (RST | FIN))

    def finish(self) -> Conversation:
        last = self._said[-1][0] if self._said else 0
        for end, side in self._sides.items():
            self._said += [(last, end, frame) for frame in side.finish()]
        client = self._client()
        server = next(end for end in self._ends if end != client)
        return Conversation(client, server, tuple(Said(at, end == client, frame) for at, end, frame in self._said))

    def _client(self) -> Endpoint:
        """Who called; without a handshake who binds, or else who has the higher port."""
        if self._caller is not None:
            return self._caller
        for _, end, frame in self._said:
            if frame[4:8] in _OF_CLIENTS:
                return end
            if frame[4:8] in _OF_SERVERS:
                return next(each for each in self._ends if each != end)
        return max(self._ends, key=lambda end: end.port)


def conversations(packets: Iterable[Packet]) -> list[Conversation]:
    """Every TCP connection on which something was said, in the order in which they began."""
    streams: dict[frozenset[Endpoint], _Stream] = {}
    begun: list[_Stream] = []
    for packet in packets:
        segment = parse(packet.link_type, packet.octets)
        if segment is None:
            continue
        key = frozenset((segment.source, segment.destination))
        known = streams.get(key)
        calls = segment.flags & SYN and not segment.flags & ACK
        if known is None or (calls and (known.over or known.began != segment.sequence)):
            known = streams[key] = _Stream(segment)
            begun.append(known)
        known.take(packet.at, segment)
    found = [stream.finish() for stream in begun]
    return [each for each in found if each.said]
