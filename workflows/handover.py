"""Delivery handover: a code that the courier cannot know proves that the right person was there.

Pure: it never sees a code, a full number or a name, only verdicts and masks. `engine.cases` calls `start`, `spend`,
`step` and `view`, and nothing else does. Every delivery ends with exactly one outcome: delivered, returned, canceled
or expired.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from workflows.base import (
    SECOND,
    Answer,
    Arm,
    Canceled,
    CancelSends,
    Disarm,
    Effect,
    Json,
    Refused,
    Seal,
    Settled,
    Step,
    TimerFired,
)
from workflows.handover_case import (
    CLAIM_LIFE_US,
    DELEGATIONS,
    MOVES,
    OPEN_AFTER_US,
    SLOT_MOST_S,
    DeliveryCase,
    Notice,
    Slot,
    State,
    attempts_remaining,
)
from workflows.handover_confirming import Spent, check, conflict, end, override, spend, unless_over
from workflows.handover_events import (
    EVENTS,
    ArrivalTold,
    Claimed,
    CodeEntered,
    Delegated,
    DelegationEnded,
    Event,
    FailTold,
    OverrideAsked,
    PositionTold,
    RegenerateAsked,
    Released,
    Returned,
    Said,
    SlotChanged,
    TextReplied,
)
from workflows.handover_sending import (
    answer_reply,
    notify_party,
    notify_switched,
    refuse_send,
    send_code,
    settle,
    slot_text,
    with_code,
)
from workflows.handover_telling import (
    CLAIM,
    EXPIRY,
    LEAD,
    Moved,
    about,
    about_courier,
    courier_view,
    declared,
    done,
    locked,
    party_declared,
    sealed_by,
    slot_of,
    timers,
    told,
    unchanged,
    view,
)
from workflows.window import Day
from workflows.wording import problem_with

__all__ = [
    "EVENTS", "MOVES", "WORKFLOW", "Facts", "Spent", "conflict", "courier_view", "spend", "start", "step", "view",
]  # fmt: skip

WORKFLOW: Final = "handover"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the delivery: the codes sent today to the number that a code would go to."""

    day: Day = field(default_factory=Day)


# Starting.


def start(case: DeliveryCase, now: int) -> Moved | Refused:
    """Open a delivery; nothing is sent before the courier is on the way, or its lead time has come."""
    if refused := _refuse_slot(case.slot, now) or _refuse_texts(case):
        return refused
    case = replace(case, expires_at=case.slot.ends_at + OPEN_AFTER_US)
    effects: tuple[Effect, ...] = (
        *declared(case),
        about(case, "created", expires_at=case.expires_at),
        *timers(case),
    )
    return Step(case, effects, Answer("created", 201, {"delivery_id": case.id}))


def _refuse_slot(slot: Slot, now: int) -> Refused | None:
    if not slot.starts_at < slot.ends_at <= slot.starts_at + SLOT_MOST_S * SECOND:
        return Refused("bad_slot", 422, {"detail": "a slot ends after it starts, within seven days"})
    if slot.until <= now:
        return Refused("bad_slot", 422, {"detail": "the slot is over"})
    try:
        ZoneInfo(slot.zone)
        datetime.fromtimestamp(slot.until / SECOND, UTC)
    except (ZoneInfoNotFoundError, ValueError, OSError, OverflowError):
        return Refused("bad_slot", 422, {"detail": "no such time zone or instant"})
    return None


def _refuse_texts(case: DeliveryCase) -> Refused | None:
    for name, value in (("brand", case.brand), ("title", case.title)):
        if problem := problem_with(name, value):
            return Refused("bad_text", 422, {"field": name, "problem": problem})
    return None


def _refuse_held(case: DeliveryCase) -> Refused | None:
    """Return why a delivery waits for somebody else, or None."""
    held = _HELD.get(case.state)
    return None if held is None else Refused(*held, told(case))


_HELD: Final[Mapping[State, tuple[str, int]]] = {
    State.LOCKED: ("delivery_locked", 429),
    State.CLAIMED: ("claim_pending", 409),
    State.FAILED: ("attempt_failed", 409),
}


# Stepping.


def step(case: DeliveryCase, event: Event, facts: Facts, now: int) -> Moved | Refused:
    """Return what an event does to a delivery; a repeated or outdated event does nothing."""
    match event:
        case Settled():
            return settle(case, event, now)
        case TimerFired(kind):
            return _tick(case, kind, facts, now)
        case CodeEntered(verdict, entry):
            return check(case, verdict, entry, now)
        case Released(device):
            return _release(case, device)
        case TextReplied():
            return _text_replied(case, event, now)
        case _:
            return unless_over(case, now) or _asked(case, event, facts, now)


