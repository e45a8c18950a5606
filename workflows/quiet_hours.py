"""When marketing may be sent: hours by country and date, in every zone in which a number may be.

Pure. The rules are dated data: France by the charter of 2026 (af2m, verification-behaviours 1.8), 08:00 to 21:30, and
22:00 before it; elsewhere 08:00 to 21:00, the narrowest of the common ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from workflows.base import SECOND


class Hours(NamedTuple):
    """From a day on, marketing may be sent from one time of day until another (not including it)."""

    since: date
    opens: time
    closes: time


_RULES: Final[dict[str, tuple[Hours, ...]]] = {
    # Oldest first. Sundays and holidays are tolerated, and not advised.
    "FR": (
        Hours(date(1970, 1, 1), time(8), time(22)),
        Hours(date(2026, 1, 1), time(8), time(21, 30)),
    ),
}
_ELSEWHERE: Final = (Hours(date(1970, 1, 1), time(8), time(21)),)
_STEPS_MOST: Final = 200
_LEAST_US: Final = 600 * SECOND  # what is queued must still find its way to a bind


def allowed_at(now: int, country: str, zones: Sequence[str]) -> int:
    """Return the first instant from now on at which it is within hours in every one of the zones.

    Where zones leave no common hour, it is the first at which most of them are open: a number has one zone only.
    """
    rules = _RULES.get(country, _ELSEWHERE)
    places = [ZoneInfo(name) for name in zones] or [ZoneInfo("UTC")]
    at, best, most = now, now, -1
    for _ in range(_STEPS_MOST):
        opens = [_opens(at, rules, place) for place in places]
        is_open = sum(one <= at for one in opens)
        if is_open == len(places):
            return at
        if is_open > most:
            best, most = at, is_open
        at = min(one for one in opens if one > at)
    return best


def window(now: int, country: str, zones: Sequence[str]) -> tuple[int, int]:
    """Return from when until when marketing may be sent next; a time that is nearly over is left to the following."""
    free_at = allowed_at(now, country, zones)
    until = _closing(free_at, country, zones)
    if until - free_at < _LEAST_US:
        free_at = allowed_at(until, country, zones)
        until = _closing(free_at, country, zones)
    return free_at, until


def _closing(at: int, country: str, zones: Sequence[str]) -> int:
    """Return the first closing of the zones that are open."""
    rules = _RULES.get(country, _ELSEWHERE)
    places = [ZoneInfo(name) for name in zones] or [ZoneInfo("UTC")]
    return min((_closes(at, rules, place) for place in places if _opens(at, rules, place) <= at), default=at)


def _closes(at: int, rules: Sequence[Hours], place: ZoneInfo) -> int:
    local = datetime.fromtimestamp(at / SECOND, UTC).astimezone(place)
    hours = [one for one in rules if one.since <= local.date()][-1]
    return int(datetime.combine(local.date(), hours.closes, place).timestamp()) * SECOND


def _opens(at: int, rules: Sequence[Hours], place: ZoneInfo) -> int:
    """Return `at` if it is within hours in a zone, else the next opening there."""
    local = datetime.fromtimestamp(at / SECOND, UTC).astimezone(place)
    hours = [one for one in rules if one.since <= local.date()][-1]
    if hours.opens <= local.time() < hours.closes:
        return at
    day = local.date() if local.time() < hours.opens else local.date() + timedelta(days=1)
    hours = [one for one in rules if one.since <= day][-1]
    opening = datetime.combine(day, hours.opens, place)
    return int(opening.timestamp()) * SECOND
