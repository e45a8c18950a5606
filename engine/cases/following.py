"""Tells cases what happened without a call: their messages moved, a timer came due.

Store functions called by the books and by the timer duty; what handsets write is heard by `hearing`.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from engine.cases import casebook
from engine.cases.casebook import CaseRow
from engine.cases.conducting import Conductor
from engine.cases.handover_following import HandoverFollowers
from engine.cases.leads import Leads
from engine.cases.outcomes import Wakes
from engine.cases.profiles import Profiles
from engine.cases.reverse import Reverses
from engine.cases.signature_following import SignatureFollowers
from engine.duties.rounds import Done
from engine.store.transaction import Tx
from engine.transit.books import Bells
from engine.transit.settling import Tally
from workflows import verify
from workflows.base import Event, Outcome, Settled, Step, TimerFired
from workflows.handover import WORKFLOW as HANDOVER
from workflows.lead import WORKFLOW as LEAD
from workflows.profiles import VerificationProfile
from workflows.reverse_otp import WORKFLOW as REVERSE
from workflows.signature import WORKFLOW as SIGNATURE
from workflows.verify import Facts

ENGINE: Final = "engine"
_TIMERS_MOST: Final = 50
_OUTCOMES: Final = {f"message.{outcome.value}": outcome for outcome in Outcome}


@dataclass(frozen=True, slots=True)
class Followers:
    """What cases are told."""

    conductor: Conductor
    profiles: Profiles
    signatures: SignatureFollowers
    reverses: Reverses
    deliveries: HandoverFollowers
    leads: Leads

    def messages_moved(self, tx: Tx, tallies: Sequence[Tally], now: int) -> Bells:
        """Tell cases what became of their messages, in the order in which it happened."""
        by_case: dict[str, list[Tally]] = defaultdict(list)
        for tally in tallies:
            if tally.case_id is not None:
                by_case[tally.case_id].append(tally)
        wakes = Wakes()
        for case_id in sorted(by_case):
            for tally in by_case[case_id]:
                for raised in tally.raised:
                    outcome = _OUTCOMES.get(raised.type)
                    if outcome is not None:
                        self._settled(tx, case_id, tally, outcome, now, wakes)
        return wakes.bells

    def timers_due(self, tx: Tx, now: int) -> Done:
        """Fire the timers that are due: the cases' own duty."""
        due = casebook.due_timers(tx, now, _TIMERS_MOST)
        fired = casebook.fire(tx, [timer.id for timer in due], now)
        wakes = Wakes()
        for timer in due:
            if timer.id in fired:
                row = casebook.case_by_id(tx, timer.case_id)
                if row is not None and row.workflow == SIGNATURE:
                    self.signatures.fired(tx, row, timer.kind, now, wakes)
                elif row is not None and row.workflow == HANDOVER:
                    self.deliveries.fired(tx, row, timer.kind, now, wakes)
                elif row is not None and row.workflow == LEAD:
                    self.leads.take(tx, row, TimerFired(timer.kind), now, wakes)
                elif row is not None and row.workflow == REVERSE:
                    self.reverses.fired(tx, row, now, wakes)
                elif row is not None:
                    self._step(tx, row, TimerFired(timer.kind), now, wakes)
        return Done(
            len(fired), queued=wakes.queued, bells=wakes.bells, on_air=wakes.on_air, more=len(due) == _TIMERS_MOST
        )

    def _settled(self, tx: Tx, case_id: str, tally: Tally, outcome: Outcome, now: int, wakes: Wakes) -> None:
        row = casebook.case_by_id(tx, case_id)
        if row is None:
            return
        if row.workflow == SIGNATURE:
            self.signatures.settled(tx, row, tally, outcome, now, wakes)
            return
        if row.workflow == HANDOVER:
            self.deliveries.settled(tx, row, tally, outcome, now, wakes)
            return
        if row.workflow == LEAD:
            role = self.leads.hold(row).roles.get(tally.id)
            if role is not None:
                self.leads.take(tx, row, Settled(role, outcome, tally.id, tally.reason or ""), now, wakes)
            return
        role = self.conductor.hold(row).roles.get(tally.id)
        if role is not None:
            reason = tally.reason or ""
            self._step(tx, row, Settled(role, outcome, tally.id, reason), now, wakes)

    def _step(self, tx: Tx, row: CaseRow, event: Event, now: int, wakes: Wakes) -> None:
        profile = self.profiles.of(tx, row.application_id, row.profile) or VerificationProfile(name=row.profile)
        held = self.conductor.hold(row)
        decided = verify.step(held.case, event, Facts(profile), now, self.conductor.clock.random)
        if isinstance(decided, Step) and (decided.effects or decided.case != held.case):
            self.conductor.apply(tx, held, decided, now, wakes, ENGINE)
