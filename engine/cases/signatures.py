"""Signature requests as store functions: create, send, sign, decline, reset, cancel, change, read; one transaction
each, an `Outcome` back.

Loads rows, asks `workflows.signature`, lets `signature_conducting` write. Spending an attempt, comparing and settling
happen under the lock of the request's case, the attempt first. Routes of the API and the demo are the callers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from engine.cases import casebook, timeline
from engine.cases.casebook import Budget, CaseRow
from engine.cases.conducting import codes_of_day, load_day
from engine.cases.entering import verdict_on
from engine.cases.outcomes import NOT_FOUND, Outcome, Wakes, public
from engine.cases.people import Person
from engine.cases.signature_conducting import Held, SignatureConductor
from engine.phones import mask
from engine.store.transaction import Tx
from engine.transit.classes import Lane
from engine.transit.routing import NoRoute
from workflows import signature
from workflows.base import Canceled, Refused, Step
from workflows.signature import WORKFLOW, Request, Spent, signings_needed
from workflows.signature_case import CODE_LENGTH, Consent, Document, Facts, Mode, Role, SignatureCase, Signer
from workflows.signature_events import (
    DeclineAsked,
    DocumentChanged,
    Event,
    ResetAsked,
    SendAsked,
    SignAsked,
    SignerChanged,
)
from workflows.signature_signing import not_compared
from workflows.wording import LANGUAGES, language_of, template_path

# Refusals of a check that evidence tells of, as it does of codes that were compared.
_NOT_COMPARED: Final = frozenset({"document_mismatch", "consent_implausible", "code_expired", "signing_blocked"})


@dataclass(frozen=True, slots=True)
class AskedSigner:
    """A person as the caller gives one; `phone` is E.164. `consent` is the caller's own sentence and its version."""

    phone: str
    country: str
    name: str = ""
    email: str = ""
    network: str | None = None
    number_unverified: bool = False
    language: str | None = None
    mode: str = "code"
    role: str = "signer"
    link: str = ""
    reference: str = ""
    consent: tuple[str, str] | None = None  # version, text


@dataclass(frozen=True, slots=True)
class AskedDocument:
    """A document as the caller gives one: its name, its media type, the SHA-256 of its octets in hex."""

    name: str
    sha256: str
    media_type: str = "application/pdf"


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """What a caller asks for; instants are microseconds."""

    documents: Sequence[AskedDocument]
    signers: Sequence[AskedSigner]
    expires_at: int
    brand: str = "Sceau"
    sequential: bool = False
    auto_send: bool = False
    reminders_s: tuple[int, ...] = ()
    reference: str = ""
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """What the platform states of a signature on its page."""

    document_sha256: str
    consent_at: int
    ip: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class ChangedNumber:
    """A signer's new number (E.164), and how it is reached."""

    phone: str
    country: str
    network: str | None = None
    number_unverified: bool = False


def changed_document(document_id: str, sha256: str, *, uploaded: bool = False, size: int = 0) -> DocumentChanged:
    """Return the event of another content, declared (hex), or hashed by ourselves from so many octets."""
    return DocumentChanged(document_id, sha256.lower(), uploaded, size)


