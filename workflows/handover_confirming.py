"""What an entered code comes to, online or from a device's log, and how deliveries end: every end is one outcome.

Pure. An attempt is taken before anything is compared; the last allowed one may still confirm. An entry made offline
that contradicts what is known changes nothing, and is told as a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from workflows.base import Answer, CancelSends, Disarm, Effect, Finish, Json, Refused, Seal, Step, Verdict
from workflows.handover_case import ATTEMPTS, OFFLINE, DeliveryCase, Door, Notice, State, attempts_remaining
from workflows.handover_events import Entry, Override, OverrideAsked
from workflows.handover_sending import notify_switched, send_code
from workflows.handover_telling import (
    EXPIRY,
    LEAD,
    Moved,
    about,
    about_entry,
    checked,
    done,
    locked,
    refuse_over,
    sealed_by,
    timers,
    told,
)

_UNLOCKS_MOST: Final = 3


@dataclass(frozen=True, slots=True)
class Spent:
    """An attempt is taken: store the delivery, then compare and step from it."""

    case: DeliveryCase


def spend(case: DeliveryCase, entry: Entry, now: int) -> Spent | Moved | Refused:
    """Take an attempt for an entry, or say why not; a `Step` changes the delivery: commit it, and tell its answer."""
    if refused := unless_over(case, now) or _refuse_entry(case, entry):
        return refused
    if entry.at >= case.code_until:
        return Refused("code_expired", 410, told(case))
    return Spent(replace(case, attempts=case.attempts + 1))


def _refuse_entry(case: DeliveryCase, entry: Entry) -> Refused | None:
    # The count is the lock, whatever the state says. What has failed says that first: its next slot is locked.
    is_spent = not attempts_remaining(case) and case.state is not State.FAILED
    if is_spent or case.state is State.LOCKED:
        return Refused("delivery_locked", 429, told(case))
    if entry.suspended:
        return Refused("courier_suspended", 429, told(case))
    if case.state is State.FAILED:
        return Refused("attempt_failed", 409, told(case))
    if case.state is State.CLAIMED and entry.door not in OFFLINE:
        return Refused("claim_pending", 409, told(case))
    # A QR code is on its holder's screen, however it came there; a typed code must have been sent.
    has_code = case.generation > 0 if entry.door in {Door.QR, Door.OFFLINE_QR} else case.ready
    return None if has_code else Refused("not_ready", 409, told(case))


def check(case: DeliveryCase, verdict: Verdict, entry: Entry, now: int) -> Moved:
    """Return what a compared code does to its delivery."""
    if verdict is Verdict.RIGHT:
        return _deliver(case, entry, now)
    if verdict is not Verdict.WRONG:
        # Neither an attempt at guessing nor news of the code.
        given_back = replace(case, attempts=max(0, case.attempts - 1))
        code = "superseded" if verdict is Verdict.SUPERSEDED else "bad_format"
        sealed = checked(given_back, str(verdict), entry)
        return Step(given_back, (sealed,), Answer(code, 422, told(given_back)))
    effects: tuple[Effect, ...] = (checked(case, "wrong", entry), about_entry(case, "attempt_failed", entry))
    if case.attempts < ATTEMPTS[case.code_length]:
        return Step(case, effects, Answer("code_mismatch", 422, told(case)))
    case = case.moved(State.LOCKED, claimed_from="", claimed_by=())
    effects += (*locked(case, entry.stated.courier), CancelSends(roles=case.messages))
    return Step(case, effects, Answer("code_mismatch", 422, told(case)))


def conflict(case: DeliveryCase, reason: str, entry: Entry) -> Moved:
    """Note an entry made offline that contradicts what is known; the outcome stays what it is."""
    noted = replace(case, conflicts=case.conflicts + 1)
    event = about_entry(noted, "conflict", entry, reason=reason, logged_at=entry.at)
    return Step(noted, (checked(noted, "conflict", entry, reason=reason), event), Answer("conflict", 409, told(noted)))


def _deliver(case: DeliveryCase, entry: Entry, now: int) -> Moved:
    sealed = checked(case, "right", entry)
    at = entry.at if entry.door in OFFLINE else now
    return _delivered(case, entry, at, now, (sealed,), {"delivered_at": at})


def _delivered(
    case: DeliveryCase, entry: Entry, at: int, now: int, before: tuple[Effect, ...], body: dict[str, Json]
) -> Moved:
    case = case.moved(
        State.DELIVERED,
        door=entry.door,
        courier=entry.stated.courier,
        delivered_at=at,
        final_at=now,
        claimed_from="",
        claimed_by=(),
    )
    body = {"delivery": case.id, "person": case.holder, "assurance": entry.door, **body}
    if entry.device:
        body |= {"device": entry.device, "logged": entry.logged}
    stop: tuple[Effect, ...] = (CancelSends(), Disarm(EXPIRY), Disarm(LEAD))
    sealed = sealed_by(case, "delivery.confirmed", body, entry.stated)
    confirmed = about_entry(case, "confirmed", entry, delivered_at=at)
    case, notices = notify_switched(case, Notice.DELIVERED, now)
    effects: tuple[Effect, ...] = (*before, sealed, confirmed, *stop, *notices, Finish(State.DELIVERED))
    return done(case, effects, "confirmed")


# Supervisors.


def override(case: DeliveryCase, event: OverrideAsked, now: int) -> Moved | Refused:
    """Have a supervisor decide: that it was delivered, or that a locked delivery goes on with a fresh code."""
    body: dict[str, Json] = {
        "delivery": case.id,
        "decision": event.decision,
        "supervisor": event.supervisor,
        "reason": event.reason,
    }
    sealed = sealed_by(case, "delivery.overridden", body, event.stated)
    if event.decision is Override.DELIVERED:
        entry = Entry(Door.OVERRIDE, now, event.stated)
        step = _delivered(case, entry, now, now, (sealed,), {"supervisor": event.supervisor, "reason": event.reason})
        return replace(step, effects=(*step.effects[:1], _overridden(step.case, event), *step.effects[1:]))
    if case.state is not State.LOCKED:
        return Refused("not_locked", 409, told(case))
    if case.unlocks >= _UNLOCKS_MOST:
        return Refused("max_unlocks", 429, told(case))
    case = replace(case, attempts=0, unlocks=case.unlocks + 1)
    if not case.code_until:
        # Locked again with its new slot: its code leaves when the courier arrives, as any other.
        waiting = case.moved(State.SCHEDULED)
        return done(waiting, (sealed, _overridden(waiting, event), *timers(waiting)), "overridden")
    freed = case.moved(State.ARRIVING)
    freed, sent = send_code(freed, now, fresh=True)
    return done(freed, (sealed, _overridden(freed, event), *sent), "overridden")


def _overridden(case: DeliveryCase, event: OverrideAsked) -> Effect:
    return about(case, "override", decision=event.decision, supervisor_id=event.supervisor, reason=event.reason)


# Ends without a handover.


def end(case: DeliveryCase, state: State, now: int, *, reason: str = "") -> Moved:
    """End a delivery that nobody was handed: returned, canceled or expired."""
    case = case.moved(state, reason=reason, final_at=now, claimed_from="", claimed_by=())
    notice = about(case, str(state)) if state is State.EXPIRED else about(case, str(state), reason=reason)
    stop: tuple[Effect, ...] = (CancelSends(), Disarm(EXPIRY), Disarm(LEAD))
    sealed = Seal(f"delivery.{state}", {"delivery": case.id, "reason": reason}, stated=("reason",))
    return done(case, (sealed, *stop, notice, Finish(state)), str(state))


def unless_over(case: DeliveryCase, now: int) -> Moved | Refused | None:
    """Return the refusal of a delivery that has its outcome, or that expires now because its time has passed."""
    if not case.is_over and now >= case.expires_at:
        expired = end(case, State.EXPIRED, now)
        return replace(expired, answer=Answer("expired", 410, told(expired.case)))
    return refuse_over(case)


def is_guess(before: DeliveryCase, after: DeliveryCase) -> bool:
    """Tell whether a step has cost an attempt, so that it counts against its courier too."""
    return after.attempts > before.attempts
