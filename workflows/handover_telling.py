"""What a delivery tells of itself: events, refusals, entries of evidence, and the view of a GET.

Pure, and without a decision of its own. The other modules of the conversation are its callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from workflows.base import SECOND, Answer, Arm, Effect, Json, Notify, Refused, Seal, Step
from workflows.handover_case import DELEGATIONS, OFFLINE, SENDS, DeliveryCase, Party, State, attempts_remaining
from workflows.handover_events import Entry, Stated

Moved: TypeAlias = Step[DeliveryCase]

EXPIRY: Final = "expiry"
LEAD: Final = "lead"
CLAIM: Final = "claim"

_OVER: Final[Mapping[State, tuple[str, int]]] = {
    State.DELIVERED: ("already_delivered", 409),
    State.RETURNED: ("returned", 409),
    State.CANCELED: ("canceled", 410),
    State.EXPIRED: ("expired", 410),
}


def refuse_over(case: DeliveryCase) -> Refused | None:
    """Return the refusal that a delivery gives which has its outcome, or None."""
    if not case.is_over:
        return None
    code, status = _OVER[case.state]
    return Refused(code, status, told(case))


def unchanged(case: DeliveryCase, answer: Answer | None = None) -> Moved:
    """Return a step that changes nothing."""
    return Step(case, (), answer)


def about(case: DeliveryCase, what: str, **data: Json) -> Notify:
    """Return an event about the delivery."""
    common: dict[str, Json] = {
        "delivery_id": case.id,
        "state": case.state,
        "reference": case.reference or None,
    }
    return Notify(f"handover.{what}", common | data)


def about_courier(case: DeliveryCase, what: str, courier: str, **data: Json) -> Notify:
    """Return an event in which a courier has a part."""
    return about(case, what, courier_id=courier or None, **data)


def about_entry(case: DeliveryCase, what: str, entry: Entry, **data: Json) -> Notify:
    """Return an event about a code that was entered."""
    more: dict[str, Json] = {
        "door": entry.door,
        "attempts_remaining": attempts_remaining(case),
        "device_id": entry.device or None,
        **data,
    }
    return about_courier(case, what, entry.stated.courier, **more)


def told(case: DeliveryCase) -> dict[str, Json]:
    """Return the counters of an answer about a delivery."""
    return {"delivery_id": case.id, "attempts_remaining": attempts_remaining(case)}


def done(case: DeliveryCase, effects: tuple[Effect, ...], code: str) -> Moved:
    """Return a step that answers 200."""
    return Step(case, effects, Answer(code, 200, {"delivery_id": case.id}))


def timers(case: DeliveryCase) -> tuple[Effect, ...]:
    """Return the timers of a slot: when its code leaves, if a lead time is set, and when the delivery expires."""
    expiry = Arm(EXPIRY, case.expires_at)
    if not case.lead_s:
        return (expiry,)
    return (expiry, Arm(LEAD, (case.eta_at or case.slot.starts_at) - case.lead_s * SECOND))


def locked(case: DeliveryCase, courier: str = "") -> tuple[Effect, ...]:
    """Return what tells that a supervisor has to decide."""
    return (Seal("delivery.locked", {"delivery": case.id}), about_courier(case, "locked", courier))


# Evidence.


def declared(case: DeliveryCase) -> tuple[Effect, ...]:
    """Return the first entries of the evidence: the delivery as it was given, and who is to receive it."""
    body: dict[str, Json] = {
        "brand": case.brand,
        "title": case.title,
        "reference": case.reference,
        "courier_reference": case.courier_reference,
        "parcels": list(case.parcels),
        "code_length": case.code_length,
        **slot_of(case),
    }
    stated = ("brand", "courier_reference", "parcels", "reference", "title")
    return (Seal("delivery.created", body, stated=stated), party_declared(case.owner, "recipient.declared"))


def party_declared(party: Party, kind: str, **more: Json) -> Seal:
    """Return the entry about a person; the engine adds name and number, as commitments."""
    body: dict[str, Json] = {"person": party.id, "language": party.language, **more}
    return Seal(kind, body, subject=party.id, stated=("name", "phone"))


def slot_of(case: DeliveryCase) -> dict[str, Json]:
    """Return a slot as entries and events tell it."""
    return {"starts_at": case.slot.starts_at, "ends_at": case.slot.ends_at}


def sealed_by(case: DeliveryCase, kind: str, body: Mapping[str, Json], stated: Stated) -> Seal:
    """Return an entry with what was stated in it; where somebody was is personal, and only committed to."""
    given = {"courier": stated.courier, "photo_sha256": stated.photo_sha256}
    whole: dict[str, Json] = {**body, **{name: value for name, value in given.items() if value}}
    private: dict[str, Json] = {"position": stated.position} if stated.position else {}
    named = tuple(name for name in STATED if name in whole or name in private)
    return Seal(kind, whole, private, subject=case.owner.id if private else "", stated=named)


STATED: Final = ("courier", "logged_at", "photo_sha256", "position", "reason", "supervisor")
"""The members of entries that platforms state and nobody observed."""


def checked(case: DeliveryCase, result: str, entry: Entry, **more: Json) -> Seal:
    """Return the entry about a code that was entered."""
    body: dict[str, Json] = {
        "delivery": case.id,
        "generation": case.generation,
        "door": entry.door,
        "result": result,
        "attempts_remaining": attempts_remaining(case),
        **more,
    }
    if entry.door in OFFLINE:
        body |= {"device": entry.device, "logged": entry.logged, "logged_at": entry.at}
    return sealed_by(case, "check.done", body, entry.stated)


# Views.


def view(case: DeliveryCase, now: int) -> dict[str, Json]:
    """Return what a GET shows to a merchant; instants are microseconds, numbers masked, codes nowhere."""
    over = not case.is_over and now >= case.expires_at
    return {
        "id": case.id,
        "state": State.EXPIRED if over else case.state,
        "reference": case.reference or None,
        "courier_reference": case.courier_reference or None,
        "title": case.title,
        "parcels": list(case.parcels),
        "to": case.owner.to,
        "language": case.owner.language,
        "delegate": case.holding.to if case.is_delegated else None,
        "starts_at": case.slot.starts_at,
        "ends_at": case.slot.ends_at,
        "zone": case.slot.zone,
        "eta_at": case.eta_at,
        "notices": list(case.notices),
        "code_length": case.code_length,
        "generation": case.generation,
        "ready": case.ready and not case.is_over,
        "code_expires_at": case.code_until if case.has_code(now) and not case.is_over else None,
        "delivery": case.delivery or None,
        "attempts_remaining": 0 if case.is_over else attempts_remaining(case),
        "sends_remaining": 0 if case.is_over else max(0, SENDS - case.sends),
        "delegations_remaining": 0 if case.is_over else DELEGATIONS - case.delegations,
        "next_send_at": case.next_send_at if now < case.next_send_at else None,
        "tries": case.tries,
        "conflicts": case.conflicts,
        "assurance": case.door or None,
        "courier_id": case.courier or None,
        "reason": case.reason or None,
        "created_at": case.created_at,
        "expires_at": case.expires_at,
        "delivered_at": case.delivered_at,
        "final_at": case.final_at,
    }


def courier_view(case: DeliveryCase) -> dict[str, Json]:
    """Return what a courier is told: whether the delivery can be confirmed, and what became of it."""
    return {
        "id": case.id,
        "state": case.state,
        "ready": case.ready and not case.is_over,
        "attempts_remaining": 0 if case.is_over else attempts_remaining(case),
        "delivered_at": case.delivered_at,
    }
