"""Tells verifications what became of their messages and which timers came due.

Store functions called by `following`.
"""

from dataclasses import dataclass
from typing import ClassVar

from engine.cases.casebook import CaseRow
from engine.cases.conducting import Conductor, Held
from engine.cases.outcomes import ENGINE, Wakes
from engine.cases.profiles import Profiles
from engine.store.transaction import Tx
from engine.transit.tally import Tally
from workflows import verify
from workflows.base import Event, Outcome, Settled, Step, TimerFired
from workflows.verify import WORKFLOW, Facts


@dataclass(frozen=True, slots=True)
class VerificationFollowers:
    """What verifications are told without a call."""

    workflow: ClassVar = WORKFLOW

    conductor: Conductor
    profiles: Profiles

    def settled(self, tx: Tx, row: CaseRow, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        """Tell a verification that one of its messages moved."""
        held = self.conductor.hold(row)
        role = held.roles.get(tally.id)
        if role is not None:
            self._step(tx, held, Settled(role, outcome, tally.id, tally.reason or ""), now, wakes)

    def fired(self, tx: Tx, row: CaseRow, kind: str, now: int, wakes: Wakes) -> None:
        """Tell a verification that a timer came due."""
        self._step(tx, self.conductor.hold(row), TimerFired(kind), now, wakes)

    def _step(self, tx: Tx, held: Held, event: Event, now: int, wakes: Wakes) -> None:
        facts = Facts(self.profiles.of_case(tx, held.row.application_id, held.row.profile))
        decided = verify.step(held.case, event, facts, now, self.conductor.clock.random)
        if isinstance(decided, Step) and (decided.effects or decided.case != held.case):
            self.conductor.apply(tx, held, decided, now, wakes, ENGINE)
