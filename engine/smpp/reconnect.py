"""When to connect again: classes of failure, their waiting times, and how often one host may be dialled.

Pure: time and dice are arguments. `bind` does the waiting.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from engine.smpp.pdu import Status


class Failure(StrEnum):
    """Why there is no session; also the health that a bind shows."""

    NETWORK = "network"  # unreachable, closed, silent: will pass by itself
    TLS = "tls"  # certificate or handshake: never a reason to go on without (row B30)
    CREDENTIALS = "credentials"  # 0x0E, 0x0F, 0x53: every further try may lock the account (row B6)
    REFUSED = "refused"  # 0x0D and the rest: wrong address, bind limit, maintenance (row B7)
    GHOST = "ghost"  # 0x05: our earlier session is still bound over there (row B8)


class Schedule(NamedTuple):
    """The n-th wait is drawn from `floor` × c to c, where c doubles from `first_s` up to `cap_s`.

    An alarm is due from the `alarm_after`-th failure in a row.
    """

    first_s: float
    cap_s: float
    floor: float
    alarm_after: int


SCHEDULES: Final[Mapping[Failure, Schedule]] = MappingProxyType(
    {
        Failure.NETWORK: Schedule(1.0, 60.0, 0.0, 3),
        Failure.TLS: Schedule(10.0, 300.0, 0.5, 1),
        # 300 to 450 s, then 600 to 900 s: at most 7 tries in an hour, whatever the dice say.
        Failure.CREDENTIALS: Schedule(450.0, 900.0, 2 / 3, 1),
        Failure.REFUSED: Schedule(10.0, 300.0, 0.5, 3),
        # Inactivity timers over there run for minutes: steady, slow, and soon after it is gone.
        Failure.GHOST: Schedule(30.0, 30.0, 0.5, 10),
    }
)

_CREDENTIALS: Final = frozenset({Status.ESME_RINVPASWD, Status.ESME_RINVSYSID, Status.ESME_RINVSYSTYP})
_PASSING: Final = frozenset({Status.ESME_RSYSERR, Status.ESME_RTHROTTLED, Status.ESME_RMSGQFUL})


def failure_of(bind_status: int) -> Failure:
    """The class of a bind_resp that is not ESME_ROK."""
    if bind_status in _CREDENTIALS:
        return Failure.CREDENTIALS
    if bind_status == Status.ESME_RALYBND:
        return Failure.GHOST
    return Failure.NETWORK if bind_status in _PASSING else Failure.REFUSED


class Retry(NamedTuple):
    """Wait so long before the next connect; `alarm` if somebody should be told."""

    wait_s: float
    alarm: bool


class Backoff:
    """Failures in a row, counted by class: a flapping network does not forget that the password was wrong."""

    __slots__ = ("_counts", "_schedules")

    def __init__(self, schedules: Mapping[Failure, Schedule] = SCHEDULES) -> None:
        self._schedules = schedules
        self._counts: dict[Failure, int] = {}

    @property
    def attempts(self) -> int:
        """Failures since the last stable session."""
        return sum(self._counts.values())

    def failed(self, failure: Failure, draw: float) -> Retry:
        """What to do about one more failure; `draw` is uniform in [0, 1)."""
        count = self._counts[failure] = self._counts.get(failure, 0) + 1
        schedule = self._schedules[failure]
        # The exponent is bounded so that years of failures do not overflow a float.
        ceiling = min(schedule.cap_s, schedule.first_s * 2.0 ** min(count - 1, 32))
        floor = ceiling * schedule.floor
        return Retry(floor + draw * (ceiling - floor), count >= schedule.alarm_after)

    def forget(self) -> None:
        """A session has lasted: the next failure is the first again."""
        self._counts.clear()


class ConnectLimiter:
    """At most `per_second` connects to one host, evenly spaced, over all binds that share it (row B21)."""

    __slots__ = ("_free_at", "_interval_s")

    def __init__(self, per_second: float = 5.0) -> None:
        self._interval_s = 1.0 / per_second
        self._free_at: dict[str, float] = {}

    def reserve(self, host: str, now: float) -> float:
        """The instant at which the caller may connect; asking takes the turn."""
        if len(self._free_at) > 1000:
            self._free_at = {name: at for name, at in self._free_at.items() if at > now}
        turn = max(now, self._free_at.get(host, now))
        self._free_at[host] = turn + self._interval_s
        return turn