@dataclass(frozen=True, slots=True)
class Signatures:
    """The store functions of signature requests."""

    conductor: SignatureConductor

    def create(self, tx: Tx, application_id: str, request: CreateRequest, actor: str, now: int) -> Outcome:
        """Create a request; its signers are told, or sent their codes, in the same transaction."""
        new_id = self.conductor.clock.new_id
        signers: list[Signer] = []
        people: dict[str, Person] = {}
        for asked in request.signers:
            language = language_of(asked.language, LANGUAGES)
            if language is None:
                return Outcome("language_not_offered", {"languages": list(LANGUAGES)})
            sender = self._sender(application_id, asked, request.sender)
            if isinstance(sender, NoRoute):
                return Outcome(sender.code)
            signer = Signer(
                id=new_id("sgr"),
                to=mask(asked.phone),
                language=language,
                mode=Mode(asked.mode),
                role=Role(asked.role),
                consent=self._consent(asked, language),
                link=asked.link,
                reference=asked.reference,
            )
            signers.append(signer)
            people[signer.id] = Person(
                asked.phone, asked.name, asked.email, asked.country, asked.network, asked.number_unverified, sender
            )
        documents = tuple(
            Document(new_id("doc"), one.name, one.media_type, one.sha256.lower()) for one in request.documents
        )
        case = SignatureCase(
            id=new_id("sig"),
            brand=request.brand,
            created_at=now,
            expires_at=request.expires_at,
            documents=documents,
            signers=tuple(signers),
            sequential=request.sequential,
            auto_send=request.auto_send,
            reminders_s=request.reminders_s,
            reference=request.reference,
        )
        ids = [new_id("sgn") for _ in range(signings_needed(case))]
        decided = signature.start(Request(case, ids), now)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        row = CaseRow(
            id=case.id, application_id=application_id, workflow=WORKFLOW, profile="", purpose=WORKFLOW,
            state=case.state, phone="", phone_fp="", our_number="", language=signers[0].language, seed=None,
            old_seeds="[]", data="", sequence=0, created_at=now, expires_at=case.expires_at, final_at=None,
        )  # fmt: skip
        held = self.conductor.open(tx, row, decided.case, people)
        wakes = Wakes()
        held = self.conductor.apply(tx, held, decided, now, wakes, actor)
        return self._told(held, decided, now, wakes)

    def send(self, tx: Tx, application_id: str, request_id: str, signing_id: str, actor: str, now: int) -> Outcome:
        """Send the code of a signing."""
        return self._step(tx, application_id, request_id, SendAsked(signing_id), actor, now, signing_id)

    def sign(
        self,
        tx: Tx,
        application_id: str,
        request_id: str,
        signing_id: str,
        entry: str,
        stated: Statement,
        actor: str,
        now: int,
    ) -> Outcome:
        """Sign on the page: spend an attempt, compare in constant time, settle."""
        held = self._load(tx, application_id, request_id)
        signing = None if held is None else held.case.signing(signing_id)
        if held is None or signing is None:
            return NOT_FOUND
        wakes = Wakes()
        spent = signature.spend(
            held.case, signing, now, document_sha256=stated.document_sha256, consent_at=stated.consent_at
        )
        if isinstance(spent, Refused):
            self._put_check(tx, held, spent.code, now, spent=False)
            if spent.code in _NOT_COMPARED:
                sealed = Step(held.case, (not_compared(signing, spent.code),))
                self.conductor.apply(tx, held, sealed, now, wakes, actor)
            return Outcome(spent.code, public(spent.facts))
        decided: Step[SignatureCase] | Refused
        if isinstance(spent, Spent):
            row = held.rows[signing_id]
            verdict = verdict_on(
                entry, self.conductor.keyring, row.seed, row.old_seeds, alphabet="digits", length=CODE_LENGTH
            )
            signed = SignAsked(signing_id, verdict, stated.consent_at, stated.ip, stated.user_agent)
            decided = signature.step(spent.case, signed, Facts(), now)
        else:
            decided = spent
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        held = self.conductor.apply(tx, held, decided, now, wakes, actor)
        assert decided.answer is not None
        self._put_check(tx, held, decided.answer.code, now, spent=isinstance(spent, Spent))
        return self._told(held, decided, now, wakes)

    def decline(
        self, tx: Tx, application_id: str, request_id: str, signing_id: str, reason: str, actor: str, now: int
    ) -> Outcome:
        """Decline a signing; the request is over."""
        return self._step(tx, application_id, request_id, DeclineAsked(signing_id, reason), actor, now)

    def reset(
        self, tx: Tx, application_id: str, request_id: str, signing_id: str, reason: str, actor: str, now: int
    ) -> Outcome:
        """Let a blocked signing go on."""
        return self._step(tx, application_id, request_id, ResetAsked(signing_id, reason), actor, now)

    def cancel(self, tx: Tx, application_id: str, request_id: str, actor: str, now: int) -> Outcome:
        """Give a request up."""
        return self._step(tx, application_id, request_id, Canceled(), actor, now)

    def change_signer(
        self, tx: Tx, application_id: str, request_id: str, signer_id: str, to: ChangedNumber, actor: str, now: int
    ) -> Outcome:
        """Give a signer another number; pending codes are void."""
        held = self._load(tx, application_id, request_id)
        signer = None if held is None else held.case.signer(signer_id)
        if held is None or signer is None:
            return NOT_FOUND
        old = held.people[signer_id]
        asked = AskedSigner(to.phone, to.country, network=to.network, mode=signer.mode)
        sender = self._sender(application_id, asked, old.sender)
        if isinstance(sender, NoRoute):
            return Outcome(sender.code)
        person = Person(to.phone, old.name, old.email, to.country, to.network, to.number_unverified, sender)
        held = held._replace(people={**held.people, signer_id: person})
        return self._decide(tx, held, SignerChanged(signer_id, mask(to.phone)), Facts(), actor, now)

    def change_document(
        self, tx: Tx, application_id: str, request_id: str, change: DocumentChanged, actor: str, now: int
    ) -> Outcome:
        """Declare another content of a document, or the hash that we made of its octets."""
        return self._step(tx, application_id, request_id, change, actor, now)

    # Reading.

    def read(self, tx: Tx, application_id: str, request_id: str) -> dict[str, Any] | None:
        """Return what a GET shows; None for a foreign id as for an unknown one."""
        row = casebook.case_of(tx, application_id, request_id, workflow=WORKFLOW, lock=False)
        return None if row is None else self._view(self.conductor.hold(tx, row), self.conductor.clock.now())

    def page(self, tx: Tx, application_id: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Return an application's requests, newest first, older than `before`."""
        now = self.conductor.clock.now()
        rows = casebook.page(tx, application_id, WORKFLOW, before, limit)
        return [self._view(self.conductor.hold(tx, row), now) for row in rows]

    def timeline(self, tx: Tx, application_id: str, request_id: str) -> list[dict[str, Any]] | None:
        """Return all that happened in a request, in order of time; None for a foreign or unknown id."""
        row = casebook.case_of(tx, application_id, request_id, workflow=WORKFLOW, lock=False)
        return None if row is None else timeline.of_case(tx, row)

    # Deciding.

    def _step(
        self, tx: Tx, application_id: str, request_id: str, event: Event, actor: str, now: int, signing_id: str = ""
    ) -> Outcome:
        held = self._load(tx, application_id, request_id)
        if held is None:
            return NOT_FOUND
        facts = Facts()
        signing = held.case.signing(signing_id)
        budget: Budget | None = None
        if signing is not None:
            budget = codes_of_day(application_id, held.rows[signing_id].phone_fp, WORKFLOW)
            facts = Facts(load_day(casebook.allowance(tx, budget, now)))
        return self._decide(tx, held, event, facts, actor, now, budget)

    def _decide(
        self, tx: Tx, held: Held, event: Event, facts: Facts, actor: str, now: int, budget: Budget | None = None
    ) -> Outcome:
        decided = signature.step(held.case, event, facts, now)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        wakes = Wakes()
        held = self.conductor.apply(tx, held, decided, now, wakes, actor)
        if decided.day is not None and budget is not None:
            casebook.store_allowance(tx, budget, decided.day.dump(), now)
        return self._told(held, decided, now, wakes)

    def _load(self, tx: Tx, application_id: str, request_id: str) -> Held | None:
        row = casebook.case_of(tx, application_id, request_id, workflow=WORKFLOW)
        return None if row is None else self.conductor.hold(tx, row)

    def _sender(self, application_id: str, asked: AskedSigner, wanted: str | None) -> str | NoRoute:
        """Return the sender for a signer's messages, on both lanes; for answers by SMS one whom replies reach."""
        router = self.conductor.effects.router
        sender = router.sender_for(application_id, Lane.OTP, wanted)
        if sender is None:
            return NoRoute("no_sender")
        by_reply = asked.mode == Mode.REPLY
        plans = [
            router.plan(sender, asked.phone, asked.country, asked.network, lane, expects_reply=by_reply)
            for lane in (Lane.OTP, Lane.TRANSACTIONAL)
        ]
        return next((plan for plan in plans if isinstance(plan, NoRoute)), sender)

    def _consent(self, asked: AskedSigner, language: str) -> Consent:
        if asked.consent is not None:
            version, text = asked.consent
        else:
            step = "consent" if asked.mode == Mode.REPLY else "consent_page"
            path, templates = template_path(WORKFLOW, step, language), self.conductor.effects.templates
            version = f"sceau-{step}-{language}-{templates.hash_of(path)[:8]}"
            text = templates.render(path, {})
        return Consent(version, text, hashlib.sha256(text.encode()).hexdigest())

    # Telling.

    def _put_check(self, tx: Tx, held: Held, answer: str, now: int, *, spent: bool) -> None:
        casebook.put_check(tx, self.conductor.clock.new_id("chk"), held.row, answer, spent=spent, now=now)

    def _view(self, held: Held, now: int) -> dict[str, Any]:
        shown = public(signature.view(held.case, now))
        return shown | {"signings": [public(one) for one in shown["signings"]]}

    def _told(self, held: Held, decided: Step[SignatureCase], now: int, wakes: Wakes) -> Outcome:
        answer = decided.answer
        assert answer is not None
        if answer.is_refusal:
            return wakes.outcome(answer.code, {"request_id": held.row.id, **public(answer.facts)})
        return wakes.outcome(answer.code, self._view(held, now))
