"""Leads as store functions: create, prove, score, close, read; and what they are told without a call.

Loads rows, asks `workflows.lead`, writes its steps, and counts the funnel. The number, the form's fields and the words
of consent are sealed; the workflow never sees them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, NamedTuple

from engine.cases import casebook, lead_rows, timeline
from engine.cases.casebook import Budget, CaseRow
from engine.cases.conducting import codes_of_day, load_day
from engine.cases.effects import Effects, kept
from engine.cases.entering import generation_of, verdict_on, with_superseded
from engine.cases.issuing import Issuing
from engine.cases.lead_models import LeadModels
from engine.cases.outcomes import ENGINE, NOT_FOUND, Outcome, Wakes, public
from engine.cases.people import Person
from engine.clock import DAY, Clock, to_rfc3339
from engine.codes import CodeSeed
from engine.consent import Consent
from engine.consent import Said as Words
from engine.crm.hubspot import Contact
from engine.events import NewEvent, record
from engine.keyring import KeyRing
from engine.phones import mask, zones_of
from engine.store.transaction import Tx
from engine.transit.classes import Lane
from engine.transit.routing import NoRoute
from workflows import lead
from workflows.base import Canceled, CancelSends, Checked, Effect, Refused, Resent, Seal, Send, Step, TimerFired
from workflows.lead import WORKFLOW, Event, Facts, Happened, Marketing, Remodeled, Spent
from workflows.lead_case import CODE_LENGTH, LeadCase, Proof
from workflows.lead_model import BANT, Model, Question
from workflows.lead_scoring import intent, total
from workflows.lead_telling import STAGES, reached
from workflows.quiet_hours import window
from workflows.wording import LANGUAGES, language_of


@dataclass(frozen=True, slots=True)
class CreateLead:
    """What a form sends: `phone` is E.164, `consent` the words that were agreed to and when (microseconds)."""

    phone: str
    country: str
    form: str
    source: str
    network: str | None = None
    number_unverified: bool = False
    language: str | None = None
    proof: str = "code"
    model: str = BANT.name
    fields: Mapping[str, str] | None = None
    consent: tuple[str, int] | None = None
    reference: str = ""


class Held(NamedTuple):
    """A lead loaded from its row: the workflow's value, and what only the engine keeps."""

    row: CaseRow
    case: LeadCase
    person: Person
    fields: Mapping[str, str]
    roles: Mapping[str, str]
    reached: frozenset[str]


