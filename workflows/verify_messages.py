"""The messages of a verification: what is sent and resent, and what becomes of each.

Pure. `workflows.verify` is the caller; whether a message may be sent now has been decided before.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Final

from workflows.base import SECOND, Arm, CancelSends, Disarm, Effect, Json, Outcome, Send, Settled, Step
from workflows.profiles import ResendPolicy
from workflows.verify_case import Delivery, Facts, SentCode, State, VerificationCase
from workflows.verify_telling import EXPIRY, FALLBACK, Moved, close, notify
from workflows.wording import life_text

MESSAGE_CLASS: Final = "otp"


def resend(case: VerificationCase, facts: Facts, now: int, random: Random) -> Moved:
    """Send the same code again within its life, or with `rotate` a new one with a life of its own."""
    if facts.profile.resend_policy is ResendPolicy.SAME_CODE:
        return send(case, facts, now, random)
    rotated = replace(case, generation=case.generation + 1, expires_at=now + facts.profile.ttl_s * SECOND)
    stop = CancelSends(facts.profile.cancel_on_air, before_generation=rotated.generation)
    return send(rotated, facts, now, random, stop, Arm(EXPIRY, rotated.expires_at))


def send(case: VerificationCase, facts: Facts, now: int, random: Random, *before: Effect) -> Moved:
    """Send the present code, count it, and have a missing receipt told of."""
    profile = facts.profile
    rotates = profile.resend_policy is ResendPolicy.ROTATE
    message = SentCode(f"code.{len(case.messages) + 1}", case.generation)
    params: dict[str, str | int | bool] = {
        "brand": profile.brand,
        "life": life_text((case.expires_at - now) // SECOND),
        "do_not_share": profile.do_not_share,
        "webotp_host": profile.webotp_host,
        "android_hash": profile.android_hash,
        **({} if rotates else {"reference": ""}),
        **({"amount": case.amount, "payee": case.payee} if case.amount else {}),
    }
    text = Send(
        role=message.role,
        step="code_bound" if case.amount else "code",
        language=case.language,
        message_class=MESSAGE_CLASS,
        generation=case.generation,
        expires_at=case.expires_at,
        params=params,
        slots=("code", "reference") if rotates else ("code",),
        sender=profile.sender,
    )
    effects: tuple[Effect, ...] = (*before, text)
    fallback_at = 0
    if profile.fallback_after_s is not None:
        fallback_at = now + profile.fallback_after_s * SECOND
        effects = (*effects, Arm(FALLBACK, fallback_at))
    sent = replace(case, messages=(*case.messages, message), fallback_owed=True, fallback_at=fallback_at)
    return Step(sent, effects, None, facts.window.sent(profile.limits, now, random), facts.day.sent())


def settle(case: VerificationCase, event: Settled, facts: Facts, now: int) -> Moved:
    """Note how far a message has come; news only ever moves it on."""
    place = next((place for place, message in enumerate(case.messages) if message.role == event.role), None)
    if place is None or event.outcome is Outcome.CANCELED:
        return Step(case)
    before = case.messages[place]
    delivery = max(before.delivery, _DELIVERY[event.outcome], key=_RANK.__getitem__)
    taken = before.taken or event.outcome in _TAKEN
    if _RANK[before.delivery] == _RANK[delivery]:
        delivery = before.delivery  # the first of two contradicting receipts stands
    after = replace(before, delivery=delivery, taken=taken)
    if after == before:
        return Step(case)
    messages = (*case.messages[:place], after, *case.messages[place + 1 :])
    settled = replace(case, messages=messages)
    about: dict[str, Json] = {"send": place + 1, "generation": after.generation}
    effects: list[Effect] = []
    if taken and not before.taken:
        effects.append(notify(settled, "sent", **about))
    if delivery is not before.delivery and delivery is Delivery.DELIVERED:
        effects.append(notify(settled, "delivered", **about))
        if settled.delivery is Delivery.DELIVERED and settled.fallback_owed:
            settled = replace(settled, fallback_owed=False, fallback_at=0)
            effects.append(Disarm(FALLBACK))
    if delivery is not before.delivery and delivery is Delivery.UNDELIVERED:
        effects.append(notify(settled, "undelivered", **about, reason=event.reason))
        return _without_message(settled, event.reason, facts, now, effects)
    return Step(settled, tuple(effects))


def _without_message(case: VerificationCase, reason: str, facts: Facts, now: int, effects: list[Effect]) -> Moved:
    """A message was lost: the case fails if no operator took any, else another channel is due."""
    if not case.is_pending or now >= case.expires_at or case.delivery is not Delivery.UNDELIVERED:
        return Step(case, tuple(effects))
    if not case.voice_calls and not any(message.taken for message in case.messages):
        return close(case, State.FAILED, now, *effects, reason=reason)
    return fall_back(case, "undelivered", facts, effects) if case.fallback_owed else Step(case, tuple(effects))


def fall_back(case: VerificationCase, reason: str, facts: Facts, effects: list[Effect]) -> Moved:
    """Tell the application, once for each message, that it is time for another channel."""
    remaining = facts.profile.voice_codes - case.voice_calls
    due = notify(case, "fallback_due", reason=reason, voice_codes_remaining=max(0, remaining))
    return Step(replace(case, fallback_owed=False, fallback_at=0), (*effects, due, Disarm(FALLBACK)))


_DELIVERY: Final = {
    Outcome.ON_WIRE: Delivery.SUBMITTED,
    Outcome.IN_DOUBT: Delivery.SUBMITTED,
    Outcome.ACCEPTED: Delivery.ACCEPTED,
    Outcome.UNKNOWN: Delivery.UNKNOWN,
    Outcome.DELIVERED: Delivery.DELIVERED,
    Outcome.UNDELIVERED: Delivery.UNDELIVERED,
    Outcome.EXPIRED: Delivery.UNDELIVERED,
    Outcome.REJECTED: Delivery.UNDELIVERED,
    Outcome.FAILED: Delivery.UNDELIVERED,
}
_TAKEN: Final = frozenset({Outcome.ACCEPTED, Outcome.DELIVERED, Outcome.UNDELIVERED})
_RANK: Final = {
    Delivery.QUEUED: 0,
    Delivery.SUBMITTED: 1,
    Delivery.ACCEPTED: 2,
    Delivery.UNKNOWN: 3,
    Delivery.UNDELIVERED: 4,
    Delivery.DELIVERED: 4,
}
