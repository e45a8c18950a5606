"""GCRA rate limits in memory: at most `count` in any `per_s` seconds for each key, and the RateLimit header fields.

Pure but for its own table: every call takes the monotonic instant. It protects the process; what must outlive a
restart (attempts, sends) is counted in rows by the cases.
"""

import math
from collections import OrderedDict
from typing import Final, NamedTuple

_MOST_KEYS: Final = 10_000


class Verdict(NamedTuple):
    """Whether one more may pass, how many more could at once, seconds until the next may and until all may again."""

    allowed: bool
    remaining: int
    retry_s: int
    reset_s: int


class RateLimit:
    """One policy: a theoretical arrival time (TAT) per key, the least recently used keys forgotten first."""

    __slots__ = ("_arrivals", "count", "name", "per_s")

    def __init__(self, name: str, count: int, per_s: int) -> None:
        self.name = name
        self.count = count
        self.per_s = per_s
        self._arrivals: OrderedDict[str, float] = OrderedDict()

    @property
    def policy(self) -> str:
        """Return the RateLimit-Policy item (draft-ietf-httpapi-ratelimit-headers)."""
        return f'"{self.name}";q={self.count};w={self.per_s}'

    def field(self, verdict: Verdict) -> str:
        """Return the RateLimit item."""
        return f'"{self.name}";r={verdict.remaining};t={verdict.reset_s}'

    def take(self, key: str, now: float) -> Verdict:
        """Let one pass, or refuse it and count nothing."""
        interval = self.per_s / self.count
        arrival = max(self._arrivals.get(key, now), now)
        if arrival - now > self.per_s - interval + 1e-9:
            return Verdict(False, 0, max(1, math.ceil(arrival - now - self.per_s + interval)), math.ceil(arrival - now))
        arrival += interval
        self._arrivals[key] = arrival
        self._arrivals.move_to_end(key)
        if len(self._arrivals) > _MOST_KEYS:
            self._arrivals.popitem(last=False)
        remaining = int((self.per_s - (arrival - now)) / interval + 1e-9)
        return Verdict(True, remaining, 0, math.ceil(arrival - now))

    def peek(self, key: str, now: float) -> bool:
        """Tell whether one could pass now, without letting it."""
        arrival = self._arrivals.get(key, now)
        return arrival - now <= self.per_s - self.per_s / self.count + 1e-9