@dataclass(frozen=True, slots=True)
class Leads:
    """The store functions of leads; `ended` hears why one was closed, after its commit."""

    clock: Clock
    keyring: KeyRing
    effects: Effects
    issuing: Issuing
    consent: Consent
    ended: Callable[[str], None] = lambda _reason: None
    crms: Mapping[str, Sequence[str]] = field(default_factory=dict)  # application → its connectors
    models: LeadModels = field(default_factory=LeadModels)

    # Calls.

    def create(self, tx: Tx, application_id: str, request: CreateLead, actor: str, now: int) -> Outcome:
        """Take a lead: its number is to be proven."""
        defined = self.models.of(tx, application_id, request.model)
        if defined is None:
            return Outcome("model_unknown", {"model": request.model})
        model = defined.model
        language = language_of(request.language, LANGUAGES)
        if language is None:
            return Outcome("language_not_offered", {"languages": list(LANGUAGES)})
        router = self.effects.router
        sender = router.sender_for(application_id, Lane.OTP, model.sender or None)
        if sender is None:
            return Outcome("no_sender")
        where = (sender, request.phone, request.country, request.network, Lane.OTP)
        plan = router.plan(*where, expects_reply=request.proof == Proof.REPLY)
        if isinstance(plan, NoRoute):
            return Outcome(plan.code)
        case = LeadCase(
            id=self.clock.new_id("led"),
            form=request.form,
            source=request.source,
            to=mask(request.phone),
            language=language,
            model=model.name,
            created_at=now,
            expires_at=0,
            proof=Proof(request.proof),
            consented=request.consent is not None,
            replies=not isinstance(router.plan(*where, expects_reply=True), NoRoute),
            reference=request.reference,
        )
        person = Person(
            request.phone, country=request.country, network=request.network,
            number_unverified=request.number_unverified, sender=sender,
        )  # fmt: skip
        fields = dict(request.fields or {})
        row = self._row_of(application_id, case, person)
        held = Held(row, case, person, fields, {}, frozenset())
        facts = self._facts(tx, model, held, None, now, asks_proof=True)
        decided = lead.start(case, sorted(fields.items()), facts, now)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        if request.consent is not None:
            words, at = request.consent
            said = Words(application_id, request.phone, sender, words, "form", case.id, "consent")
            self.consent.granted(tx, said, at)
        casebook.insert_case(tx, row)
        wakes = Wakes()
        held = self.apply(tx, held, decided, now, wakes, actor)
        self._count(tx, held, decided, now)
        return self._told(tx, held, decided, now, wakes)

    def check(self, tx: Tx, application_id: str, lead_id: str, entry: str, actor: str, now: int) -> Outcome:
        """Check the code: spend an attempt, compare in constant time, settle."""
        held = self._load(tx, application_id, lead_id)
        if held is None:
            return NOT_FOUND
        spent = lead.spend(held.case, now)
        decided: Step[LeadCase] | Refused = spent if isinstance(spent, Refused) else Step(held.case)
        if isinstance(spent, Spent):
            verdict = verdict_on(
                entry, self.keyring, held.row.seed, held.row.old_seeds, alphabet="digits", length=CODE_LENGTH
            )
            checked = Checked(verdict)
            decided = lead.step(spent.case, checked, self._facts_of(tx, held, checked, now), now)
        answer = decided if isinstance(decided, Refused) else decided.answer
        assert answer is not None
        check_id = self.clock.new_id("chk")
        casebook.put_check(tx, check_id, held.row, answer.code, spent=isinstance(spent, Spent), now=now)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        wakes = Wakes()
        held = self.apply(tx, held, decided, now, wakes, actor)
        return self._told(tx, held, decided, now, wakes)

    def resend(self, tx: Tx, application_id: str, lead_id: str, actor: str, now: int) -> Outcome:
        """Ask for the proof once more."""
        return self._step(tx, application_id, lead_id, Resent(), actor, now)

    def happened(self, tx: Tx, application_id: str, lead_id: str, name: str, actor: str, now: int) -> Outcome:
        """Note what happened outside: it scores, and may begin a sequence."""
        return self._step(tx, application_id, lead_id, Happened(self.clock.new_id("lev"), name), actor, now)

    def close(self, tx: Tx, application_id: str, lead_id: str, reason: str, actor: str, now: int) -> Outcome:
        """Close a lead; nothing is sent to it any more."""
        return self._step(tx, application_id, lead_id, Canceled(reason or "requested"), actor, now)

    def read(self, tx: Tx, application_id: str, lead_id: str) -> dict[str, Any] | None:
        """Return what a GET shows; None for a foreign id as for an unknown one."""
        row = casebook.case_of(tx, application_id, lead_id, workflow=WORKFLOW, lock=False)
        return None if row is None else self._view(tx, self.hold(row), self.clock.now())

    def page(self, tx: Tx, application_id: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Return an application's leads, newest first, older than `before`."""
        now = self.clock.now()
        rows = casebook.page(tx, application_id, WORKFLOW, before, limit)
        return [self._view(tx, self.hold(row), now) for row in rows]

    def timeline(self, tx: Tx, application_id: str, lead_id: str) -> list[dict[str, Any]] | None:
        """Return all that happened to a lead, in order of time; None for a foreign or unknown id."""
        row = casebook.case_of(tx, application_id, lead_id, workflow=WORKFLOW, lock=False)
        return None if row is None else timeline.of_case(tx, row)

    def funnel(self, tx: Tx, application_id: str, first: int, last: int) -> list[dict[str, Any]]:
        """Return the figures of the days from `first` to `last` (days since 1970): one row a day, form and source."""
        rows: dict[tuple[int, str, str], dict[str, int]] = {}
        for day, form, source, stage, counted in lead_rows.funnel(tx, application_id, first, last):
            rows.setdefault((day, form, source), dict.fromkeys(STAGES, 0))[stage] = counted
        return [{"day": day, "form": form, "source": source, **stages} for (day, form, source), stages in rows.items()]

    def contact(self, tx: Tx, row: CaseRow, occurred_at: str, now: int) -> Contact:
        """Return a lead as a CRM is told of it."""
        held = self.hold(row)
        case, model = held.case, self._model(tx, held)
        return Contact(
            held.person.phone, case.id, case.stage, case.label, total(case, model), intent(case, model, now),
            case.form, case.source, case.state, to_rfc3339(case.verified_at), occurred_at,
        )  # fmt: skip

    # What happens without a call.

    def take(self, tx: Tx, held: Held, event: Event, now: int, wakes: Wakes) -> None:
        """Step a lead, which is locked, by what it is told."""
        decided = lead.step(held.case, event, self._facts_of(tx, held, event, now), now)
        if isinstance(decided, Step) and (decided.effects or decided.case != held.case):
            self.apply(tx, held, decided, now, wakes, ENGINE)

    def watch(self, tx: Tx, lead_id: str, due_at: int | None, now: int, wakes: Wakes) -> bool:
        """Have a lead's timer of dormancy, which is due at `due_at` or not armed, fit its model; tell if it did not."""
        row = casebook.peek_case(tx, lead_id)
        wanted = None if row is None else self.dormant_at(tx, row)
        if row is None or wanted == due_at:
            return False
        if wanted is not None and due_at is not None and wanted <= now < due_at:
            return False  # it was put off: another sequence was under way, or STOP had been said
        row = casebook.case_by_id(tx, lead_id)
        assert row is not None
        self.take(tx, self.hold(row), Remodeled(), now, wakes)
        return True

    def asked(self, tx: Tx, held: Held) -> Question | None:
        """Return the question that a lead is to answer, as its model says it now."""
        return self._model(tx, held).question(held.case.asked)

    def dormant_at(self, tx: Tx, row: CaseRow) -> int | None:
        """Return when a lead is to be called back, None for never."""
        held = self.hold(row)
        return lead.dormant_at(held.case, self._model(tx, held))

    # Rows.

    def hold(self, row: CaseRow) -> Held:
        """Open a row."""
        facts = json.loads(row.data)
        private = json.loads(self.keyring.unseal(facts["private"], row.id))
        return Held(
            row, LeadCase.load(facts["case"]), Person(**private["person"]), private["fields"], facts["roles"],
            frozenset(facts["reached"]),
        )  # fmt: skip

    def apply(self, tx: Tx, held: Held, step: Step[LeadCase], now: int, wakes: Wakes, actor: str) -> Held:
        """Write one step."""
        was, was_over = held.row.state, held.case.is_over
        held = self._with_seed(held._replace(case=step.case))
        events: list[NewEvent] = []
        for effect in step.effects:
            held = self._effect(tx, held, effect, now, wakes, events, actor)
        fresh = reached(held.case) - held.reached
        if fresh:
            case = held.case
            lead_rows.count(tx, held.row.application_id, case.created_at // DAY, case.form, case.source, fresh)
            held = held._replace(reached=held.reached | fresh)
        if held.case.verified_at and events:
            # A CRM never hears of a number that is not proven, nor of timers.
            connectors = self.crms.get(held.row.application_id, ())
            lead_rows.owe(tx, connectors, held.row.application_id, held.row.id, now)
        row = self._row(held)
        casebook.store_case(tx, row, was=was)
        wakes.bells += record(tx, events, self.clock.new_ids, now)
        if held.case.is_over and not was_over:
            tx.tell(partial(self.ended, held.case.reason if held.case.reason in STAGES else "requested"))
        return held._replace(row=row)

    def _row_of(self, application_id: str, case: LeadCase, person: Person) -> CaseRow:
        return CaseRow(
            id=case.id, application_id=application_id, workflow=WORKFLOW, profile=case.model, purpose=WORKFLOW,
            state=case.state, phone="", phone_fp=self.keyring.fingerprint("phone", person.phone), our_number="",
            language=case.language, seed=None, old_seeds="[]", data="", sequence=0, created_at=case.created_at,
            expires_at=0, final_at=None,
        )  # fmt: skip

    def _row(self, held: Held) -> CaseRow:
        case = held.case
        private = kept({"person": asdict(held.person), "fields": dict(held.fields)})
        facts = {
            "case": case.dump(),
            "private": self.keyring.seal(private.encode(), held.row.id),
            "roles": dict(held.roles),
            "reached": sorted(held.reached),
        }
        return held.row._replace(
            state=case.state, data=kept(facts), expires_at=case.expires_at, final_at=case.final_at or None
        )

    def _with_seed(self, held: Held) -> Held:
        """Give each new generation of the code its seed; earlier ones are kept, to know them when they are typed."""
        row, case = held.row, held.case
        if case.generation == generation_of(row.seed):
            return held
        digest = self.keyring.fingerprint("lead", held.person.phone)
        kid = self.keyring.current_kid
        seed = CodeSeed(kid, WORKFLOW, row.id, case.generation, self.issuing.nonce(), digest, CODE_LENGTH, "digits")
        old = with_superseded(row.old_seeds, row.seed)
        return held._replace(row=row._replace(seed=seed.to_json(), old_seeds=old))

    def _effect(
        self, tx: Tx, held: Held, effect: Effect, now: int, wakes: Wakes, events: list[NewEvent], actor: str
    ) -> Held:
        match effect:
            case Send():
                seed = held.row.seed if effect.slots else None
                queued = self.effects.queue(
                    tx, held.row, effect, held.person.phone, held.person.destination, now, wakes,
                    seed=seed, expects_reply=held.case.replies and not effect.slots,
                )  # fmt: skip
                return held._replace(roles={**held.roles, queued.message_id: effect.role})
            case CancelSends():
                self.effects.stop(tx, held.roles, effect, now, wakes)
            case Seal():
                raise AssertionError("a lead keeps no evidence")
            case _:
                return held._replace(row=self.effects.note(tx, held.row, effect, now, events, actor))
        return held

    # Deciding and telling.

    def _step(self, tx: Tx, application_id: str, lead_id: str, event: Event, actor: str, now: int) -> Outcome:
        held = self._load(tx, application_id, lead_id)
        if held is None:
            return NOT_FOUND
        decided = lead.step(held.case, event, self._facts_of(tx, held, event, now), now)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        wakes = Wakes()
        held = self.apply(tx, held, decided, now, wakes, actor)
        self._count(tx, held, decided, now)
        return self._told(tx, held, decided, now, wakes)

    def _load(self, tx: Tx, application_id: str, lead_id: str) -> Held | None:
        row = casebook.case_of(tx, application_id, lead_id, workflow=WORKFLOW)
        return None if row is None else self.hold(row)

    def _facts_of(self, tx: Tx, held: Held, event: Event, now: int) -> Facts:
        return self._facts(tx, self._model(tx, held), held, event, now, asks_proof=isinstance(event, Resent))

    def _facts(self, tx: Tx, model: Model, held: Held, event: Event | None, now: int, *, asks_proof: bool) -> Facts:
        """Return what a step needs to know: only one that asks for a proof reads and locks the number's day, only a
        timer's works out the quiet hours.
        """
        person = held.person
        day = load_day(casebook.allowance(tx, self._budget(held), now)) if asks_proof else load_day({})
        stop = self.effects.router.stops.get(person.sender, "") if person.country == "FR" else ""
        marketing = None
        if isinstance(event, TimerFired) and held.case.verified_at:
            hours = window(now, person.country, zones_of(person.phone))
            asked = [(held.row.id, person.phone, person.sender)]
            silenced = self.consent.silenced(tx, held.row.application_id, asked)
            marketing = Marketing(*hours, silenced=bool(silenced))
        return Facts(model, day, marketing, stop)

    def _count(self, tx: Tx, held: Held, decided: Step[LeadCase], now: int) -> None:
        if decided.day is not None:
            casebook.store_allowance(tx, self._budget(held), decided.day.dump(), now)

    def _budget(self, held: Held) -> Budget:
        return codes_of_day(held.row.application_id, held.row.phone_fp, WORKFLOW)

    def _model(self, tx: Tx, held: Held) -> Model:
        found = self.models.of(tx, held.row.application_id, held.case.model)
        return Model(held.case.model) if found is None else found.model

    def _view(self, tx: Tx, held: Held, now: int) -> dict[str, Any]:
        shown = public(lead.view(held.case, self._model(tx, held), now))
        return shown | {"points": [public(one) for one in shown["points"]]}

    def _told(self, tx: Tx, held: Held, decided: Step[LeadCase], now: int, wakes: Wakes) -> Outcome:
        answer = decided.answer
        assert answer is not None
        if answer.is_refusal:
            return wakes.outcome(answer.code, public(answer.facts))
        return wakes.outcome(answer.code, self._view(tx, held, now))