def _asked(case: DeliveryCase, event: Event, facts: Facts, now: int) -> Moved | Refused:
    match event:
        case ArrivalTold(courier):
            return _arrive(case, courier, facts, now)
        case PositionTold():
            return _position(case, event, facts, now)
        case RegenerateAsked():
            return _regenerate(case, facts, now)
        case Delegated():
            return _delegate(case, event, facts, now)
        case DelegationEnded():
            return _take_back(case, event, facts, now)
        case OverrideAsked():
            return override(case, event, now)
        case FailTold():
            return _fail(case, event, now)
        case SlotChanged():
            return _change_slot(case, event, now)
        case Claimed(device, courier):
            return _claim(case, device, courier, now)
        case Returned(reason):
            return end(case, State.RETURNED, now, reason=reason)
        case Canceled(reason):
            return end(case, State.CANCELED, now, reason=reason)
        case _:
            raise AssertionError("an event of no kind that a delivery knows")


# Arriving.


def _arrive(case: DeliveryCase, courier: str, facts: Facts, now: int) -> Moved | Refused:
    """The courier arrives: the code is sent, or sent again if it has ended; told twice, it is sent once."""
    if refused := _refuse_held(case):
        return refused
    arrived = case.moved(State.ARRIVING, courier=courier or case.courier)
    effects: tuple[Effect, ...] = ()
    if case.state is not State.ARRIVING:
        effects = (about_courier(arrived, "arriving", courier), Disarm(LEAD))
    if case.messages and case.has_code(now):
        return done(arrived, effects, "arriving")
    if refused := refuse_send(case, facts.day, now):
        return refused
    if not case.sends_notice(Notice.ARRIVING):
        # The platform tells the code itself (`handover:reveal`): for us it is as good as sent.
        return done(replace(with_code(arrived, now), ready=True), effects, "arriving")
    arrived, sent = send_code(arrived, now)
    step = done(arrived, (*effects, *sent), "arriving")
    return replace(step, day=facts.day.at(now).sent())


def _position(case: DeliveryCase, event: PositionTold, facts: Facts, now: int) -> Moved | Refused:
    """The courier is on the way; near enough to the lead time, that is an arrival."""
    moved = replace(case, courier=event.courier or case.courier, eta_at=event.eta_at or case.eta_at)
    effects: tuple[Effect, ...] = ()
    if not case.on_the_way and case.state is State.SCHEDULED:
        moved = with_code(replace(moved, on_the_way=True), now)
        effects = (about_courier(moved, "on_the_way", event.courier, eta_at=moved.eta_at or None),)
        moved, sent = notify_switched(moved, Notice.ON_THE_WAY, now, slot=slot_text(moved.slot))
        effects += sent
    if case.state is State.SCHEDULED and moved.eta_at and case.lead_s:
        due = moved.eta_at - case.lead_s * SECOND
        if now >= due:
            arrived = _arrive(moved, event.courier, facts, now)
            if isinstance(arrived, Step):
                return replace(arrived, effects=(*effects, *arrived.effects), answer=Answer("noted"))
        else:
            effects += (Arm(LEAD, due),)
    return Step(moved, effects, Answer("noted"))


def _regenerate(case: DeliveryCase, facts: Facts, now: int) -> Moved | Refused:
    if refused := _refuse_held(case):
        return refused
    if not case.generation:
        return Refused("not_ready", 409, told(case))
    if refused := refuse_send(case, facts.day, now):
        return refused
    void = CancelSends(roles=case.messages)
    fresh, sent = send_code(case, now, fresh=True)
    event = about(fresh, "regenerated", generation=fresh.generation)
    return replace(done(fresh, (void, event, *sent), "regenerated"), day=facts.day.at(now).sent())


# Delegating.


def _delegate(case: DeliveryCase, event: Delegated, facts: Facts, now: int) -> Moved | Refused:
    """Give the code to another person: they are sent a new one, and the recipient is told, who may take it back."""
    refused = _refuse_delegation(case) or refuse_send(replace(case, next_send_at=0), facts.day, now)
    if refused is not None:
        return refused
    delegate, by_sms = event.party, bool(event.reply_id)
    void = CancelSends(roles=case.messages)
    case = replace(
        case, people=(*case.people, delegate), holder=delegate.id, delegations=case.delegations + 1, sends=case.sends
    )
    door = "sms" if by_sms else "api"
    reply = {"reply": event.reply_id} if by_sms else {}
    effects: tuple[Effect, ...] = (
        party_declared(delegate, "delegate.declared", door=door, **reply),
        void,
        about(case, "delegated", to=delegate.to, by=door, reply_id=event.reply_id or None),
    )
    case, sent = send_code(case, now, fresh=True)
    case, notices = notify_party(case, case.owner, "delegated", now, ending=delegate.to[-2:], reply=case.replies)
    return replace(done(case, (*effects, *sent, *notices), "delegated"), day=facts.day.at(now).sent())


def _refuse_delegation(case: DeliveryCase) -> Refused | None:
    if refused := _refuse_held(case):
        return refused
    if not case.may_delegate:
        return Refused("not_delegable", 409, told(case))
    return Refused("max_delegations", 429, told(case)) if case.delegations >= DELEGATIONS else None


