"""The messages of a delivery: codes with their link, notices, answers to replies, and what becomes of codes on the way.

Pure. Whether a code may be sent now is decided here too, whoever asked for it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from workflows.base import SECOND, Audit, Effect, Outcome, Param, Refused, Seal, Send, Settled, Step
from workflows.courtesy import one_more
from workflows.handover_case import (
    CODE_LIFE_LEAST_US,
    CODE_LIFE_MOST_US,
    COOLDOWN_US,
    DAY_SENDS,
    SENDS,
    DeliveryCase,
    Notice,
    Party,
    Slot,
)
from workflows.handover_telling import Moved, about, told, unchanged
from workflows.window import Day

_CODE_CLASS: Final = "handover_code"
_NOTICE_CLASS: Final = "transactional"
_ANSWER_CLASS: Final = "auto_reply"
_NOTICE_LIFE_US: Final = 86_400 * SECOND
_ANSWER_LIFE_US: Final = 3_600 * SECOND
_CODE_ROLE: Final = "code"
_ARRIVED: Final = frozenset({Outcome.ACCEPTED, Outcome.DELIVERED})
_LOST: Final = frozenset({Outcome.UNDELIVERED, Outcome.EXPIRED, Outcome.REJECTED, Outcome.FAILED})


def slot_text(slot: Slot) -> str:
    """Return a slot as its reader sees it, in the zone of the delivery: `27/11 14:00-16:00`."""
    zone = ZoneInfo(slot.zone)
    start, end = (datetime.fromtimestamp(one / SECOND, UTC).astimezone(zone) for one in (slot.starts_at, slot.ends_at))
    last = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%d/%m %H:%M}"
    return f"{start:%d/%m %H:%M}-{last}"


# Codes.


def refuse_send(case: DeliveryCase, day: Day, now: int) -> Refused | None:
    """Return why no code may be sent now, or None; `day` counts codes to the holder's number."""
    if case.sends >= SENDS:
        return Refused("max_sends", 429, told(case))
    if day.at(now).sends >= DAY_SENDS:
        return Refused("day_limit", 429, {**told(case), "next_send_at": day.at(now).ends_at})
    if now < case.next_send_at:
        return Refused("cooldown", 429, {**told(case), "next_send_at": case.next_send_at})
    return None


def with_code(case: DeliveryCase, now: int, *, fresh: bool = False) -> DeliveryCase:
    """Return the delivery with a living code: the present one, unless it has ended or a fresh one is wanted."""
    if case.has_code(now) and not fresh:
        return case
    after_slot = now + max(case.slot.grace_s * SECOND, CODE_LIFE_LEAST_US)
    until = min(max(case.slot.until, after_slot), now + CODE_LIFE_MOST_US)
    return replace(
        case, generation=case.generation + 1, code_until=until, ready=False, messages=(), rerouted=False, delivery=""
    )


def send_code(
    case: DeliveryCase, now: int, *, fresh: bool = False, unlike: str = ""
) -> tuple[DeliveryCase, tuple[Effect, ...]]:
    """Send the holder their code, and count it; `unlike` is the role of a message whose route did not lead there."""
    case = with_code(case, now, fresh=fresh)
    role = f"{_CODE_ROLE}:{case.generation}:{case.sends + 1}"
    case = replace(
        case, sends=case.sends + 1, next_send_at=now + COOLDOWN_US, messages=(*case.messages, role), delivery=""
    )
    params: dict[str, Param] = {
        "brand": case.brand, "title": case.title, "reply": case.replies and case.may_delegate,
    }  # fmt: skip
    # Whoever has the link already gets a message of one part. A code, and so its link, has one holder.
    has_page = case.linked == case.generation
    text = Send(
        role=role,
        step="code",
        language=case.holding.language,
        message_class=_CODE_CLASS,
        generation=case.generation,
        expires_at=case.code_until,
        params=params | ({"page": ""} if has_page else {}),
        slots=("code",) if has_page else ("code", "page"),
        recipient=case.holder,
        code_of=case.id,
        unlike=unlike,
    )
    return case, (text,)


