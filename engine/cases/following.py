"""Tells cases what happened without a call: their messages moved, a timer came due.

A registry of who follows the cases of a workflow. Store functions called by the books and by the timer duty; what
handsets write is heard by `hearing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from engine.cases import casebook
from engine.cases.casebook import CaseRow
from engine.cases.outcomes import Wakes
from engine.duties.rounds import Done
from engine.store.transaction import Tx
from engine.transit.tally import Tally
from workflows.base import Outcome

_TIMERS_MOST: Final = 50
_OUTCOMES: Final = {f"message.{outcome.value}": outcome for outcome in Outcome}


class Follower(Protocol):
    """Tells the cases of one workflow what happened to them; what must be woken for it is gathered in `wakes`."""

    @property
    def workflow(self) -> str:
        """The workflow whose cases these are."""

    def settled(self, tx: Tx, row: CaseRow, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        """Tell a case that one of its messages moved."""

    def fired(self, tx: Tx, row: CaseRow, kind: str, now: int, wakes: Wakes) -> None:
        """Tell a case that a timer of this kind came due."""


@dataclass(frozen=True, slots=True)
class Followers:
    """Who is told, by workflow."""

    by_workflow: Mapping[str, Follower]

    def messages_moved(self, tx: Tx, tallies: Sequence[Tally], now: int) -> Wakes:
        """Tell cases what became of their messages: case by case, each in the order in which it happened."""
        wakes = Wakes()
        in_cases = [(tally.case_id, tally) for tally in tallies if tally.case_id is not None]
        # Each case is locked as it is told: every transaction takes these locks in the order of ids.
        for case_id, tally in sorted(in_cases, key=lambda one: one[0]):
            for raised in tally.raised:
                outcome = _OUTCOMES.get(raised.type)
                row = None if outcome is None else casebook.case_by_id(tx, case_id)
                if row is not None and outcome is not None:
                    self.by_workflow[row.workflow].settled(tx, row, tally, outcome, now, wakes)
        return wakes

    def timers_due(self, tx: Tx, now: int) -> Done:
        """Fire the timers that are due: the cases' own duty."""
        due = casebook.due_timers(tx, now, _TIMERS_MOST)
        fired = casebook.fire(tx, [timer.id for timer in due], now)
        wakes = Wakes()
        for timer in due:
            row = casebook.case_by_id(tx, timer.case_id) if timer.id in fired else None
            if row is not None:
                self.by_workflow[row.workflow].fired(tx, row, timer.kind, now, wakes)
        return Done(
            len(fired), queued=wakes.queued, bells=wakes.bells, on_air=wakes.on_air, more=len(due) == _TIMERS_MOST
        )
