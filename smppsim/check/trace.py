"""What passed between the operator and its client: frames with their meaning, links, who answered whom.

Sans-IO and without opinion: frames and the ends of links come in with their instants, `rules` reads the result.
The witness fills it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from engine.smpp.errors import CodecError
from engine.smpp.pdu import (
    HEADER_LENGTH,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    Header,
    Pdu,
    SubmitSm,
    Unbind,
    UnbindResp,
    decode_flagged,
    is_response,
    peek,
)
from engine.smpp.states import BOUND_BY, BindState, Side

BOUND: Final = frozenset(BOUND_BY.values())
Bind = BindTransmitter | BindReceiver | BindTransceiver


@dataclass(slots=True, eq=False)
class Seen:
    """One frame. `at` is in seconds of the shell's clock, `state` the session's before the frame."""

    at: float
    link: LinkSeen
    by: Side
    frame: bytes
    header: Header
    pdu: Pdu | None
    flags: tuple[str, ...]
    fault: CodecError | None
    state: BindState
    answers: Seen | None = None
    """The request with this sequence number that a response found, whether it fits or not."""
    answered: Seen | None = None
    """The first response to this request."""

    @property
    def by_client(self) -> bool:
        """Whether the client sent it."""
        return self.by is Side.ESME

    @property
    def response(self) -> bool:
        """Whether it is a response of any kind."""
        return is_response(self.header.command_id)


@dataclass(slots=True, eq=False)
class LinkSeen:
    """One connection."""

    number: int
    opened_at: float
    state: BindState = BindState.OPEN
    version: int | None = None
    """interface_version of the bind."""
    frames: list[Seen] = field(default_factory=list)
    was_bound: bool = False
    dead_at: float | None = None
    """Since when the operator neither hears nor says anything, the connection standing."""
    closed_at: float | None = None
    closed_by: Side | None = None
    requests: dict[tuple[Side, int], Seen] = field(default_factory=dict)
    """The latest request of each side by sequence number."""

    def over_by(self, at: float) -> bool:
        """Whether nothing could pass any more at `at`."""
        ends = [end for end in (self.dead_at, self.closed_at) if end is not None]
        return bool(ends) and min(ends) <= at


def _read(frame: bytes) -> tuple[Pdu | None, tuple[str, ...], CodecError | None]:
    """Body, leniencies and fault."""
    try:
        _, pdu, flags = decode_flagged(frame)
    except CodecError as error:
        return None, (), error
    return pdu, flags, None


class Trace:
    """Everything seen so far, up to `most` frames; what comes then is only counted, in `unseen`."""

    def __init__(self, most: int = 300_000) -> None:
        self._most = most
        self.frames: list[Seen] = []
        self.links: dict[int, LinkSeen] = {}
        self.now = 0.0
        self.unseen = 0

    def opened(self, number: int, at: float) -> LinkSeen:
        """A connection is there; safe to say twice."""
        self.now = max(self.now, at)
        return self.links.setdefault(number, LinkSeen(number, at))

    def closed(self, number: int, at: float, by: Side) -> None:
        """A connection has ended; the first to say so is right."""
        self.now = max(self.now, at)
        link = self.links[number]
        if link.closed_at is None:
            link.closed_at, link.closed_by = at, by

    def add(self, number: int, at: float, by: Side, frame: bytes) -> None:
        """A frame passed. What is too short for a header is left out: the fault's answer tells of it."""
        link = self.opened(number, at)
        if len(self.frames) >= self._most:
            self.unseen += 1
            return
        if len(frame) < HEADER_LENGTH:
            return
        seen = Seen(at, link, by, frame, peek(frame), *_read(frame), state=link.state)
        self._relate(seen)
        self._move(seen)
        self.frames.append(seen)
        link.frames.append(seen)

    def _relate(self, seen: Seen) -> None:
        requests, sequence = seen.link.requests, seen.header.sequence_number
        if not seen.response:
            requests[seen.by, sequence] = seen
            return
        asker = Side.SMSC if seen.by_client else Side.ESME
        seen.answers = requests.get((asker, sequence))
        if seen.answers is not None and seen.answers.answered is None:
            seen.answers.answered = seen

    @staticmethod
    def _move(seen: Seen) -> None:
        link = seen.link
        if seen.by is Side.SMSC and seen.header.command_id in BOUND_BY and not seen.header.command_status:
            link.state = BOUND_BY[seen.header.command_id]
            link.was_bound = True
        elif isinstance(seen.pdu, Bind) and link.version is None:
            link.version = seen.pdu.interface_version
        elif seen.by_client and isinstance(seen.pdu, Unbind | UnbindResp):
            link.state = BindState.UNBOUND

    def of_client(self) -> Iterator[Seen]:
        """What the client sent."""
        return (seen for seen in self.frames if seen.by_client)

    def of_operator(self) -> Iterator[Seen]:
        """What the operator sent."""
        return (seen for seen in self.frames if not seen.by_client)

    def submits(self) -> Iterator[tuple[Seen, SubmitSm | DataSm]]:
        """The readable messages of the client."""
        for seen in self.of_client():
            if isinstance(seen.pdu, SubmitSm | DataSm):
                yield seen, seen.pdu

    @property
    def most_bound(self) -> int:
        """How many sessions were bound at once."""
        moves = [(link.opened_at, 1) for link in self.links.values() if link.was_bound]
        moves += [(link.closed_at, -1) for link in self.links.values() if link.was_bound and link.closed_at is not None]
        count = most = 0
        for _, step in sorted(moves):
            count += step
            most = max(most, count)
        return most