def settle(case: DeliveryCase, event: Settled, now: int) -> Moved:
    """Note how far the message with the present code has come: from its acceptance on, the code can be entered."""
    if event.role not in case.messages or case.is_over:
        return unchanged(case)
    if event.outcome in _ARRIVED:
        ready = replace(case, ready=True, delivery=str(event.outcome))
        sent = about(ready, "code_sent", generation=case.generation, to=case.holding.to)
        return Step(ready, () if case.ready else (sent,))
    if event.role != case.messages[-1]:
        return unchanged(case)
    case = replace(case, delivery=str(event.outcome))
    return _next_way(case, event, now) if event.outcome in _LOST else unchanged(case)


def _next_way(case: DeliveryCase, event: Settled, now: int) -> Moved:
    """Send a code that did not arrive once more; then it is for the application to reach the holder."""
    reason = event.reason or None
    if case.rerouted or not case.has_code(now) or case.sends >= SENDS:
        return Step(case, (about(case, "unreachable", reason=reason),))
    lost = about(case, "code_undelivered", reason=reason)
    case, sent = send_code(replace(case, rerouted=True), now, unlike=event.role)
    return Step(case, (lost, *sent))


def reveal(case: DeliveryCase, reason: str) -> Moved:
    """Have the code told on another way, which is written down; where no SMS reaches its holder it came so."""
    told_so = replace(case, ready=case.ready or case.delivery in _LOST)
    sealed = Seal("code.revealed", {"delivery": case.id, "reason": reason}, stated=("reason",))
    return Step(told_so, (Audit("handover.revealed", {"reason": reason}), sealed))


# Notices.


def notify_party(
    case: DeliveryCase, party: Party, step: str, now: int, **params: Param
) -> tuple[DeliveryCase, tuple[Effect, ...]]:
    """Send somebody a notice; `page` among the slots gives whoever holds the code the link to its page."""
    names_page = step == Notice.ON_THE_WAY
    has_page = names_page and party.id == case.holder
    if names_page and not has_page:
        params = {**params, "page": ""}
    case = replace(case, noticed=case.noticed + 1, linked=case.generation if has_page else case.linked)
    text = Send(
        role=f"{step}:{party.id}:{case.noticed}",
        step=step,
        language=party.language,
        message_class=_NOTICE_CLASS,
        generation=case.generation if has_page else 0,
        expires_at=now + _NOTICE_LIFE_US,
        params={"brand": case.brand, "title": case.title, **params},
        slots=("page",) if has_page else (),
        recipient=party.id,
        code_of=case.id if has_page else "",
    )
    return case, (text,)


def notify_switched(
    case: DeliveryCase, notice: Notice, now: int, **params: Param
) -> tuple[DeliveryCase, tuple[Effect, ...]]:
    """Send the recipient a notice, and the delegate too, if this kind is switched on."""
    effects: tuple[Effect, ...] = ()
    if case.sends_notice(notice):
        for party in {one.id: one for one in (case.owner, case.holding)}.values():
            case, sent = notify_party(case, party, notice, now, **params)
            effects += sent
    return case, effects


def answer_reply(case: DeliveryCase, party: Party, step: str, now: int) -> tuple[DeliveryCase, tuple[Effect, ...]]:
    """Answer a reply by one message, unless this person has had too many within the hour."""
    counters = one_more(party.auto_replies, party.auto_replies_since, now)
    if counters is None:
        return case, ()
    count, since = counters
    text = Send(
        role=f"answer:{party.id}:{now}",
        step=step,
        language=party.language,
        message_class=_ANSWER_CLASS,
        generation=0,
        expires_at=now + _ANSWER_LIFE_US,
        params={"brand": case.brand, "title": case.title},
        recipient=party.id,
    )
    return case.with_party(replace(party, auto_replies=count, auto_replies_since=since)), (text,)
