"""What an answer means and when to try again: the retry table, Retry-After, and the pace of one endpoint.

Pure: the instant and the dice are arguments. The feeder asks; the rows keep the result.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Final

from engine.clock import DAY, SECOND
from engine.webhooks.options import WebhookOptions

NO_ANSWER: Final = 0
_GONE: Final = 410
# The receiver, or what stands before it, asks for air.
_SLOW_DOWN: Final = frozenset({429, 502, 503, 504})
_LONGEST_RETRY_AFTER: Final = DAY
_LONGEST_REST_S: Final = 60.0
_LEAST_FAILURES_TO_REST: Final = 8


class Verdict(StrEnum):
    """What one answer means for the event that was posted."""

    DELIVERED = "delivered"
    FAILED = "failed"
    SLOW_DOWN = "slow_down"  # failed, and the whole endpoint is fed more slowly
    GONE = "gone"  # 410: the endpoint wants nothing any more


def judge(status: int) -> Verdict:
    """Return what an HTTP status means; 0 stands for no answer. Redirects are failures: they are never followed."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status == _GONE:
        return Verdict.GONE
    return Verdict.SLOW_DOWN if status in _SLOW_DOWN else Verdict.FAILED


def retry_after(value: str | None, now: int) -> int | None:
    """Return the instant (µs) that a Retry-After header names, by seconds or by date; None if it names none.

    Never later than a day from now: a receiver may ask for air, not for oblivion.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdecimal():
        at = now + min(int(text[:9]), 10**8) * SECOND
    else:
        try:
            date = parsedate_to_datetime(text)
        except (ValueError, OverflowError):
            return None
        at = round((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()) * SECOND
    return min(max(at, now), now + _LONGEST_RETRY_AFTER)


def next_attempt(
    attempts: int, not_before: int | None, now: int, options: WebhookOptions, dice: random.Random
) -> int | None:
    """Return when (µs) to try again after `attempts` failed ones, or None when the table is through."""
    if attempts >= len(options.retry_s):
        return None
    pause = options.retry_s[attempts] * (1 + options.jitter * dice.uniform(0, 1))
    return max(now + round(pause * SECOND), not_before or 0)


@dataclass(slots=True)
class Pace:
    """How many posts one endpoint may have under way, and since when it is left alone.

    Failures in a row put it to rest: one post at a time, at growing intervals, so that a receiver that is down costs
    neither attempts nor connections. The first success lets it rise again, one connection for each.
    """

    most: int
    limit: int = field(init=False)
    failures: int = 0  # in a row
    resume_at: int = 0  # µs; nothing is posted before
    resting: bool = False

    def __post_init__(self) -> None:
        self.limit = self.most

    def widen(self, most: int) -> None:
        """Take a changed setting: the most connections."""
        if most != self.most:
            self.limit = most if self.limit == self.most else min(self.limit, most)
            self.most = most

    def answered(self, verdict: Verdict, asked: int | None, now: int, dice: random.Random) -> bool:
        """Take one answer; `asked` is the instant of its Retry-After. True if the endpoint has just recovered."""
        if verdict is Verdict.DELIVERED:
            recovered, self.resting, self.failures = self.resting, False, 0
            self.limit = min(self.most, self.limit + 1)
            return recovered
        self.failures += 1
        if verdict is Verdict.SLOW_DOWN and now >= self.resume_at:  # answers of one pause count once
            self.limit = max(1, self.limit // 2)
            self.resume_at = asked if asked is not None else self._pause(self.failures - 1, now, dice)
        beyond = self.failures - max(_LEAST_FAILURES_TO_REST, 2 * self.most)
        if beyond >= 0:
            self.resting, self.limit = True, 1
            self.resume_at = max(self.resume_at, self._pause(beyond, now, dice))
        return False

    @staticmethod
    def _pause(doublings: int, now: int, dice: random.Random) -> int:
        pause = min(_LONGEST_REST_S, 2.0 ** min(doublings, 16))
        return now + round(pause * (1 + 0.2 * dice.uniform(0, 1)) * SECOND)
