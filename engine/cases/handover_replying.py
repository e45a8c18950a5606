"""What a handset's SMS means to deliveries: a holder passes their code on, or a recipient takes it back.

Store functions in the order of DESIGN's "One reply, in": a right code claims a text before other conversations, a
wrong one only if nobody else does. Every text that changes a delivery is evidence in it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.cases import carriage, casebook, handover_rows
from engine.cases.couriers import Couriers
from engine.cases.deliveries import Asked
from engine.cases.entering import code_of
from engine.cases.handover_conducting import Held
from engine.cases.outcomes import ENGINE, Claimed, Outcome, Wakes
from engine.codes import equal
from engine.evidence.sealing import NewEntry
from engine.phones import BadNumber, parse_destination
from engine.store.transaction import Tx
from engine.transit.replying import JoinedReply
from workflows import handover
from workflows.base import Refused, Step, Verdict
from workflows.handover import Facts, Spent
from workflows.handover_case import CODE_LENGTHS, DeliveryCase, Door
from workflows.handover_events import CodeEntered, DelegationEnded, Entry, Event, Said, TextReplied
from workflows.handover_replies import passed_on
from workflows.matching import candidates
from workflows.reply_words import Meaning, meaning_of


class _Listener(NamedTuple):
    """Somebody of an open delivery, and the code that they hold, if they do."""

    row: handover_rows.Row
    code: str


@dataclass(frozen=True, slots=True)
class HandoverReplies:
    """Hears replies for deliveries."""

    couriers: Couriers

    def heard(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        """Take a reply with a right code, or a recipient's refusal of a delegation; else None, nothing was changed."""
        refuses = meaning_of(reply.text) is Meaning.REFUSAL
        alone = candidates(reply.text, set(CODE_LENGTHS))
        passes = any(passed_on(reply.text, length) for length in CODE_LENGTHS)
        listeners = self._listeners(tx, reply) if refuses or alone or passes else ()
        if not listeners:
            return None
        for length in CODE_LENGTHS:
            passed = passed_on(reply.text, length)
            holder = None if passed is None else _holder(listeners, passed.code)
            if passed is not None and holder is not None:
                return self._delegated(tx, reply, holder.row, passed.number, now, wakes)
        holder = _holder(listeners, alone[0]) if len(alone) == 1 else None
        if holder is not None:
            return self._said(tx, reply, holder.row, Said.HOW_TO, now, wakes)
        return self._taken_back(tx, reply, listeners, now, wakes) if refuses else None

    def wrong(self, tx: Tx, reply: JoinedReply, now: int, wakes: Wakes) -> Claimed | None:
        """Take a reply that wants to pass a wrong code on, and that nobody else claims: it is an attempt at each
        delivery that it may have been meant for, unless the code was a right one once.
        """
        claimed: Claimed | None = None
        if not any(passed_on(reply.text, length) for length in CODE_LENGTHS):
            return None
        meant = [
            (one.row, self._load(tx, one.row), passed.code)
            for one in self._listeners(tx, reply)
            if one.code and (passed := passed_on(reply.text, len(one.code))) is not None
        ]
        # The earlier code of one delivery is an attempt at no other.
        by_earlier = [one for one in meant if self.couriers.verdict(one[1], Door.SMS, one[2]) is Verdict.SUPERSEDED]
        for row, held, code in by_earlier or meant:
            entry = Entry(Door.SMS, now)
            spent = handover.spend(held.case, entry, now)
            if isinstance(spent, Refused):
                continue
            decided: Step[DeliveryCase] | Refused
            if isinstance(spent, Spent):
                verdict = self.couriers.verdict(held, Door.SMS, code)
                assert verdict is not Verdict.RIGHT, "`heard` claims a right code, and none confirms by SMS"
                decided = handover.step(spent.case, CodeEntered(verdict, entry), Facts(), now)
            else:
                decided = spent
            assert isinstance(decided, Step)
            before = [self._evidence(tx, held, reply, "code_equal_to_none")]
            held = self.couriers.deliveries.conductor.apply(tx, held, decided, now, wakes, ENGINE, before=before)
            answered = TextReplied(row.id, reply.id, Said.NOT_DELEGATED)
            self.couriers.deliveries.take(tx, held, answered, now, wakes, ENGINE)
            claimed = Claimed(row.application_id, row.delivery_id, "code_equal_to_none")
        return claimed

    # What it comes to.

    def _delegated(
        self, tx: Tx, reply: JoinedReply, row: handover_rows.Row, number: str, now: int, wakes: Wakes
    ) -> Claimed:
        held = self._load(tx, row)
        try:
            phone = parse_destination(number, held.people[held.case.owner.id].country)
        except BadNumber:
            return self._said(tx, reply, row, Said.NOT_DELEGATED, now, wakes)
        asked = Asked(phone.e164, phone.country, number_unverified=not phone.valid)
        wanted = self.couriers.deliveries.delegation(held, asked, reply.id)
        if isinstance(wanted, Outcome) or not held.case.ready:
            return self._said(tx, reply, row, Said.NOT_DELEGATED, now, wakes)
        with_person, event = wanted
        if not self._told(tx, reply, with_person, event, "code_equal", now, wakes):
            return self._said(tx, reply, row, Said.NOT_DELEGATED, now, wakes)
        return Claimed(row.application_id, row.delivery_id, "code_equal")

    def _taken_back(
        self, tx: Tx, reply: JoinedReply, listeners: Sequence[_Listener], now: int, wakes: Wakes
    ) -> Claimed | None:
        for listener in sorted(listeners, key=lambda one: one.row.delivery_id, reverse=True):
            row = listener.row
            held = self._load(tx, row)
            if held.case.is_delegated and held.case.owner.id == row.id:
                self._told(tx, reply, held, DelegationEnded(reply.id), "refusal", now, wakes)
                return Claimed(row.application_id, row.delivery_id, "refusal")
        return None

    def _said(self, tx: Tx, reply: JoinedReply, row: handover_rows.Row, said: Said, now: int, wakes: Wakes) -> Claimed:
        held = self._load(tx, row)
        self._told(tx, reply, held, TextReplied(row.id, reply.id, said), str(said), now, wakes)
        return Claimed(row.application_id, row.delivery_id, str(said))

    def _told(self, tx: Tx, reply: JoinedReply, held: Held, event: Event, choice: str, now: int, wakes: Wakes) -> bool:
        """Step a delivery by what a reply means, the reply itself being its evidence; tell whether it was taken."""
        before = [self._evidence(tx, held, reply, choice)]
        decided = self.couriers.deliveries.take(tx, held, event, now, wakes, ENGINE, before=before)
        return not isinstance(decided, Refused)

    # Who listens.

    def _listeners(self, tx: Tx, reply: JoinedReply) -> list[_Listener]:
        conductor = self.couriers.deliveries.conductor
        phone_fp = conductor.keyring.fingerprint("phone", reply.source)
        senders = conductor.effects.router.senders_at(reply.account, reply.our_number)
        return [
            _Listener(row, "" if row.seed is None else code_of(conductor.keyring, row.seed))
            for row in handover_rows.listening_to(tx, phone_fp)
            if row.sender in senders
        ]

    def _load(self, tx: Tx, row: handover_rows.Row) -> Held:
        case_row = casebook.case_by_id(tx, row.delivery_id)
        assert case_row is not None
        return self.couriers.deliveries.conductor.hold(tx, case_row)

    def _evidence(self, tx: Tx, held: Held, reply: JoinedReply, choice: str) -> NewEntry:
        """Return the entry of a reply; what it says opens once the delivery has its outcome, if a code is in it."""
        keyring = self.couriers.deliveries.conductor.keyring
        seeds = [*([held.row.seed] if held.row.seed is not None else []), *json.loads(held.row.old_seeds)]
        digits = "".join(filter(str.isdecimal, reply.text))
        guard = [held.row.id] if any(code_of(keyring, seed) in digits for seed in seeds) else []
        return carriage.replied(tx, keyring, reply, choice, guard)


def _holder(listeners: Sequence[_Listener], code: str) -> _Listener | None:
    return next((one for one in listeners if one.code and equal(one.code, code)), None)
