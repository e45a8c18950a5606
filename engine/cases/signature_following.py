"""Tells signature requests what became of their messages and which timers came due, and keeps both as evidence.

Store functions called by `following`.
"""

from dataclasses import dataclass
from typing import ClassVar

from engine.cases import carriage
from engine.cases.casebook import CaseRow
from engine.cases.outcomes import ENGINE, Wakes
from engine.cases.signature_conducting import SignatureConductor
from engine.store.transaction import Tx
from engine.transit.tally import Tally
from workflows import signature
from workflows.base import Outcome, Refused, Settled, TimerFired
from workflows.signature import WORKFLOW
from workflows.signature_case import Facts


@dataclass(frozen=True, slots=True)
class SignatureFollowers:
    """What signature requests are told without a call."""

    workflow: ClassVar = WORKFLOW

    conductor: SignatureConductor

    def settled(self, tx: Tx, row: CaseRow, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        """Tell a request that one of its messages moved."""
        held = self.conductor.hold(tx, row)
        role = held.roles.get(tally.id)
        if role is None:
            return
        entries = [carriage.moved(tx, tally, outcome)]
        decided = signature.step(held.case, Settled(role, outcome, tally.id, tally.reason or ""), Facts(), now)
        assert not isinstance(decided, Refused)
        if decided.effects or decided.case != held.case:
            self.conductor.apply(tx, held, decided, now, wakes, ENGINE, before=entries)
        else:
            self.conductor.sealer.seal(tx, row.application_id, row.id, entries, now)

    def fired(self, tx: Tx, row: CaseRow, kind: str, now: int, wakes: Wakes) -> None:
        """Tell a request that a timer came due."""
        held = self.conductor.hold(tx, row)
        decided = signature.step(held.case, TimerFired(kind), Facts(), now)
        if not isinstance(decided, Refused) and (decided.effects or decided.case != held.case):
            self.conductor.apply(tx, held, decided, now, wakes, ENGINE)
