"""Slowing down whoever guesses passwords: when the next password of an address or a name may be looked at.

Sans-IO and without memory of passwords; `binding` asks it before and tells it after (row H2).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

FREE: Final = 5
"""Wrong passwords that cost no time."""
PAUSE_S: Final = 6.0
"""Between two looks after that: ten a minute, over however many connections they come."""
FORGIVEN_AFTER_S: Final = 900.0
_KEYS: Final = 10_000


class _Record:
    """One guesser: failures, the last one's instant, and when the next look is due."""

    __slots__ = ("due", "failed_at", "failures")

    def __init__(self) -> None:
        self.failures = 0
        self.failed_at = 0.0
        self.due = 0.0


class Guessing:
    """The failures by peer address and by system_id, the longest quiet forgotten first."""

    __slots__ = ("_records",)

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[str, str], _Record] = OrderedDict()

    def look_at(self, host: str, system_id: str, now: float) -> float:
        """The instant at which a password that came in `now` may be looked at; the place is taken.

        It is the same whether the name exists and whether the password is right.
        """
        slow = [record for record in self._known(host, system_id, now) if record.failures >= FREE]
        if not slow:
            return now
        due = max(now, *(record.due for record in slow))
        for record in slow:
            record.due = due + PAUSE_S
        return due

    def failed(self, host: str, system_id: str, now: float) -> bool:
        """A password was wrong; whether somebody has just become a guesser."""
        alarm = False
        for key in _keys(host, system_id):
            record = self._records.setdefault(key, _Record())
            self._records.move_to_end(key)
            record.failures += 1
            record.failed_at = now
            if record.failures == FREE:
                record.due = now + PAUSE_S
                alarm = True
        while len(self._records) > _KEYS:
            self._records.popitem(last=False)
        return alarm

    def succeeded(self, host: str, system_id: str) -> None:
        """A password was right: address and name are trusted again."""
        for key in _keys(host, system_id):
            self._records.pop(key, None)

    def clear(self) -> None:
        """Forget everybody."""
        self._records.clear()

    def _known(self, host: str, system_id: str, now: float) -> list[_Record]:
        found = []
        for key in _keys(host, system_id):
            record = self._records.get(key)
            if record is not None and record.failed_at + FORGIVEN_AFTER_S <= now:
                del self._records[key]
            elif record is not None:
                found.append(record)
        return found


def _keys(host: str, system_id: str) -> list[tuple[str, str]]:
    # Streams in memory have no address.
    return [("id", system_id), *([("host", host)] if host else [])]
