"""Tells cases what happened without a call: their messages moved, a timer came due, a handset wrote.

Store functions called by the books, by the timer duty and by intake's joining; nothing of the API comes here.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from engine.cases import casebook
from engine.cases.casebook import CaseRow
from engine.cases.conducting import Conductor
from engine.cases.handover_following import HandoverFollowers
from engine.cases.handover_replying import HandoverReplies
from engine.cases.lead_replying import LeadReplies
from engine.cases.opting import Opting
from engine.cases.outcomes import Wakes
from engine.cases.profiles import Profiles
from engine.cases.reverse_replying import ReverseReplies
from engine.cases.signature_following import SignatureFollowers
from engine.cases.signature_replying import Claimed, SignatureReplies
from engine.clock import to_rfc3339
from engine.duties.rounds import Done
from engine.events import NewEvent, event_data, record
from engine.keyring import KeyRing
from engine.phones import mask
from engine.store.transaction import Tx
from engine.transit.books import Bells
from engine.transit.replying import JoinedReply, put_reply
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
    """What cases are told. `owner_of` names the application of one of our numbers and a text's keyword."""

    conductor: Conductor
    profiles: Profiles
    keyring: KeyRing
    owner_of: Callable[[str, str], str | None]
    signatures: SignatureFollowers
    signature_replies: SignatureReplies
    reverse_replies: ReverseReplies
    deliveries: HandoverFollowers
    handover_replies: HandoverReplies
    lead_replies: LeadReplies
    opting: Opting

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
                    self.lead_replies.leads.take(tx, row, TimerFired(timer.kind), now, wakes)
                elif row is not None and row.workflow == REVERSE:
                    self.reverse_replies.reverses.fired(tx, row, now, wakes)
                elif row is not None:
                    self._step(tx, row, TimerFired(timer.kind), now, wakes)
        return Done(
            len(fired), queued=wakes.queued, bells=wakes.bells, on_air=wakes.on_air, more=len(due) == _TIMERS_MOST
        )

    def replied(self, tx: Tx, reply: JoinedReply, now: int) -> Wakes:
        """Store a reply with the conversation that it answers, if there is one; else the application that owns the
        number is told.
        """
        wakes = Wakes()
        claimed = None
        if reply.state == "whole":
            # A reverse code is forty bits and found by an index: a text that holds one means it, whatever else is open.
            claimed = (
                self.opting.exact(tx, reply, now, wakes)
                or self.reverse_replies.heard(tx, reply, now, wakes)
                or self.handover_replies.heard(tx, reply, now, wakes)
                or self.signature_replies.heard(tx, reply, now, wakes)
                or self.lead_replies.heard(tx, reply, now, wakes)
                or self.handover_replies.wrong(tx, reply, now, wakes)
                or self.opting.loose(tx, reply, now, wakes)
            )
            if claimed is None:
                self.reverse_replies.unknown(tx, reply, now)
        if claimed is None:
            claimed = Claimed(self.owner_of(reply.our_number, reply.text) or "", "", "no_open_case")
        put_reply(
            tx,
            {
                "id": reply.id,
                "application_id": claimed.application_id or None,
                "case_id": claimed.case_id or None,
                "account": reply.account,
                "source": reply.source,
                "source_raw": reply.source_raw,
                "source_fp": self.keyring.fingerprint("phone", reply.source),
                "our_number": reply.our_number,
                "sealed": self.keyring.seal(reply.text.encode("utf-8", "replace"), reply.id),
                "state": reply.state if reply.state != "whole" else "matched" if claimed.case_id else "unmatched",
                "choice": claimed.choice,
                "flags": reply.flags,
                "received_at": reply.received_at,
            },
        )
        if claimed.application_id and not claimed.case_id:
            data = event_data(
                "message.received",
                reply_id=reply.id,
                **{"from": mask(reply.source)},
                to=reply.our_number,
                received_at=to_rfc3339(reply.received_at),
                flags=reply.flags,
            )
            event = NewEvent(claimed.application_id, "message.received", reply.id, 1, data)
            wakes.bells += record(tx, [event], self.conductor.clock.new_id, now)
        return wakes

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
            role = self.lead_replies.leads.hold(row).roles.get(tally.id)
            if role is not None:
                self.lead_replies.leads.take(tx, row, Settled(role, outcome, tally.id, tally.reason or ""), now, wakes)
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
