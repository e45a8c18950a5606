"""The counters that outlive a code: attempts and sends of one (application, profile, number, purpose), sends of a day.

Values and the arithmetic on them, nothing else. The workflows of codes count with them; `engine.cases` stores them.

A window opens with its first send or attempt and ends `window_s` after its last one, or when its lock ends. A profile
keeps `window_s` and `lock_s` at least as long as a code lives, and an approval forgives what was spent on the approved
case alone: so no code outlives the count of the attempts made on it. Cancelling, resending or starting again ends
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import Final, NamedTuple, Self

_SECOND: Final = 1_000_000
_DAY: Final = 86_400 * _SECOND
_MOST_JITTER: Final = 0.1


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures of a profile; `cooldown_s` is the pause after the first send, the second …, its last one repeated."""

    attempts: int
    sends: int
    cooldown_s: tuple[int, ...]
    window_s: int
    lock_s: int
    day_sends: int


class NotYet(NamedTuple):
    """Why no message may be sent now, and from when one may."""

    code: str
    next_send_at: int


@dataclass(frozen=True, slots=True)
class Window:
    """Attempts spent and messages sent, the end of the cool-down and of the lock (0: none), and the last use."""

    attempts: int = 0
    sends: int = 0
    next_send_at: int = 0
    locked_until: int = 0
    last_at: int = 0

    def at(self, limits: Limits, now: int) -> Self:
        """Return what is left of the window now: itself, or an empty one if it has ended."""
        ends = self.locked_until or self.last_at + limits.window_s * _SECOND
        return self if now < ends else type(self)()

    def is_locked(self, now: int) -> bool:
        """Tell whether too many wrong attempts have closed it to sends and checks."""
        return now < self.locked_until

    def spent(self, now: int) -> Self:
        """One attempt fewer, before anything is compared."""
        return replace(self, attempts=self.attempts + 1, last_at=now)

    def given_back(self) -> Self:
        """The attempt was none: wrong format, or a superseded code."""
        return replace(self, attempts=max(0, self.attempts - 1))

    def forgiven(self, attempts: int) -> Self:
        """An approval: the case's own attempts are forgotten, and its sends with their cool-down."""
        return replace(self, attempts=max(0, self.attempts - attempts), sends=0, next_send_at=0)

    def locked(self, limits: Limits, now: int) -> Self:
        """Closed after the last wrong attempt."""
        return replace(self, locked_until=now + limits.lock_s * _SECOND, last_at=now)

    def sent(self, limits: Limits, now: int, random: Random) -> Self:
        """One message more, and its cool-down with up to 10 % of jitter."""
        sends = self.sends + 1
        pause = limits.cooldown_s[min(sends, len(limits.cooldown_s)) - 1]
        jitter = 1 + _MOST_JITTER * random.random()
        return replace(self, sends=sends, next_send_at=now + round(pause * jitter * _SECOND), last_at=now)

    def attempts_remaining(self, limits: Limits) -> int:
        """Return how many wrong codes are still allowed."""
        return max(0, limits.attempts - self.attempts)

    def sends_remaining(self, limits: Limits) -> int:
        """Return how many messages are still allowed in this window."""
        return max(0, limits.sends - self.sends)

    def not_yet(self, day: Day, limits: Limits, now: int, *, cooled: bool = True) -> NotYet | None:
        """Return why nothing may be sent now, or None; `cooled=False` leaves the cool-down out.

        The window and the day must be those of `now`.
        """
        if self.is_locked(now):
            return NotYet("locked", self.locked_until)
        if self.sends >= limits.sends:
            return NotYet("max_sends", self.last_at + limits.window_s * _SECOND)
        if day.sends >= limits.day_sends:
            return NotYet("day_limit", day.ends_at)
        if cooled and now < self.next_send_at:
            return NotYet("cooldown", self.next_send_at)
        return None

    def dump(self) -> dict[str, int]:
        """Return the counters as a JSON object."""
        return asdict(self)

    @classmethod
    def load(cls, stored: Mapping[str, int]) -> Self:
        """Return the window that `dump` wrote."""
        return cls(**stored)


@dataclass(frozen=True, slots=True)
class Day:
    """Messages to one number on one UTC day, whatever the profile and purpose, of one application."""

    number: int = 0
    sends: int = 0

    def at(self, now: int) -> Self:
        """Return today's count."""
        today = now // _DAY
        return self if self.number == today else type(self)(today)

    @property
    def ends_at(self) -> int:
        """Return the instant of the next midnight UTC."""
        return (self.number + 1) * _DAY

    def sent(self) -> Self:
        """One message more."""
        return replace(self, sends=self.sends + 1)

    def dump(self) -> dict[str, int]:
        """Return the count as a JSON object."""
        return asdict(self)

    @classmethod
    def load(cls, stored: Mapping[str, int]) -> Self:
        """Return the day that `dump` wrote."""
        return cls(**stored)
