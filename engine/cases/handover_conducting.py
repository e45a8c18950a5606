"""Applies a delivery's step to rows: the case, its people and their codes, messages, events, evidence.

Whoever holds the code has its seed and the token of its page in their row, and nobody else has any. Names and numbers
are sealed in the case's row; the workflow never sees them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from engine.cases import carriage, casebook, handover_rows
from engine.cases.casebook import CaseRow
from engine.cases.effects import Effects, kept
from engine.cases.entering import generation_of, with_superseded
from engine.cases.issuing import Issuing
from engine.cases.outcomes import Wakes
from engine.cases.people import Person, about_person, open_people, seal_people
from engine.clock import Clock
from engine.codes import CodeSeed, page_token
from engine.events import NewEvent, record
from engine.evidence.sealing import NewEntry, Sealer
from engine.keyring import KeyRing
from engine.store.transaction import Tx
from engine.transit import queue
from workflows.base import CancelSends, Effect, Seal, Send, Step
from workflows.handover import WORKFLOW
from workflows.handover_case import DeliveryCase

_OLD_SEEDS_MOST: Final = 12
_DECLARES: Final = dict.fromkeys(("recipient.declared", "delegate.declared"), ("phone", "name"))


class Held(NamedTuple):
    """A delivery loaded from its rows: the workflow's value, and what only the engine keeps."""

    row: CaseRow
    case: DeliveryCase
    rows: Mapping[str, handover_rows.Row]
    people: Mapping[str, Person]
    roles: Mapping[str, str]  # message id → role
    there: str = ""  # where it goes, `latitude,longitude`, if the caller said so