def _take_back(case: DeliveryCase, event: DelegationEnded, facts: Facts, now: int) -> Moved | Refused:
    if not case.is_delegated:
        return Refused("not_delegated", 409, told(case))
    void = CancelSends(roles=case.messages)
    by_sms = bool(event.reply_id)
    case = replace(case, holder=case.owner.id)
    ended = about(case, "delegation_ended", by="sms" if by_sms else "api", reply_id=event.reply_id or None)
    body = {"delivery": case.id, "door": "sms" if by_sms else "api"} | ({"reply": event.reply_id} if by_sms else {})
    # Taking it back must always be possible: whatever was sent before, the delegate's code is void from here on.
    case, sent = send_code(case, now, fresh=True)
    effects: tuple[Effect, ...] = (Seal("delegation.ended", body), void, ended, *sent)
    return replace(done(case, effects, "delegation_ended"), day=facts.day.at(now).sent())


def _text_replied(case: DeliveryCase, event: TextReplied, now: int) -> Moved:
    party = next((one for one in case.people if one.id == event.party), None)
    if party is None or case.is_over:
        return unchanged(case)
    case, answered = answer_reply(case, party, event.said, now)
    refused = about(case, "delegation_refused", reply_id=event.reply_id, reason=str(event.said))
    return Step(case, ((refused,) if event.said is Said.NOT_DELEGATED else ()) + answered)


# Missing, and trying again.


def _fail(case: DeliveryCase, event: FailTold, now: int) -> Moved | Refused:
    if case.state is State.FAILED:
        return done(case, (), "failed")
    if case.state is State.CLAIMED:
        return Refused("claim_pending", 409, told(case))
    courier = event.stated.courier
    failed = case.moved(State.FAILED, reason=event.reason, courier=courier or case.courier)
    body: dict[str, Json] = {"delivery": case.id, "reason": event.reason, "tries": case.tries}
    sealed = sealed_by(case, "delivery.failed", body, event.stated)
    notice = about_courier(failed, "failed", courier, reason=event.reason)
    stop: tuple[Effect, ...] = (CancelSends(roles=case.messages), Disarm(LEAD))
    failed, sent = notify_switched(failed, Notice.MISSED, now)
    return done(failed, (sealed, notice, *stop, *sent), "failed")


def _change_slot(case: DeliveryCase, event: SlotChanged, now: int) -> Moved | Refused:
    """Give the delivery another slot; after a failed attempt the code is a new one, and a lock is the old one."""
    if event.again and case.state is not State.FAILED:
        return Refused("not_failed", 409, told(case))
    held = None if event.again else _refuse_held(case)
    if refused := held or _refuse_slot(event.slot, now):
        return refused
    void = CancelSends(roles=case.messages)
    changed = replace(
        case.moved(State.SCHEDULED if attempts_remaining(case) else State.LOCKED),
        slot=event.slot,
        expires_at=event.slot.ends_at + OPEN_AFTER_US,
        eta_at=0,
        on_the_way=False,
        tries=case.tries + event.again,
        # The next code belongs to the new slot, and lives as long as that.
        code_until=0,
        ready=False,
        messages=(),
        reason="",
    )
    body = {"delivery": case.id, "tries": changed.tries, **slot_of(changed)}
    told_of = about(changed, "changed", tries=changed.tries, **slot_of(changed))
    effects: tuple[Effect, ...] = (Seal("delivery.changed", body), void, told_of, *timers(changed))
    effects += locked(changed) if changed.state is State.LOCKED else ()
    changed, sent = notify_switched(changed, Notice.CHANGED, now, slot=slot_text(changed.slot))
    return done(changed, (*effects, *sent), "changed")


# What devices logged offline.


def _claim(case: DeliveryCase, device: str, courier: str, now: int) -> Moved:
    """Hold the delivery until the device's log is whole; a log that stays cut is adjudicated as it is."""
    if case.state in {State.LOCKED, State.FAILED} or device in case.claimed_by:
        return unchanged(case)  # what the log says of it is told when it is whole
    came_from = case.claimed_from if case.state is State.CLAIMED else str(case.state)
    claimed = case.moved(State.CLAIMED, claimed_from=came_from, claimed_by=(*case.claimed_by, device))
    event = about_courier(claimed, "claimed", courier, device_id=device)
    sealed = Seal("log.claimed", {"delivery": case.id, "device": device})
    return Step(claimed, (sealed, event, Arm(CLAIM, now + CLAIM_LIFE_US)))


def _release(case: DeliveryCase, device: str) -> Moved:
    left = tuple(one for one in case.claimed_by if one != device)
    if case.state is not State.CLAIMED:
        return unchanged(case)
    if left:
        return Step(replace(case, claimed_by=left))
    return Step(case.moved(State(case.claimed_from), claimed_from="", claimed_by=()), (Disarm(CLAIM),))


def _tick(case: DeliveryCase, kind: str, facts: Facts, now: int) -> Moved:
    if case.is_over:
        return unchanged(case)
    if kind == EXPIRY:
        if now >= case.expires_at:
            return end(case, State.EXPIRED, now)
        return Step(case, (Arm(EXPIRY, case.expires_at),))
    if kind == LEAD and case.state is State.SCHEDULED:
        arrived = _arrive(case, "", facts, now)
        return arrived if isinstance(arrived, Step) else unchanged(case)
    return unchanged(case)
