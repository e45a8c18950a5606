"""How often guessing at a handover code succeeds under the limits: of a delivery, and of a courier in a day.

Real deliveries of the workflow, real derived codes; a guesser who tries different codes until nobody compares them any
more. Pure: no row, no wire.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Final

from engine.codes import CodeSeed, derive
from workflows.base import SECOND, Outcome, Refused, Settled, Step, Verdict
from workflows.handover import Facts, Spent, spend, start, step
from workflows.handover_case import WRONG_OF_COURIER, DeliveryCase, Door, Party, Slot, State
from workflows.handover_confirming import is_guess
from workflows.handover_events import ArrivalTold, CodeEntered, Entry, Stated

_NOW: Final = 1_800_000_000 * SECOND
_KEY: Final = bytes(range(32))


@dataclass(frozen=True, slots=True)
class Guessed:
    """What guessing came to: deliveries guessed at and opened, codes compared; and the same of couriers' days."""

    deliveries: int
    opened: int
    compared: int
    days: int
    days_opened: int

    @property
    def per_delivery(self) -> float:
        """Return the share of deliveries that guessing opened."""
        return self.opened / self.deliveries

    @property
    def per_day(self) -> float:
        """Return the share of couriers' days on which guessing opened a delivery."""
        return self.days_opened / self.days


def measure(length: int, deliveries: int, seed: int = 0) -> Guessed:
    """Guess at so many deliveries, one courier after another taking them as long as they are not suspended."""
    random = Random(seed)
    opened = compared = days = days_opened = 0
    wrong, lucky = WRONG_OF_COURIER, False
    for number in range(deliveries):
        if wrong >= WRONG_OF_COURIER:
            days += 1
            days_opened += lucky
            wrong, lucky = 0, False
        case = _arrived(length)
        code = derive(CodeSeed("k", "handover", f"dlv_{seed}_{number}", 1, "n", "", length, "digits"), _KEY)
        for guess in _guesses(length, random):
            entry = Entry(Door.CODE, _NOW, Stated("c"), suspended=wrong >= WRONG_OF_COURIER)
            spent = spend(case, entry, _NOW)
            if not isinstance(spent, Spent):
                break
            compared += 1
            verdict = Verdict.RIGHT if guess == code else Verdict.WRONG
            decided = step(spent.case, CodeEntered(verdict, entry), Facts(), _NOW)
            assert isinstance(decided, Step)
            wrong += verdict is Verdict.WRONG and is_guess(case, decided.case)
            case = decided.case
            if case.state is State.DELIVERED:
                opened, lucky = opened + 1, True
                break
    return Guessed(deliveries, opened, compared, days, days_opened)


def _guesses(length: int, random: Random) -> Iterator[str]:
    most = 10**length
    first = random.randrange(most)
    for number in range(most):
        yield f"{(first + number) % most:0{length}}"


def _arrived(length: int) -> DeliveryCase:
    if length not in _READY:
        anna = Party("pty_1", "", "fr")
        slot = Slot(_NOW, _NOW + 3_600 * SECOND)
        case = DeliveryCase("dlv_1", "Boutique", "colis", slot, _NOW, 0, (anna,), anna.id, code_length=length)
        for event in (None, ArrivalTold("c")):
            decided = start(case, _NOW) if event is None else step(case, event, Facts(), _NOW)
            assert not isinstance(decided, Refused)
            case = decided.case
        settled = step(case, Settled(case.messages[-1], Outcome.ACCEPTED), Facts(), _NOW)
        assert isinstance(settled, Step)
        _READY[length] = settled.case
    return replace(_READY[length])


_READY: Final[dict[int, DeliveryCase]] = {}
