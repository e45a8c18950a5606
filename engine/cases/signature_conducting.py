"""Applies a signature request's step to rows: the case, its signings and their codes, messages, events, evidence.

A new code is issued under a lock on the signer's number and redrawn until it differs from every other that is pending
for it. Names and numbers are sealed in the case's row; the workflow never sees them.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from engine.cases import carriage, casebook, signing_rows
from engine.cases.casebook import CaseRow
from engine.cases.effects import Effects, kept
from engine.cases.entering import generation_of, with_superseded
from engine.cases.issuing import Issuing
from engine.cases.outcomes import Wakes
from engine.cases.people import Person, about_person, open_people, seal_people
from engine.clock import Clock
from engine.codes import CodeSeed
from engine.errors import NotAllowed
from engine.events import NewEvent, record
from engine.evidence.sealing import NewEntry, Sealer
from engine.keyring import KeyRing
from engine.store.transaction import Tx
from workflows.base import CancelSends, Effect, Seal, Send, Step
from workflows.signature import WORKFLOW
from workflows.signature_case import (
    CODE_LENGTH,
    Mode,
    RequestState,
    SignatureCase,
    Signing,
    State,
    dump_signing,
    load_signing,
)

_OLD_SEEDS_MOST: Final = 10
_DECLARES: Final = dict.fromkeys(("signer.declared", "signer.changed"), ("phone", "name", "email"))


class Held(NamedTuple):
    """A request loaded from its rows: the workflow's value, and what only the engine keeps."""

    row: CaseRow
    case: SignatureCase
    rows: Mapping[str, signing_rows.Row]
    people: Mapping[str, Person]
    roles: Mapping[str, str]  # message id → role


