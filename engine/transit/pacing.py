"""How many PDUs an operator account may send now: a token bucket with a reserve, and its cuts and recovery.

Pure: every call takes the monotonic instant. The sender asks before it claims; intake reports throttling.
"""

import math
from dataclasses import dataclass
from typing import Final

UNLIMITED: Final = math.inf
_CUT: Final = 0.5  # one multiplicative cut …
_RECOVERY_PER_S: Final = 0.105  # … and additive recovery: from the least, whole again within 10 s
_PAUSE_S: Final = 0.5
_LEAST: Final = 0.02
_PROMPT_S: Final = 0.02  # a commit that takes longer than this brings PDUs together that were paced apart
_GROWTH_PER_S: Final = 0.1  # of an estimated rate, while nothing is throttled
_ENDLESS: Final = 1e6
_CONGESTED: Final = 90  # congestion_state (SMPP 5.0 §4.8.4.18): 90–99 near congestion, 100 congested


@dataclass(slots=True)
class Pace:
    """Tokens for PDUs at `rate` per second (`math.inf` for none agreed).

    The depth is 1 % of the rate and the refill the rest, so that no second ever exceeds the rate. `floor` of the
    depth is the reserve: only the `otp` lane may dig into it. `factor` is what congestion leaves of the rate.
    """

    rate: float
    now: float
    factor: float = 1.0
    wanted: int = 0  # codes that wait for a token: nobody else gets one meanwhile
    _promised: int = 0  # tokens taken for PDUs that have not left yet
    _estimated: bool = False
    _tokens: float = 0.0
    _cut_at: float = -math.inf
    _sent: float = 0.0  # PDUs in the present second, to know what an unlimited account was doing when it was throttled
    _second: float = 0.0
    _last_rate: float = 0.0

    def __post_init__(self) -> None:
        self._tokens = self.depth
        self._second = self.now

    @property
    def limit(self) -> float:
        """Return the rate now allowed, PDUs per second."""
        return self.rate * self.factor

    @property
    def depth(self) -> float:
        """Return how many tokens may gather: the most that leaves at once."""
        return UNLIMITED if self.rate == UNLIMITED else max(1.0, math.floor(self.limit / 100))

    @property
    def floor(self) -> float:
        """Return the tokens that other lanes leave to `otp`."""
        return 0.0 if self.rate == UNLIMITED else math.floor(self.depth / 2)

    def available(self, now: float, *, reserved: bool) -> int:
        """Return how many PDUs may leave now; `reserved` for the lane that may use the reserve."""
        self._refill(now)
        if self.rate == UNLIMITED:
            return 1_000_000
        if self.wanted and not reserved:
            return 0
        return max(0, math.floor(self._tokens - (0.0 if reserved else self.floor) + 1e-9))

    def take(self, count: int, now: float) -> None:
        """Spend `count` tokens on PDUs that leave soon; the caller asked `available` at this same instant."""
        self._refill(now)
        self._count(count, now)
        self._promised += count
        if self.rate != UNLIMITED:
            self._tokens -= count

    def left(self, promised: int, used: int, now: float, since: float) -> None:
        """Of `promised` tokens taken at `since`, `used` leave as PDUs now; the others return.

        What gathered while they were held up is given up, so that a slow commit adds nothing to the second in which
        they leave.
        """
        self._promised -= promised
        if self.rate == UNLIMITED:
            return
        self._tokens = min(self.depth, self._tokens + promised - used)
        if used and now - since > _PROMPT_S:
            self._refill(now)
            self._tokens = min(self._tokens, self.depth - used - self._promised)

    def wait(self, now: float, *, reserved: bool) -> float:
        """Return the seconds until one PDU may leave; 0 if one may now."""
        if self.available(now, reserved=reserved) > 0:
            return 0.0
        missing = 1.0 + (0.0 if reserved else self.floor + self.wanted) - self._tokens
        return max(missing / self._refill_rate, 1e-4)

    def throttled(self, now: float, round_trip: float) -> bool:
        """Halve the rate, once per round trip however many PDUs of it were throttled; tell whether this call did."""
        if now - self._cut_at < max(round_trip, 0.05):
            return False
        self._refill(now)
        if self.rate == UNLIMITED:
            # No rate was agreed and there is one all the same: what was being sent is the first estimate of it.
            self.rate = max(self._last_rate, self._sent, 10.0)
            self._estimated = True
            self._tokens = 0.0
        self._cut_at = now
        self.factor = max(_LEAST, self.factor * _CUT)
        self._tokens = min(self._tokens, 0.0)
        return True

    def congestion(self, state: int, now: float, round_trip: float) -> bool:
        """Take a peer's congestion_state (percent) into account before it throttles; tell whether the rate was cut."""
        return self.throttled(now, round_trip) if state >= _CONGESTED else False

    @property
    def _refill_rate(self) -> float:
        return max(self.limit - self.depth, self.limit / 2)

    def _refill(self, now: float) -> None:
        elapsed = now - self.now
        if elapsed <= 0:
            return
        self.now = now
        if self.rate == UNLIMITED:
            return
        if self.factor < 1.0 and now - self._cut_at > _PAUSE_S:
            self.factor = min(1.0, self.factor + _RECOVERY_PER_S * min(elapsed, now - self._cut_at - _PAUSE_S))
        elif self._estimated and self.factor >= 1.0:
            # An estimate made in a quiet moment was too low: it is raised until the operator throttles again.
            self.rate *= 1.0 + _GROWTH_PER_S * min(elapsed, 1.0)
            if self.rate > _ENDLESS:
                self.rate, self._estimated = UNLIMITED, False
                return
        self._tokens = min(self.depth, self._tokens + elapsed * self._refill_rate)

    def _count(self, count: int, now: float) -> None:
        if now - self._second >= 1.0:
            self._last_rate, self._sent, self._second = self._sent / max(now - self._second, 1.0), 0.0, now
        self._sent += count
