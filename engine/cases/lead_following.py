"""Tells leads what became of their messages and which timers came due.

Store functions called by `following`.
"""

from dataclasses import dataclass
from typing import ClassVar

from engine.cases.casebook import CaseRow
from engine.cases.leads import Leads
from engine.cases.outcomes import Wakes
from engine.store.transaction import Tx
from engine.transit.tally import Tally
from workflows.base import Outcome, Settled, TimerFired
from workflows.lead import WORKFLOW


@dataclass(frozen=True, slots=True)
class LeadFollowers:
    """What leads are told without a call."""

    workflow: ClassVar = WORKFLOW

    leads: Leads

    def settled(self, tx: Tx, row: CaseRow, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        """Tell a lead that one of its messages moved."""
        held = self.leads.hold(row)
        role = held.roles.get(tally.id)
        if role is not None:
            self.leads.take(tx, held, Settled(role, outcome, tally.id, tally.reason or ""), now, wakes)

    def fired(self, tx: Tx, row: CaseRow, kind: str, now: int, wakes: Wakes) -> None:
        """Tell a lead that a timer came due."""
        self.leads.take(tx, self.leads.hold(row), TimerFired(kind), now, wakes)