@dataclass(frozen=True, slots=True)
class SignatureConductor:
    """Writes steps of signature requests; `ended` hears the final state of one after its commit."""

    clock: Clock
    keyring: KeyRing
    effects: Effects
    sealer: Sealer
    issuing: Issuing
    ended: Callable[[str], None] = lambda _state: None

    def hold(self, tx: Tx, row: CaseRow) -> Held:
        """Open a request's row and those of its signings."""
        facts = json.loads(row.data)
        rows = {one.id: one for one in signing_rows.signings_of(tx, row.id)}
        in_order = [rows[signing_id] for signing_id in facts["signings"]]
        case = SignatureCase.load(facts["case"], tuple(load_signing(json.loads(one.data)) for one in in_order))
        return Held(row, case, rows, open_people(self.keyring, row.id, facts["people"]), facts["roles"])

    def open(self, tx: Tx, row: CaseRow, case: SignatureCase, people: Mapping[str, Person]) -> Held:
        """Insert the rows of a new request, whose first step is still to be applied."""
        rows = {one.id: self._signing_row(row.application_id, case, one, people) for one in case.signings}
        held = Held(row, case, rows, people, {})
        casebook.insert_case(tx, self._case_row(held))
        signing_rows.insert_signings(tx, list(rows.values()))
        return held

    def apply(
        self,
        tx: Tx,
        held: Held,
        step: Step[SignatureCase],
        now: int,
        wakes: Wakes,
        actor: str,
        *,
        before: list[NewEntry] | None = None,
    ) -> Held:
        """Write one step; `before` are entries of evidence that led to it."""
        was, had = held.row.state, held.rows
        held = self._issue(tx, held._replace(case=step.case), now)
        events: list[NewEvent] = []
        entries: list[NewEntry] = list(before or ())
        for effect in step.effects:
            held = self._effect(tx, held, effect, now, wakes, events, entries, actor)
        self.sealer.seal(tx, held.row.application_id, held.row.id, entries, now)
        if was == RequestState.OPEN and not held.case.is_open:
            self.sealer.close(tx, held.row.application_id, held.row.id, held.case.state, now)
            tx.tell(partial(self.ended, held.case.state))
        elif was != held.case.state:
            raise NotAllowed(f"a signature request may not move from {was} to {held.case.state}")
        held = self._store(tx, held, had, was)
        wakes.bells += record(tx, events, self.clock.new_ids, now)
        return held

    # Rows.

    def _store(self, tx: Tx, held: Held, had: Mapping[str, signing_rows.Row], was: str) -> Held:
        changed = {
            one.id: self._signing_row(held.row.application_id, held.case, one, held.people, held.rows[one.id])
            for one in held.case.signings
        }
        signing_rows.store_signings(tx, [row for key, row in changed.items() if row != had[key]])
        row = self._case_row(held)
        casebook.store_case(tx, row, was=was)
        return held._replace(row=row, rows=changed)

    def _case_row(self, held: Held) -> CaseRow:
        case = held.case
        facts = {
            "case": case.dump(),
            "signings": [one.id for one in case.signings],
            "people": seal_people(self.keyring, held.row.id, held.people),
            "roles": dict(held.roles),
        }
        return held.row._replace(
            state=case.state, data=kept(facts), expires_at=case.expires_at, final_at=case.final_at or None
        )

    def _signing_row(
        self,
        application_id: str,
        case: SignatureCase,
        signing: Signing,
        people: Mapping[str, Person],
        row: signing_rows.Row | None = None,
    ) -> signing_rows.Row:
        person = people[signing.signer]
        return signing_rows.Row(
            id=signing.id,
            application_id=application_id,
            request_id=case.id,
            signer_id=signing.signer,
            document_id=signing.document,
            state=signing.state,
            phone_fp=self.keyring.fingerprint("phone", person.phone),
            sender=person.sender,
            seed=None if row is None else row.seed,
            old_seeds="[]" if row is None else row.old_seeds,
            listening=1 if row is None else row.listening,
            code_until=signing.code_until or None,
            data=kept(dump_signing(signing)),
            final_at=signing.final_at or None,
        )

    # Codes.

    def _issue(self, tx: Tx, held: Held, now: int) -> Held:
        """Give each new generation its seed."""
        for signing in held.case.signings:
            row = held.rows[signing.id]
            if signing.generation and signing.generation != generation_of(row.seed):
                held = held._replace(rows={**held.rows, signing.id: self._with_seed(tx, held, signing, row, now)})
        return held

    def _with_seed(self, tx: Tx, held: Held, signing: Signing, row: signing_rows.Row, now: int) -> signing_rows.Row:
        phone_fp = self.keyring.fingerprint("phone", held.people[signing.signer].phone)
        seed = CodeSeed(
            kid=self.keyring.current_kid,
            purpose=WORKFLOW,
            case_id=signing.id,
            generation=signing.generation,
            nonce="",
            digest=self._binding(held, signing),
            length=CODE_LENGTH,
            alphabet="digits",
        )
        beside = [one.seed for one in held.rows.values() if one.id != row.id and one.phone_fp == phone_fp]
        seed = self.issuing.issue(tx, seed, phone_fp, row.id, beside, now)
        old = with_superseded(row.old_seeds, row.seed, _OLD_SEEDS_MOST)
        return row._replace(seed=seed.to_json(), old_seeds=old)

    def _binding(self, held: Held, signing: Signing) -> str:
        """Return the digest of what a code is for: one document's content, one consent, one person at one number."""
        document, signer = held.case.document_of(signing), held.case.signer_of(signing)
        bound = [document.id, document.sha256, signer.id, signer.consent.sha256, held.people[signer.id].phone]
        return self.keyring.fingerprint("signing", kept(bound))

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
        person, signer = held.people[send.recipient], held.case.signer(send.recipient)
        assert signer is not None
        seed = held.rows[send.code_of].seed if send.code_of else None
        queued = self.effects.queue(
            tx, held.row, send, person.phone, person.destination, now, wakes,
            seed=seed, expects_reply=signer.mode is Mode.REPLY,
        )  # fmt: skip
        entries.append(
            carriage.queued(
                self.effects.templates, self.keyring, queued, send, person.phone,
                {"signer": send.recipient}, {"signing": send.code_of}, seed,
            )
        )  # fmt: skip
        return held._replace(roles={**held.roles, queued.message_id: send.role})


def may_be_entered(row: signing_rows.Row, now: int) -> bool:
    """Tell whether the present code of a signing's row is pending and alive."""
    return row.state == State.OTP_SENT and row.code_until is not None and now < row.code_until