@dataclass(frozen=True, slots=True)
class HandoverConductor:
    """Writes steps of deliveries; `ended` hears the final state of one after its commit."""

    clock: Clock
    keyring: KeyRing
    effects: Effects
    sealer: Sealer
    issuing: Issuing
    ended: Callable[[str], None] = lambda _state: None

    def hold(self, tx: Tx, row: CaseRow) -> Held:
        """Open a delivery's row and those of its people."""
        facts = json.loads(row.data)
        private = json.loads(self.keyring.unseal(facts["there"], row.id)) if facts["there"] else ""
        rows = {one.id: one for one in handover_rows.parties_of(tx, row.id)}
        people = open_people(self.keyring, row.id, facts["people"])
        return Held(row, DeliveryCase.load(facts["case"]), rows, people, facts["roles"], private)

    def open(self, tx: Tx, row: CaseRow, case: DeliveryCase, people: Mapping[str, Person], there: str) -> Held:
        """Insert the row of a new delivery, whose first step is still to be applied."""
        casebook.insert_case(tx, row)
        return Held(row, case, {}, people, {}, there)

    def apply(
        self,
        tx: Tx,
        held: Held,
        step: Step[DeliveryCase],
        now: int,
        wakes: Wakes,
        actor: str,
        *,
        before: list[NewEntry] | None = None,
    ) -> Held:
        """Write one step; `before` are entries of evidence that led to it."""
        was, was_over = held.row.state, held.case.is_over
        held = self._with_parties(tx, held._replace(case=step.case), now)
        events: list[NewEvent] = []
        entries: list[NewEntry] = list(before or ())
        for effect in step.effects:
            held = self._effect(tx, held, effect, now, wakes, events, entries, actor)
        self.sealer.seal(tx, held.row.application_id, held.row.id, entries, now)
        if held.case.is_over and not was_over:
            self.sealer.close(tx, held.row.application_id, held.row.id, held.case.state, now)
            tx.tell(partial(self.ended, held.case.state))
            held = self._silent(tx, held)
        row = self._case_row(held)
        casebook.store_case(tx, row, was=was)
        wakes.bells += record(tx, events, self.clock.new_ids, now)
        return held._replace(row=row)

    # Rows.

    def _case_row(self, held: Held) -> CaseRow:
        case = held.case
        facts = {
            "case": case.dump(),
            "people": seal_people(self.keyring, held.row.id, held.people),
            "roles": dict(held.roles),
            "there": self.keyring.seal(kept(held.there).encode(), held.row.id) if held.there else "",
        }
        return held.row._replace(
            state=case.state,
            data=kept(facts),
            expires_at=case.expires_at,
            final_at=case.final_at or None,
        )

    def _with_parties(self, tx: Tx, held: Held, now: int) -> Held:
        """Give new people their rows, and each new code of a delivery its seed, in its holder's."""
        fresh = [self._party_row(held, one.id) for one in held.case.people if one.id not in held.rows]
        if fresh:
            handover_rows.insert_parties(tx, fresh)
            held = held._replace(rows={**held.rows, **{one.id: one for one in fresh}})
        case, row = held.case, held.row
        if not case.generation or case.generation == generation_of(row.seed):
            return held
        mine = held.rows[case.holder]
        seed = CodeSeed(
            kid=self.keyring.current_kid,
            purpose=WORKFLOW,
            case_id=case.id,
            generation=case.generation,
            nonce="",
            digest=self.keyring.fingerprint("delivery", kept([case.id, case.holder, held.people[case.holder].phone])),
            length=case.code_length,
            alphabet="digits",
        )
        seed = self.issuing.issue(tx, seed, mine.phone_fp, mine.id, (), now)
        token = page_token(seed, self.keyring.code_key(seed.kid))
        token_hash = self.keyring.fingerprint("handover_page", token)
        old = with_superseded(row.old_seeds, row.seed, _OLD_SEEDS_MOST)
        changed = {
            one.id: one._replace(seed=None, token_hash="") if one.seed is not None else one
            for one in held.rows.values()
        }
        changed[mine.id] = mine._replace(seed=seed.to_json(), token_hash=token_hash)
        handover_rows.store_parties(tx, [one for one in changed.values() if one != held.rows[one.id]])
        row = row._replace(seed=seed.to_json(), old_seeds=old)
        return held._replace(row=row, rows=changed)

    def _silent(self, tx: Tx, held: Held) -> Held:
        """Compare no more replies with a delivery that has its outcome; its page stays, and says so."""
        rows = {one.id: one._replace(listening=0) for one in held.rows.values()}
        handover_rows.store_parties(tx, list(rows.values()))
        return held._replace(rows=rows)

    def _party_row(self, held: Held, party_id: str) -> handover_rows.Row:
        person = held.people[party_id]
        phone_fp = self.keyring.fingerprint("phone", person.phone)
        return handover_rows.Row(party_id, held.row.application_id, held.row.id, phone_fp, person.sender, None, "", 1)

    # Effects.

    def _effect(
        self,
        tx: Tx,
        held: Held,
        effect: Effect,
        now: int,
        wakes: Wakes,
        events: list[NewEvent],
        entries: list[NewEntry],
        actor: str,
    ) -> Held:
        match effect:
            case Send():
                return self._send(tx, held, effect, now, wakes, entries)
            case Seal():
                entries.append(about_person(self.keyring, held.people, effect, _DECLARES))
            case CancelSends():
                self.effects.stop(tx, held.roles, effect, now, wakes)
            case _:
                return held._replace(row=self.effects.note(tx, held.row, effect, now, events, actor))
        return held

    def _send(self, tx: Tx, held: Held, send: Send, now: int, wakes: Wakes, entries: list[NewEntry]) -> Held:
        person = held.people[send.recipient]
        seed = held.row.seed if send.code_of else None
        queued = self.effects.queue(
            tx, held.row, send, person.phone, person.destination, now, wakes,
            seed=seed, expects_reply=held.case.replies, avoid=self._carried_by(tx, held, send.unlike),
        )  # fmt: skip
        entries.append(
            carriage.queued(
                self.effects.templates, self.keyring, queued, send, person.phone,
                {"person": send.recipient}, {"delivery": held.row.id}, seed,
            )
        )  # fmt: skip
        return held._replace(roles={**held.roles, queued.message_id: send.role})

    def _carried_by(self, tx: Tx, held: Held, role: str) -> str | None:
        """Return the account that carried the message of a role, if there is one."""
        ids = [key for key, one in held.roles.items() if role and one == role]
        return next((tally.account for tally in queue.load(tx, ids).values()), None) if ids else None
