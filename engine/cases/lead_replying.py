"""What a handset's SMS means to leads: the yes that proves its number, the answer to a question, STOP.

Store functions; the lead that was asked last is the one that is answered.
"""

from dataclasses import dataclass

from engine.cases import casebook, lead_rows
from engine.cases.casebook import CaseRow
from engine.cases.leads import Held, Leads
from engine.cases.outcomes import Claimed, Wakes
from engine.consent import Said
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply
from workflows.lead import Replied, Stopped
from workflows.lead_answers import accepts
from workflows.lead_case import Proof, State
from workflows.matching import means_opt_out
from workflows.reply_words import Meaning, meaning_of


@dataclass(frozen=True, slots=True)
class LeadReplies:
    """Hears replies for leads."""

    leads: Leads

    def heard(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        """Take a reply that answers a lead's question, proves its number, or answers a sequence; else None."""
        waiting = [held for held in self._open(tx, reply) if self._waits(tx, held, reply.text)]
        if not waiting:
            return None
        held = max(waiting, key=lambda one: (bool(one.case.asked), one.case.asked_at, one.row.id))
        if held.case.state is State.UNVERIFIED and held.case.consented:
            # The other half of a double opt-in: the form's entry has the lead's id, this one the reply's.
            application_id = held.row.application_id
            said = Said(application_id, reply.source, held.person.sender, reply.text, "reply", reply.id, "consent")
            self.leads.consent.granted(tx, said, now)
        self.leads.take(tx, held, Replied(reply.id, reply.text), now, wakes)
        choice = "latest_question" if held.case.asked else "double_opt_in" if not held.case.verified_at else "sequence"
        return Claimed(held.row.application_id, held.row.id, choice)

    def stopped(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> list[Claimed]:
        """Close every open lead of this number, over the applications that write to it through this sender."""
        closed = self._open(tx, reply)
        for held in closed:
            self.leads.take(tx, held, Stopped(reply.id), now, wakes)
        return [Claimed(held.row.application_id, held.row.id, "opt_out_word") for held in closed]

    def open_to(self, tx: Tx, reply: JoinedReply) -> list[str]:
        """Return the applications that have an open lead of this number, which they write to through this sender."""
        return [held.row.application_id for held in self._open(tx, reply)]

    def _open(self, tx: Tx, reply: JoinedReply) -> list[Held]:
        phone_fp = self.leads.keyring.fingerprint("phone", reply.source)
        senders = self.leads.effects.router.senders_at(reply.account, reply.our_number)
        rows: list[CaseRow | None] = [casebook.case_by_id(tx, one) for one in lead_rows.open_leads(tx, phone_fp)]
        held = [self.leads.hold(row) for row in rows if row is not None]
        return [one for one in held if one.person.sender in senders]

    def _waits(self, tx: Tx, held: Held, text: str) -> bool:
        case = held.case
        if case.state is State.UNVERIFIED:
            return case.proof is Proof.REPLY and meaning_of(text) is Meaning.YES
        if not case.asked and not case.sequence and not case.reengaging:
            return False
        if not means_opt_out(text):
            return True
        # Some words mean that there shall be no more of it, unless they are what the question asks for.
        question = self.leads.asked(tx, held)
        return question is not None and accepts(question, text)
