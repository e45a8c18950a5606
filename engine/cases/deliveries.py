"""Deliveries as store functions: create, change, delegate, decide, reveal, read; one transaction each, an `Outcome`
back.

Loads rows, asks `workflows.handover`, lets `handover_conducting` write. What couriers do is in `couriers`; routes of
the API and the demo are the callers.
"""

from dataclasses import dataclass
from typing import Any, Final

from engine.cases import casebook, timeline
from engine.cases.casebook import CaseRow
from engine.cases.conducting import codes_of_day, load_day
from engine.cases.entering import code_of
from engine.cases.handover_conducting import HandoverConductor, Held
from engine.cases.outcomes import NOT_FOUND, Outcome, Wakes, public
from engine.cases.people import Person
from engine.codes import CodeSeed, page_token
from engine.phones import mask
from engine.store.transaction import Tx
from engine.transit.classes import Lane
from engine.transit.routing import NoRoute
from workflows import handover
from workflows.base import Canceled, Refused, Step
from workflows.handover import WORKFLOW, Facts
from workflows.handover_case import DeliveryCase, Notice, Party, Slot
from workflows.handover_events import (
    Delegated,
    DelegationEnded,
    Event,
    Override,
    OverrideAsked,
    RegenerateAsked,
    Returned,
    SlotChanged,
    Stated,
)
from workflows.handover_sending import reveal
from workflows.wording import LANGUAGES, language_of

NOTICES: Final = tuple(str(one) for one in Notice)


@dataclass(frozen=True, slots=True)
class Asked:
    """A person as the caller gives one; `phone` is E.164."""

    phone: str
    country: str
    network: str | None = None
    number_unverified: bool = False
    name: str = ""
    language: str | None = None


@dataclass(frozen=True, slots=True)
class AskedSlot:
    """When it is due: instants in microseconds, an IANA zone, how long codes live after it."""

    starts_at: int
    ends_at: int
    zone: str = "UTC"
    grace_s: int = 7_200

    def slot(self) -> Slot:
        """Return it as the workflow's value."""
        return Slot(self.starts_at, self.ends_at, self.zone, self.grace_s)


