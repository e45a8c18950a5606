"""SMPP times: `YYMMDDhhmmsstnnp`, absolute or relative (SMPP 3.4 section 7.1.1).

Pure arithmetic on integers; what a time means for a message is decided elsewhere. The sender writes
validity periods, the simulator reads them.
"""

from __future__ import annotations

import calendar
import time
from functools import lru_cache
from typing import Final, NamedTuple

from engine.smpp.errors import MalformedTime, NotEncodable

_SECOND: Final = 1_000_000
_DAY: Final = 86_400
_MAX_RELATIVE: Final = 100 * _DAY - 1
_QUARTER: Final = 900


class SmppTime(NamedTuple):
    """`microseconds` since 1970 UTC, or from the moment of reading if `relative`."""

    relative: bool
    microseconds: int

    def instant(self, now: int) -> int:
        """The UTC instant in microseconds, for something read at `now`."""
        return now + self.microseconds if self.relative else self.microseconds


@lru_cache(maxsize=1024)  # a campaign's messages live equally long
def relative_validity(seconds: int) -> bytes:
    """16 characters `0000DDhhmmss000R` for 1 second to 99 days; NotEncodable outside.

    Years and months stay 00: what they mean differs between vendors.
    """
    if not 1 <= seconds <= _MAX_RELATIVE:
        raise NotEncodable(f"a relative time of {seconds} s does not fit 1 s to 99 days")
    days, rest = divmod(seconds, _DAY)
    hours, rest = divmod(rest, 3600)
    minutes, rest = divmod(rest, 60)
    return b"0000%02d%02d%02d%02d000R" % (days, hours, minutes, rest)


def absolute_time(instant_us: int) -> bytes:
    """16 characters in UTC (`00+`) for a UTC instant in microseconds; NotEncodable outside 2000 to 2099."""
    seconds, rest = divmod(instant_us, _SECOND)
    try:
        moment = time.gmtime(seconds)
    except (OverflowError, ValueError, OSError):
        raise NotEncodable("the instant is out of range") from None
    if not 2000 <= moment.tm_year <= 2099:
        raise NotEncodable(f"the year {moment.tm_year} has no two digits of ours")
    return b"%02d%02d%02d%02d%02d%02d%d00+" % (
        moment.tm_year - 2000,
        *(moment.tm_mon, moment.tm_mday, moment.tm_hour, moment.tm_min, moment.tm_sec),
        rest // 100_000,
    )


def parse_time(value: bytes) -> SmppTime | None:
    """None for NULL; MalformedTime for anything that is not a time.

    Relative years and months count 365 and 30 days. Two-digit years are of this century.
    """
    if not value:
        return None
    if len(value) != 16 or not value[:15].isdigit() or value[15:] not in (b"+", b"-", b"R"):
        raise MalformedTime(f"{len(value)} octets are no SMPP time")
    year, month, day, hour, minute, second = (int(value[at : at + 2]) for at in range(0, 12, 2))
    tenths, quarters = int(value[12:13]), int(value[13:15])
    if value[15:] == b"R":
        days = 365 * year + 30 * month + day
        seconds = days * _DAY + hour * 3600 + minute * 60 + second
        return SmppTime(True, seconds * _SECOND + tenths * (_SECOND // 10))
    in_calendar = 1 <= month <= 12 and 1 <= day <= calendar.monthrange(2000 + year, month)[1]
    if not (in_calendar and hour < 24 and minute < 60 and second < 60 and quarters <= 48):
        raise MalformedTime("a part of the time is out of range")
    local = calendar.timegm((2000 + year, month, day, hour, minute, second))
    offset = quarters * _QUARTER if value[15:] == b"+" else -quarters * _QUARTER
    return SmppTime(False, (local - offset) * _SECOND + tenths * (_SECOND // 10))
