"""The requests of one session that wait for an answer: sequence numbers, slots, response deadlines, late answers.

It is told the time, knows no PDU and no link. The session is its only caller.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, NamedTuple

from engine.smpp.events import Token

MAX_SEQUENCE: Final = 0x7FFFFFFF
LATE_LIMIT: Final = 10_000
"""Requests whose late answer is still awaited; the oldest are forgotten first."""

_REMEMBERED: Final = 4096  # answered requests by the low bits of their sequence number; a power of two
_MANY_LINES: Final = 16


Line = OrderedDict[int, None]
"""Sequence numbers with one response deadline in common, oldest first: only its head can be due."""


class Sent(NamedTuple):
    """A request on the wire."""

    token: Token
    command_id: int
    sent_at: float
    line: Line


class Done(NamedTuple):
    """A request that has its answer."""

    sequence: int
    token: Token
    message_id: bytes


class Window:
    """At most `size` outstanding requests; a number is not drawn again while an answer to it may come.

    Every operation costs the same however many requests are outstanding.
    """

    __slots__ = ("_done", "_late", "_late_limit", "_late_s", "_lines", "_next", "_outstanding", "size")

    def __init__(
        self, size: int, *, late_s: float = 3600.0, first_sequence: int = 1, late_limit: int = LATE_LIMIT
    ) -> None:
        self.size = size
        self._late_s = late_s
        self._late_limit = late_limit
        self._next = first_sequence
        self._outstanding: dict[int, Sent] = {}
        self._lines: dict[float, Line] = {}
        self._late: OrderedDict[int, tuple[Sent, float]] = OrderedDict()  # with the instant of doubt
        self._done: list[Done | None] = [None] * _REMEMBERED

    def __len__(self) -> int:
        return len(self._outstanding)

    @property
    def free(self) -> int:
        """Slots that may be taken now."""
        return self.size - len(self._outstanding)

    @property
    def late(self) -> int:
        """Requests past their deadline whose answer would still be honoured."""
        return len(self._late)

    def draw(self) -> int:
        """The next sequence number, 1 to 0x7FFFFFFF and round again (3.4 section 3.2, row B18)."""
        number = self._next
        while number in self._outstanding or number in self._late:
            number = number + 1 if number < MAX_SEQUENCE else 1
        self._next = number + 1 if number < MAX_SEQUENCE else 1
        return number

    def open(self, requests: Sequence[tuple[int, Token, int]], now: float, deadline_s: float) -> None:
        """(sequence, token, command id) of each request that goes on the wire now."""
        line = self._lines.get(deadline_s)
        if line is None:
            line = self._new_line(deadline_s)
        outstanding = self._outstanding
        for sequence, token, command_id in requests:
            outstanding[sequence] = tuple.__new__(Sent, (token, command_id, now, line))
            line[sequence] = None

    def _new_line(self, deadline_s: float) -> Line:
        if len(self._lines) >= _MANY_LINES:  # callers may invent deadlines; the unused lines go
            self._lines = {key: line for key, line in self._lines.items() if line}
        line = self._lines[deadline_s] = Line()
        return line

    def find(self, sequence: int) -> tuple[Sent, bool] | None:
        """The request that `sequence` answers and whether that is late; None if there is no such request."""
        sent = self._outstanding.get(sequence)
        if sent is not None:
            return sent, False
        late = self._late.get(sequence)
        return None if late is None else (late[0], True)

    def settle(self, sequence: int, message_id: bytes) -> None:
        """The request found has its answer: its slot is free, a second answer is known as such."""
        sent = self._outstanding.pop(sequence, None)
        if sent is not None:
            del sent[3][sequence]
        else:
            sent, _ = self._late.pop(sequence)
        self._done[sequence & (_REMEMBERED - 1)] = tuple.__new__(Done, (sequence, sent[0], message_id))

    def answered(self, sequence: int) -> Done | None:
        """The request that `sequence` answered before, if that was lately."""
        done = self._done[sequence & (_REMEMBERED - 1)]
        return done if done is not None and done.sequence == sequence else None

    def doubt(self, sequence: int, now: float) -> None:
        """An outstanding request stops waiting without an answer; a right one may still come late (B15, B17)."""
        sent = self._outstanding.pop(sequence)
        del sent.line[sequence]
        self._late[sequence] = (sent, now)
        if len(self._late) > self._late_limit:
            self._late.popitem(last=False)

    def expire(self, now: float) -> list[Token]:
        """Tokens whose response deadline has passed, moved to the late table; late ones past hope are dropped."""
        tokens: list[Token] = []
        for deadline_s, line in self._lines.items():
            while line:
                sequence = next(iter(line))
                sent = self._outstanding[sequence]
                if sent.sent_at + deadline_s > now:
                    break
                tokens.append(sent.token)
                self.doubt(sequence, now)
        while self._late:
            sequence = next(iter(self._late))
            if self._late[sequence][1] + self._late_s > now:
                break
            del self._late[sequence]
        return tokens

    def next_deadline(self) -> float:
        """When `expire` next has something to do; infinity if never."""
        soonest = float("inf")
        for deadline_s, line in self._lines.items():
            if line:
                soonest = min(soonest, self._outstanding[next(iter(line))].sent_at + deadline_s)
        if self._late:
            soonest = min(soonest, self._late[next(iter(self._late))][1] + self._late_s)
        return soonest

    def surrender(self) -> tuple[Token, ...]:
        """The session is over: every outstanding token, oldest first; the window is empty afterwards."""
        tokens = tuple(sent.token for sent in self._outstanding.values())
        self._outstanding.clear()
        self._lines.clear()
        self._late.clear()
        return tokens
