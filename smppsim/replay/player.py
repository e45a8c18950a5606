"""Playing a script, sans-IO: time and the other side's frames come in, frames to send come out.

Requests get new sequence numbers, responses the numbers of the requests that they answer now, and ids that the
other side gave then become those that it gives now. `command` moves the octets.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from engine.smpp.errors import CodecError
from engine.smpp.pdu import BODIES, GenericNack, Header, Status, command_name, commands, decode, encode, status_name
from smppsim.replay.script import Ask, Script, header_of, is_response, message_id_of

_LAST_SEQUENCE: Final = 0x7FFF_FFFF
# What is answered even if the capture holds no such request; everything else is refused.
_COURTESIES: Final = frozenset({commands.ENQUIRE_LINK, commands.UNBIND, commands.DELIVER_SM, commands.DATA_SM})
_ABOUT_MESSAGES: Final = frozenset({commands.QUERY_SM, commands.CANCEL_SM, commands.REPLACE_SM})


class Login(NamedTuple):
    """What replaces the captured system_id and password of a bind; None leaves them."""

    system_id: str | None = None
    password: str | None = None


@dataclass
class Outcome:
    """How the replay went."""

    sent: int = 0
    """Requests of ours."""
    as_before: int = 0
    """Answered with the status of the capture."""
    different: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)
    """Answered in the capture, not now."""
    unscripted: int = 0
    """Requests of the other side that the capture does not hold."""
    ended: str = ""
    """Why it ended early."""

    @property
    def same(self) -> bool:
        """Whether everything was answered as in the capture."""
        return not (self.different or self.unanswered or self.ended)


class Player:
    """One connection's part. `speed`: 2 is twice as fast as it was, infinity waits only for answers."""

    def __init__(self, script: Script, *, speed: float = 1.0, login: Login | None = None) -> None:
        self.outcome = Outcome()
        self._asks = deque(script.asks)
        self._answers = script.answers
        self._window = script.window
        self._speed = speed
        self._login = login or Login()
        self._begun = 0.0
        self._scheduled: list[tuple[float, int, bytes]] = []
        self._count = 0
        self._sequence = 0
        self._open: dict[int, Ask] = {}
        self._seen: Counter[int] = Counter()
        self._ids: dict[bytes, bytes] = {}
        self._owed = sum(answer is not None for answer in script.answers.values())
        self._binds = any(ask.header is not None and ask.header.command_id in commands.BINDS for ask in script.asks)

    def begin(self, now: float) -> None:
        """The connection stands."""
        self._begun = now

    @property
    def said_all(self) -> bool:
        """Whether nothing of ours is left to send."""
        return not self._asks and not self._scheduled

    @property
    def done(self) -> bool:
        """Whether nothing is left to send nor to wait for."""
        awaited = self._owed or any(ask.answered is not None for ask in self._open.values())
        return bool(self.outcome.ended) or (self.said_all and not awaited)

    @property
    def next_due(self) -> float:
        """When something is to be sent, infinity while only the other side can move things on."""
        due = self._scheduled[0][0] if self._scheduled else math.inf
        if self._asks and not self._waits(self._asks[0]):
            due = min(due, self._begun + self._asks[0].due / self._speed)
        return due

    def due(self, now: float) -> list[bytes]:
        """What is to be sent at `now`."""
        frames = []
        while self._scheduled and self._scheduled[0][0] <= now:
            frames.append(heapq.heappop(self._scheduled)[2])
        while self._asks and not self._waits(self._asks[0]):
            if self._begun + self._asks[0].due / self._speed > now:
                break
            frames.append(self._ask(self._asks.popleft()))
        return frames

    def _waits(self, ask: Ask) -> bool:
        """Before the bind is answered nothing else is asked; about a message only once its id is known; without
        time never more at once than in the capture."""
        if ask.header is None:
            return False
        command_id = ask.header.command_id
        binding = command_id in commands.BINDS or command_id == commands.OUTBIND
        if (self._binds and not binding) or (math.isinf(self._speed) and len(self._open) >= self._window):
            return True
        about = message_id_of(ask.frame) if command_id in _ABOUT_MESSAGES else b""
        return bool(about) and any(other.message_id == about for other in self._open.values())

    def _ask(self, ask: Ask) -> bytes:
        if ask.header is None:
            return ask.frame
        self._sequence = self._sequence % _LAST_SEQUENCE + 1
        self._open[self._sequence] = ask
        self.outcome.sent += 1
        return _numbered(self._current(ask), self._sequence)

    def _current(self, ask: Ask) -> bytes:
        """The captured request with what has changed since: the login, the ids of messages."""
        assert ask.header is not None
        if ask.header.command_id not in commands.BINDS | _ABOUT_MESSAGES:
            return ask.frame
        try:
            _, pdu = decode(ask.frame)
        except CodecError:
            return ask.frame
        if ask.header.command_id in commands.BINDS:
            told = {name: value.encode() for name, value in self._login._asdict().items() if value is not None}
        else:
            then: bytes = pdu.message_id  # type: ignore[union-attr]  # these three have one
            told = {"message_id": self._ids.get(then, then)}
        return encode(pdu._replace(**told), 1, ask.header.command_status)

    # -- the other side -------------------------------------------------------------------------------------

    def received(self, frame: bytes, now: float) -> None:
        """A frame of the other side."""
        header = header_of(frame)
        if header is None:
            return
        if is_response(header):
            self._answered(header, frame)
        else:
            self._asked(header, now)

    def _answered(self, header: Header, frame: bytes) -> None:
        ask = self._open.pop(header.sequence_number, None)
        if ask is None or ask.header is None:
            return
        if ask.message_id:
            self._ids[ask.message_id] = message_id_of(frame)
        name = command_name(ask.header.command_id)
        if ask.answered == header.command_status:
            self.outcome.as_before += 1
        else:
            then = "no answer" if ask.answered is None else status_name(ask.answered)
            now = status_name(header.command_status)
            self.outcome.different.append(f"{name} {ask.header.sequence_number}: {then} then, {now} now")
        if ask.header.command_id in commands.BINDS:
            self._binds = False
            if header.command_status != Status.ESME_ROK and ask.answered == Status.ESME_ROK:
                self.outcome.ended = f"the bind was refused: {status_name(header.command_status)}"

    def _asked(self, header: Header, now: float) -> None:
        command_id = header.command_id
        key = command_id, self._seen[command_id]
        self._seen[command_id] += 1
        if key not in self._answers:
            self.outcome.unscripted += 1
            self._schedule(now, _courtesy(command_id), header)
            return
        answer = self._answers[key]
        if answer is not None:
            self._owed -= 1
            self._schedule(now + answer.delay / self._speed, answer.frame, header)

    def _schedule(self, due: float, frame: bytes, asked: Header) -> None:
        self._count += 1
        heapq.heappush(self._scheduled, (due, self._count, _numbered(frame, asked.sequence_number)))

    def lost(self) -> None:
        """The other side has ended the connection; what has no answer gets none."""
        if not self.said_all and not self.outcome.ended:
            left = len(self._asks) + len(self._scheduled)
            self.outcome.ended = f"the other side closed the connection with {left} PDUs to send"

    def finish(self) -> Outcome:
        """No more comes."""
        for ask in self._open.values():
            if ask.answered is not None and ask.header is not None:
                name, number = command_name(ask.header.command_id), ask.header.sequence_number
                self.outcome.unanswered.append(f"{name} {number}")
        return self.outcome


def _numbered(frame: bytes, sequence: int) -> bytes:
    """The frame as it is, under another sequence number: damage stays damage."""
    return frame[:12] + sequence.to_bytes(4, "big") + frame[16:]


def _courtesy(command_id: int) -> bytes:
    body = BODIES.get(command_id | commands.RESPONSE)
    if body is None:
        return encode(GenericNack(), 1, Status.ESME_RINVCMDID)
    return encode(body(), 1, Status.ESME_ROK if command_id in _COURTESIES else Status.ESME_RSYSERR)
