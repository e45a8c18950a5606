"""Tells deliveries what became of their messages and which timers came due, and keeps both as evidence.

Store functions called by `following`.
"""

from dataclasses import dataclass
from typing import ClassVar

from engine.cases import carriage
from engine.cases.casebook import CaseRow
from engine.cases.deliveries import Deliveries
from engine.cases.handover_logs import HandoverLogs
from engine.cases.outcomes import ENGINE, Wakes
from engine.store.transaction import Tx
from engine.transit.tally import Tally
from workflows import handover
from workflows.base import Outcome, Refused, Settled, TimerFired
from workflows.handover import WORKFLOW, Facts
from workflows.handover_telling import CLAIM


@dataclass(frozen=True, slots=True)
class HandoverFollowers:
    """What deliveries are told without a call."""

    workflow: ClassVar = WORKFLOW

    deliveries: Deliveries
    logs: HandoverLogs

    def settled(self, tx: Tx, row: CaseRow, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        """Tell a delivery that one of its messages moved."""
        conductor = self.deliveries.conductor
        held = conductor.hold(tx, row)
        role = held.roles.get(tally.id)
        if role is None:
            return
        entries = [carriage.moved(tx, tally, outcome)]
        decided = handover.step(held.case, Settled(role, outcome, tally.id, tally.reason or ""), Facts(), now)
        assert not isinstance(decided, Refused)
        if decided.effects or decided.case != held.case:
            conductor.apply(tx, held, decided, now, wakes, ENGINE, before=entries)
        else:
            conductor.sealer.seal(tx, row.application_id, row.id, entries, now)

    def fired(self, tx: Tx, row: CaseRow, kind: str, now: int, wakes: Wakes) -> None:
        """Tell a delivery that a timer came due; logs that stayed cut are adjudicated as they are."""
        held = self.deliveries.conductor.hold(tx, row)
        if kind == CLAIM:
            for device in held.case.claimed_by:
                self.logs.close(tx, row.application_id, device, now, wakes)
            return
        self.deliveries.take(tx, held, TimerFired(kind), now, wakes, ENGINE)
