"""The injected time and randomness: UTC instants (µs), monotonic seconds, time-ordered ids, RFC 3339 text.

Nothing else in the engine reads a clock or throws dice. The composition root makes one `SystemClock`; tests
make a `VirtualClock`, which follows trio's own clock.
"""

import random
import re
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Protocol

import trio

SECOND: Final = 1_000_000
MINUTE: Final = 60 * SECOND
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_RFC3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_VARIANT: Final = 0b10 << 62


NewIds = Callable[[str, int], list[str]]
"""`Clock.new_ids`."""


class Clock(Protocol):
    """What the engine knows of time and chance.

    `random` is for jitter and choices, seeded in tests; what must not be guessed comes from `entropy`.
    """

    random: random.Random

    def now(self) -> int:
        """Return the UTC instant in microseconds; it may step when the machine's clock is set."""

    def monotonic(self) -> float:
        """Return trio's time in seconds, to be compared with trio's deadlines; only inside trio."""

    def new_id(self, prefix: str) -> str:
        """Return `prefix_` and a UUIDv7 in 32 hex digits (RFC 9562, 5.7), rising within the process."""

    def new_ids(self, prefix: str, count: int) -> list[str]:
        """Return so many of them, each higher than the one before: cheaper than one at a time."""

    def entropy(self, count: int) -> bytes:
        """Return that many unguessable bytes (in tests: repeatable ones)."""


class _Ids:
    """UUIDv7 values: 4096ths of milliseconds in 60 bits, raised by one when time has not moved, then chance."""

    __slots__ = ("_last", "_lock")

    def __init__(self) -> None:
        self._last = 0
        self._lock = threading.Lock()  # the writer's thread and trio's both draw ids

    def draw(self, prefix: str, count: int, now: int, dice: random.Random) -> list[str]:
        ticks = (now << 12) // 1000
        with self._lock:
            first = max(ticks, self._last + 1)
            self._last = first + count - 1
        bits = dice.getrandbits
        # Digit groups that each fit a machine word: one number of 128 bits takes half as long again.
        return [
            f"{prefix}_{tick >> 12:012x}7{tick & 0xFFF:03x}{_VARIANT | bits(62):016x}"
            for tick in range(first, first + count)
        ]


class SystemClock:
    """The machine's clock, and dice seeded by the operating system."""

    __slots__ = ("_ids", "random")

    def __init__(self) -> None:
        self._ids = _Ids()
        self.random = random.Random(secrets.randbits(256))  # noqa: S311 - jitter; secrets come from entropy()

    def now(self) -> int:
        """Return the UTC instant in microseconds."""
        return time.time_ns() // 1000  # noqa: TID251 - the one place that may

    def monotonic(self) -> float:
        """Return trio's time in seconds; raises `RuntimeError` outside trio."""
        return trio.current_time()

    def new_id(self, prefix: str) -> str:
        """Return a new time-ordered id."""
        return self.new_ids(prefix, 1)[0]

    def new_ids(self, prefix: str, count: int) -> list[str]:
        """Return new time-ordered ids, in their order."""
        return self._ids.draw(prefix, count, time.time_ns() // 1000, self.random)  # noqa: TID251 - as above

    def entropy(self, count: int) -> bytes:
        """Return unguessable bytes."""
        return secrets.token_bytes(count)


class VirtualClock:
    """A clock for tests: its instants follow trio's time (a `MockClock`, say), its dice are seeded.

    Outside trio time stands still until `advance`. A second `trio.run` goes on where the first ended, as after
    a restart. `step` sets the wall clock alone, as NTP or an operator would.
    """

    __slots__ = ("_base", "_ids", "_seen", "_start", "random")

    def __init__(self, start_us: int = 1_795_417_200 * SECOND, seed: int = 0) -> None:
        self._start = start_us
        self._ids = _Ids()
        self._base: float | None = None  # monotonic() - trio's time
        self._seen = 0.0
        self.random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def now(self) -> int:
        """Return the virtual UTC instant in microseconds."""
        return self._start + round(self.monotonic() * SECOND)

    def monotonic(self) -> float:
        """Return trio's time in seconds, or outside trio the latest that was seen or advanced to."""
        try:
            present = trio.current_time()
        except RuntimeError:
            return self._seen
        if self._base is None or present + self._base < self._seen:
            self._base = 0.0 if present >= self._seen else self._seen - present
        self._seen = present + self._base
        return self._seen

    def advance(self, seconds: float) -> None:
        """Let time pass for code that runs outside trio."""
        self._seen += seconds

    def step(self, seconds: float) -> None:
        """Set the wall clock forwards or back; monotonic time does not notice."""
        self._start += round(seconds * SECOND)

    def new_id(self, prefix: str) -> str:
        """Return a new time-ordered id, the same for the same seed and time."""
        return self.new_ids(prefix, 1)[0]

    def new_ids(self, prefix: str, count: int) -> list[str]:
        """Return new time-ordered ids, the same for the same seed and time."""
        return self._ids.draw(prefix, count, self.now(), self.random)

    def entropy(self, count: int) -> bytes:
        """Return repeatable bytes."""
        return self.random.randbytes(count)


@lru_cache(maxsize=4096)
def _second_text(second: int) -> str:
    return (_EPOCH + timedelta(seconds=second)).isoformat()[:19] + "."


def to_rfc3339(instant: int) -> str:
    """Return an instant (µs) as `2026-11-23T07:00:00.123Z`; finer than a millisecond is cut off.

    Raises `OverflowError` outside the years 1 to 9999.
    """
    second, rest = divmod(instant, SECOND)
    return f"{_second_text(second)}{rest // 1000:03d}Z"


def from_rfc3339(text: str) -> int:
    """Return the instant (µs) of an RFC 3339 date-time with offset; raises `ValueError` without the text."""
    if _RFC3339.fullmatch(text) is None:
        raise ValueError("not an RFC 3339 date-time with an offset")
    try:
        return (datetime.fromisoformat(text.upper()) - _EPOCH) // _MICROSECOND
    except ValueError:
        raise ValueError("not a date-time that exists") from None
