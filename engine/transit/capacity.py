"""How many PDUs a bind may be given now, for codes and for the rest: window slots and pacing tokens together.

`otp` may use everything; other lanes stay above the reserve, which is a floor and not a slice, and stand still while
a long message of theirs still has parts to send. Pure; the sender asks it before every claim.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from engine.transit.pacing import Pace

_SMALLEST_SHARED_WINDOW: Final = 4


def window_floor(window: int, share: float = 0.1) -> int:
    """Return the slots of a window that only `otp` may use: a tenth, at least one, none under a window of four."""
    return 0 if window < _SMALLEST_SHARED_WINDOW else max(1, int(window * share))


@dataclass(slots=True)
class Capacity:
    """One bind's room: its window, what is claimed but not written yet, and the pace it shares or owns.

    `window` counts slots of the session; `outstanding` submits unanswered; `claimed` slots promised to a claim in
    progress; `held` is True while parts of a long message of another lane than `otp` still wait for slots.
    """

    window: int
    pace: Pace
    outstanding: int = 0
    claimed: int = 0
    held: bool = False
    wanted: int = 0  # codes that wait for a slot: nobody else gets one meanwhile
    reserved_share: float = 0.1
    _floor: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._floor = window_floor(self.window, self.reserved_share)

    @property
    def free(self) -> int:
        """Return the window slots that nothing uses or is about to use."""
        return max(0, self.window - self.outstanding - self.claimed)

    def room(self, now: float, *, otp: bool) -> int:
        """Return how many PDUs of this kind of lane may be claimed now."""
        if otp:
            return min(self.free, self.pace.available(now, reserved=True))
        if self.held or self.wanted:
            return 0
        return max(0, min(self.free - self._floor, self.pace.available(now, reserved=False)))

    def wait(self, now: float, *, otp: bool) -> float | None:
        """Return the seconds until tokens allow a PDU, or None if it is a slot that must come free."""
        slots = self.free - (0 if otp else self._floor)
        if slots <= 0 or (not otp and (self.held or self.wanted)):
            return None
        return self.pace.wait(now, reserved=otp)

    def claim(self, count: int, now: float) -> None:
        """Promise `count` slots and tokens to a claim."""
        self.claimed += count
        self.pace.take(count, now)

    def written(self, claimed: int, used: int, now: float, since: float) -> None:
        """End a claim made at `since`: of `claimed` slots `used` are outstanding now, the rest and their tokens
        return.
        """
        self.claimed -= claimed
        self.outstanding += used
        self.pace.left(claimed, used, now, since)

    @contextmanager
    def wanting(self, *, token: bool) -> Iterator[None]:
        """Have what comes free go to a code while it waits: the next token of the account, or the next slot."""
        wanted: Pace | Capacity = self.pace if token else self
        wanted.wanted += 1
        try:
            yield
        finally:
            wanted.wanted -= 1

    def answered(self, count: int) -> None:
        """Free the slots of submits that were answered or given up."""
        self.outstanding = max(0, self.outstanding - count)

    def reset(self) -> None:
        """Forget the session that was lost, with everything outstanding on it."""
        self.outstanding = 0
        self.held = False