@dataclass(frozen=True, slots=True)
class CreateDelivery:
    """What a caller asks for; `notices` are those switched on, `there` where it goes (`latitude,longitude`)."""

    recipient: Asked
    slot: AskedSlot
    title: str
    brand: str = "Sceau"
    parcels: tuple[str, ...] = ()
    reference: str = ""
    courier_reference: str = ""
    notices: tuple[str, ...] = NOTICES
    code_length: int = 6
    may_delegate: bool = True
    lead_s: int = 0
    there: str = ""
    sender: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What a supervisor decides: `delivered` or `unlocked`, and what they answer for."""

    decision: str
    supervisor: str
    reason: str
    courier: str = ""
    position: str = ""
    photo_sha256: str = ""


@dataclass(frozen=True, slots=True)
class Deliveries:
    """The store functions of deliveries."""

    conductor: HandoverConductor

    def create(self, tx: Tx, application_id: str, request: CreateDelivery, actor: str, now: int) -> Outcome:
        """Create a delivery."""
        asked = request.recipient
        language = language_of(asked.language, LANGUAGES)
        if language is None:
            return Outcome("language_not_offered", {"languages": list(LANGUAGES)})
        sender, replies = self.sender(application_id, asked, request.sender)
        if isinstance(sender, NoRoute):
            return Outcome(sender.code)
        new_id = self.conductor.clock.new_id
        party = Party(new_id("pty"), mask(asked.phone), language)
        case = DeliveryCase(
            id=new_id("dlv"),
            brand=request.brand,
            title=request.title,
            slot=request.slot.slot(),
            created_at=now,
            expires_at=0,
            people=(party,),
            holder=party.id,
            notices=tuple(Notice(one) for one in NOTICES if one in request.notices),
            code_length=request.code_length,
            may_delegate=request.may_delegate,
            replies=replies,
            lead_s=request.lead_s,
            parcels=request.parcels,
            reference=request.reference,
            courier_reference=request.courier_reference,
        )
        decided = handover.start(case, now)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        case = decided.case
        row = CaseRow(
            id=case.id, application_id=application_id, workflow=WORKFLOW, profile="", purpose=WORKFLOW,
            state=case.state, phone="", phone_fp="", our_number="", language=language, seed=None, old_seeds="[]",
            data="", sequence=0, created_at=now, expires_at=case.expires_at, final_at=None,
        )  # fmt: skip
        people = {party.id: person_of(asked, sender)}
        held = self.conductor.open(tx, row, case, people, request.there)
        wakes = Wakes()
        held = self.conductor.apply(tx, held, decided, now, wakes, actor)
        return self._told(held, decided, now, wakes)

    def regenerate(self, tx: Tx, application_id: str, delivery_id: str, actor: str, now: int) -> Outcome:
        """Send another code; the present one is void."""
        return self.step(tx, application_id, delivery_id, RegenerateAsked(), actor, now)

    def delegate(self, tx: Tx, application_id: str, delivery_id: str, to: Asked, actor: str, now: int) -> Outcome:
        """Give the code to another person."""
        held = self.load(tx, application_id, delivery_id)
        if held is None:
            return NOT_FOUND
        wanted = self.delegation(held, to)
        if isinstance(wanted, Outcome):
            return wanted
        held, event = wanted
        return self.decide(tx, held, event, actor, now)

    def undelegate(self, tx: Tx, application_id: str, delivery_id: str, actor: str, now: int) -> Outcome:
        """Give the code back to the recipient."""
        return self.step(tx, application_id, delivery_id, DelegationEnded(), actor, now)

    def override(
        self, tx: Tx, application_id: str, delivery_id: str, decided: Decided, actor: str, now: int
    ) -> Outcome:
        """Have a supervisor decide."""
        stated = Stated(decided.courier, decided.position, decided.photo_sha256)
        event = OverrideAsked(Override(decided.decision), decided.supervisor, decided.reason, stated)
        return self.step(tx, application_id, delivery_id, event, actor, now)

    def change_slot(
        self, tx: Tx, application_id: str, delivery_id: str, slot: AskedSlot, actor: str, now: int, *, again: bool
    ) -> Outcome:
        """Give it another slot: before it is attempted, or `again` after a failed attempt."""
        return self.step(tx, application_id, delivery_id, SlotChanged(slot.slot(), again), actor, now)

    def give_back(self, tx: Tx, application_id: str, delivery_id: str, reason: str, actor: str, now: int) -> Outcome:
        """Note that the parcels went back."""
        return self.step(tx, application_id, delivery_id, Returned(reason), actor, now)

    def cancel(self, tx: Tx, application_id: str, delivery_id: str, reason: str, actor: str, now: int) -> Outcome:
        """Give a delivery up."""
        return self.step(tx, application_id, delivery_id, Canceled(reason or "requested"), actor, now)

    def reveal(self, tx: Tx, application_id: str, delivery_id: str, reason: str, actor: str, now: int) -> Outcome:
        """Return the code and its page, to be told on another way; written down for good."""
        held = self.load(tx, application_id, delivery_id)
        if held is None:
            return NOT_FOUND
        if held.case.is_over or not held.case.has_code(now) or held.row.seed is None:
            return Outcome("not_ready", {"delivery_id": delivery_id})
        wakes = Wakes()
        held = self.conductor.apply(tx, held, reveal(held.case, reason), now, wakes, actor)
        keyring, stored = self.conductor.keyring, held.row.seed
        assert stored is not None
        seed = CodeSeed.from_json(stored)
        body = {
            "delivery_id": delivery_id,
            "code": code_of(keyring, stored),
            "page": f"/h/{page_token(seed, keyring.code_key(seed.kid))}",
        }
        return wakes.outcome("revealed", body, frozenset({"code", "page"}))

    # Reading.

    def read(self, tx: Tx, application_id: str, delivery_id: str) -> dict[str, Any] | None:
        """Return what a GET shows; None for a foreign id as for an unknown one."""
        row = casebook.case_of(tx, application_id, delivery_id, workflow=WORKFLOW, lock=False)
        return None if row is None else self._view(self.conductor.hold(tx, row), self.conductor.clock.now())

    def page(self, tx: Tx, application_id: str, before: str | None, limit: int) -> list[dict[str, Any]]:
        """Return an application's deliveries, newest first, older than `before`."""
        now = self.conductor.clock.now()
        rows = casebook.page(tx, application_id, WORKFLOW, before, limit)
        return [self._view(self.conductor.hold(tx, row), now) for row in rows]

    def timeline(self, tx: Tx, application_id: str, delivery_id: str) -> list[dict[str, Any]] | None:
        """Return all that happened to a delivery, in order of time; None for a foreign or unknown id."""
        row = casebook.case_of(tx, application_id, delivery_id, workflow=WORKFLOW, lock=False)
        return None if row is None else timeline.of_case(tx, row)

    # Deciding.

    def step(self, tx: Tx, application_id: str, delivery_id: str, event: Event, actor: str, now: int) -> Outcome:
        """Load a delivery, step it, write the step; return what a merchant is told."""
        held = self.load(tx, application_id, delivery_id)
        return NOT_FOUND if held is None else self.decide(tx, held, event, actor, now)

    def decide(self, tx: Tx, held: Held, event: Event, actor: str, now: int) -> Outcome:
        """Step a delivery that is loaded."""
        wakes = Wakes()
        decided = self.take(tx, held, event, now, wakes, actor)
        if isinstance(decided, Refused):
            return Outcome(decided.code, public(decided.facts))
        after, step = decided
        return self._told(after, step, now, wakes)

    def take(
        self, tx: Tx, held: Held, event: Event, now: int, wakes: Wakes, actor: str, **more: Any
    ) -> tuple[Held, Step[DeliveryCase]] | Refused:
        """Step a delivery and write it, with the day's count of the number that a code went to."""
        to = event.party.id if isinstance(event, Delegated) else held.case.holder
        if isinstance(event, DelegationEnded):
            to = held.case.owner.id
        phone_fp = self.conductor.keyring.fingerprint("phone", held.people[to].phone)
        budget = codes_of_day(held.row.application_id, phone_fp, WORKFLOW)
        facts = Facts(load_day(casebook.allowance(tx, budget, now)))
        decided = handover.step(held.case, event, facts, now)
        if isinstance(decided, Refused):
            return decided
        if decided.effects or decided.case != held.case or more.get("before"):
            held = self.conductor.apply(tx, held, decided, now, wakes, actor, **more)
        if decided.day is not None:
            casebook.store_allowance(tx, budget, decided.day.dump(), now)
        return held, decided

    def load(self, tx: Tx, application_id: str, delivery_id: str) -> Held | None:
        """Return a delivery, locked until commit; None for a foreign id as for an unknown one."""
        row = casebook.case_of(tx, application_id, delivery_id, workflow=WORKFLOW)
        return None if row is None else self.conductor.hold(tx, row)

    def delegation(self, held: Held, to: Asked, reply_id: str = "") -> tuple[Held, Delegated] | Outcome:
        """Return the delivery with a person to delegate to, and the event; or why that person cannot be."""
        owner = held.people[held.case.owner.id]
        if any(one.phone == to.phone for one in held.people.values()):
            return Outcome("already_party", {"delivery_id": held.row.id})
        language = held.case.owner.language if to.language is None else language_of(to.language, LANGUAGES)
        if language is None:
            return Outcome("language_not_offered", {"languages": list(LANGUAGES)})
        sender, _ = self.sender(held.row.application_id, to, owner.sender)
        if isinstance(sender, NoRoute):
            return Outcome(sender.code)
        party = Party(self.conductor.clock.new_id("pty"), mask(to.phone), language)
        people = {**held.people, party.id: person_of(to, sender)}
        return held._replace(people=people), Delegated(party, reply_id)

    def sender(self, application_id: str, asked: Asked, wanted: str | None) -> tuple[str | NoRoute, bool]:
        """Return the sender for a person's messages, and whether their answers come home."""
        router = self.conductor.effects.router
        sender = router.sender_for(application_id, Lane.OTP, wanted)
        if sender is None:
            return NoRoute("no_sender"), False
        where = (sender, asked.phone, asked.country, asked.network, Lane.OTP)
        plan = router.plan(*where)
        if isinstance(plan, NoRoute):
            return plan, False
        return sender, not isinstance(router.plan(*where, expects_reply=True), NoRoute)

    # Telling.

    def _view(self, held: Held, now: int) -> dict[str, Any]:
        return public(handover.view(held.case, now))

    def _told(self, held: Held, decided: Step[DeliveryCase], now: int, wakes: Wakes) -> Outcome:
        answer = decided.answer
        assert answer is not None
        if answer.is_refusal:
            return wakes.outcome(answer.code, public(answer.facts))
        return wakes.outcome(answer.code, self._view(held, now))


def person_of(asked: Asked, sender: str) -> Person:
    """Return a person as rows keep them."""
    return Person(
        asked.phone, asked.name, country=asked.country, network=asked.network,
        number_unverified=asked.number_unverified, sender=sender,
    )  # fmt: skip
