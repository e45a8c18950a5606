"""Verification: a code goes to a number by SMS, is typed back, and that proves who holds the number.

Pure: it never sees a code, only the verdict on one, and returns what is to change and to be sent. `engine.cases` calls
`start`, `spend`, `step` and `view`, and nothing else does.

A check runs in one transaction: `spend` takes an attempt of the window, and refuses if none is left; the caller stores
that, compares, and steps with `Checked(verdict)`. The binding is looked at before, and costs no attempt: nothing was
compared. What a refusal leaves behind (an expiry noticed, a lock) travels in a `Step` with the refusal as its answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Final

from workflows.base import (
    SECOND,
    Answer,
    Arm,
    Audit,
    Binding,
    Canceled,
    Checked,
    Disarm,
    Effect,
    Event,
    Finish,
    Json,
    Refused,
    Replied,
    Resent,
    Settled,
    Step,
    TimerFired,
    Verdict,
    Voiced,
)
from workflows.profiles import OnPending, VerificationProfile
from workflows.verify_case import EVENTS, MOVES, Block, Facts, Request, State, VerificationCase
from workflows.verify_messages import fall_back, resend, send, settle
from workflows.verify_telling import (
    CLOSED,
    EXPIRY,
    FALLBACK,
    Moved,
    close,
    not_yet,
    notify,
    refuse_closed,
    told,
    view,
)
from workflows.window import Window
from workflows.wording import language_of, problem_with, tidy

__all__ = [
    "CLOSED",
    "EVENTS",
    "MOVES",
    "WORKFLOW",
    "Block",
    "Facts",
    "Request",
    "Spent",
    "State",
    "VerificationCase",
    "spend",
    "start",
    "step",
    "view",
]

WORKFLOW: Final = "verify"


@dataclass(frozen=True, slots=True)
class Spent:
    """An attempt is taken: store both, then compare and step from them."""

    case: VerificationCase
    window: Window


# Starting.


def start(request: Request, facts: Facts, now: int, random: Random) -> Moved | Refused:
    """Open a verification, or join, replace or point to the one that is pending under the same window."""
    profile, limits = facts.profile, facts.profile.limits
    language = language_of(request.language, profile.languages)
    if language is None:
        return Refused("language_not_offered", 422, {"languages": list(profile.languages)})
    request = replace(request, language=language, amount=tidy(request.amount), payee=tidy(request.payee))
    if refused := _refuse_binding(request):
        return refused
    if facts.block is not None:
        return _blocked(_new_case(request, profile, now), facts.block, now)
    facts = replace(facts, window=facts.window.at(limits, now), day=facts.day.at(now))
    alive = sorted((case for case in facts.pending if case.is_pending and now < case.expires_at), key=_age)
    if facts.window.is_locked(now):
        return not_yet("locked", facts.window.locked_until, facts)
    if profile.on_pending is OnPending.JOIN:
        twins = [case for case in alive if _is_twin(case, request, profile)]
        if twins:
            return _join(twins[-1], facts, now, random)
    if profile.on_pending is OnPending.CONFLICT and alive:
        latest = alive[-1]
        return Refused("pending", 409, told(latest, facts.window, facts))
    if wait := facts.window.not_yet(facts.day, limits, now):
        return not_yet(wait.code, wait.next_send_at, facts)
    replaced = alive if profile.on_pending is OnPending.REPLACE else []
    case = _new_case(request, profile, now)
    created = notify(case, "created", language=case.language, expires_at=case.expires_at)
    sent = send(case, facts, now, random, created, Arm(EXPIRY, case.expires_at))
    answer = Answer("created", 201, told(sent.case, sent.window or facts.window, facts))
    also = tuple(_cancel(old, "replaced", profile, now) for old in replaced)
    return replace(sent, answer=answer, also=also)


def _age(case: VerificationCase) -> tuple[int, str]:
    return case.created_at, case.id


def _refuse_binding(request: Request) -> Refused | None:
    if bool(request.amount) != bool(request.payee):
        return Refused("bad_binding", 422, {"problem": "amount and payee go together"})
    for name, value in (("amount", request.amount), ("payee", request.payee)):
        if value and (problem := problem_with(name, value)):
            return Refused("bad_binding", 422, {"field": name, "problem": problem})
    return None


def _is_twin(case: VerificationCase, request: Request, profile: VerificationProfile) -> bool:
    # A missing session equals nothing: it cannot tell the victim's start from an attacker's.
    known = bool(request.session) or profile.join_without_session
    return known and case.session == request.session and case.binding == request.binding


def _new_case(request: Request, profile: VerificationProfile, now: int) -> VerificationCase:
    return VerificationCase(
        id=request.case_id,
        profile=profile.name,
        purpose=request.purpose,
        to=request.to,
        language=request.language or profile.languages[0],
        created_at=now,
        expires_at=now + profile.ttl_s * SECOND,
        session=request.session,
        binding=request.binding,
        amount=request.amount,
        payee=request.payee,
    )


def _blocked(case: VerificationCase, block: Block, now: int) -> Moved:
    blocked = replace(case, state=State.BLOCKED, final_at=now, reason=block.reason)
    notice = notify(blocked, "blocked", reason=block.reason, risk_factors=list(block.factors))
    facts: dict[str, Json] = {"verification_id": case.id, "reason": block.reason}
    return Step(blocked, (notice, Finish(State.BLOCKED)), Answer("blocked", block.status, facts))


def _join(case: VerificationCase, facts: Facts, now: int, random: Random) -> Moved:
    if facts.window.not_yet(facts.day, facts.profile.limits, now):
        return Step(case, (), Answer("joined", 200, {**told(case, facts.window, facts), "resent": False}))
    sent = resend(case, facts, now, random)
    return replace(
        sent, answer=Answer("joined", 200, {**told(sent.case, sent.window or facts.window, facts), "resent": True})
    )


# Checking: an attempt is spent before anything is compared.


def spend(case: VerificationCase, facts: Facts, binding: Binding, now: int) -> Spent | Moved | Refused:
    """Take an attempt for a check, unless the case is over, its life has ended, or the binding is not repeated.

    A `Step` is a refusal that changes the case: commit it and tell its answer.
    """
    if refused := _refuse_over(case, facts, now):
        return refused
    limits = facts.profile.limits
    window = facts.window.at(limits, now)
    if window.is_locked(now) or not window.attempts_remaining(limits):
        return _exhaust(case, window, facts.profile, now)
    if binding is not Binding.SAME:
        return Refused(f"binding_{binding}", 422, {"attempts_remaining": window.attempts_remaining(limits)})
    return Spent(replace(case, attempts=case.attempts + 1), window.spent(now))


def _check(case: VerificationCase, verdict: Verdict, facts: Facts, now: int) -> Moved | Refused:
    limits = facts.profile.limits
    if refused := refuse_closed(case):
        return refused
    if verdict is Verdict.RIGHT:
        approved = close(case, State.APPROVED, now, delivery=case.delivery)
        answer = Answer("approved", 200, {"verification_id": case.id})
        return replace(approved, answer=answer, window=facts.window.forgiven(case.attempts))
    if verdict is not Verdict.WRONG:
        # Neither an attempt at guessing nor news of the code.
        window = facts.window.given_back()
        code = "superseded" if verdict is Verdict.SUPERSEDED else "bad_format"
        given_back = replace(case, attempts=max(0, case.attempts - 1))
        remaining = window.attempts_remaining(limits)
        return Step(given_back, (), Answer(code, 422, {"attempts_remaining": remaining}), window)
    remaining = facts.window.attempts_remaining(limits)
    failed = notify(case, "check_failed", attempts_remaining=remaining)
    if remaining:
        return Step(case, (failed,), Answer("code_mismatch", 422, {"attempts_remaining": remaining}))
    return _exhaust(case, facts.window, facts.profile, now, failed, code=("code_mismatch", 422))


def _exhaust(
    case: VerificationCase,
    window: Window,
    profile: VerificationProfile,
    now: int,
    *before: Effect,
    code: tuple[str, int] = ("max_attempts", 429),
) -> Moved:
    locked = window if window.is_locked(now) else window.locked(profile.limits, now)
    closed = close(case, State.MAX_ATTEMPTS, now, *before, locked_until=locked.locked_until)
    answer = Answer(code[0], code[1], {"attempts_remaining": 0, "next_send_at": locked.locked_until})
    return replace(closed, answer=answer, window=None if locked is window else locked)


# Stepping.


def step(case: VerificationCase, event: Event, facts: Facts, now: int, random: Random) -> Moved | Refused:
    """Return what an event does to a verification; a repeated or outdated event does nothing.

    For `Checked` the facts carry the window that `spend` returned.
    """
    match event:
        case Checked(verdict):
            return _check(case, verdict, facts, now)
        case Settled():
            return settle(case, event, facts, now)
        case TimerFired(kind):
            return _tick(case, kind, facts, now)
        case Resent() | Voiced():
            return _again(case, event, facts, now, random)
        case Canceled(reason):
            if case.state is State.CANCELED:
                return Step(case, (), Answer("canceled", 200, {"verification_id": case.id}))
            return _refuse_over(case, facts, now) or _cancel(case, reason, facts.profile, now)
        case Replied(reply_id):
            # A verification is proven by a check alone: whoever can send from a number need not hold the session.
            return Step(case, (Audit("verification.reply_ignored", {"reply_id": reply_id}),))


def _again(case: VerificationCase, event: Resent | Voiced, facts: Facts, now: int, random: Random) -> Moved | Refused:
    if refused := _refuse_over(case, facts, now):
        return refused
    facts = replace(facts, window=facts.window.at(facts.profile.limits, now), day=facts.day.at(now))
    is_voice = isinstance(event, Voiced)
    # A voice call is asked for because a message has not come: it waits for no cool-down, but starts one.
    if wait := facts.window.not_yet(facts.day, facts.profile.limits, now, cooled=not is_voice):
        return not_yet(wait.code, wait.next_send_at, facts)
    if isinstance(event, Voiced):
        return _voice(case, event, facts, now, random)
    sent = resend(case, facts, now, random)
    return replace(sent, answer=Answer("resent", 200, told(sent.case, sent.window or facts.window, facts)))


def _voice(case: VerificationCase, event: Voiced, facts: Facts, now: int, random: Random) -> Moved | Refused:
    if case.voice_calls >= facts.profile.voice_codes:
        return Refused("max_voice_codes", 429, {"voice_codes_remaining": 0})
    window = facts.window.sent(facts.profile.limits, now, random)
    spoken = replace(case, voice_calls=case.voice_calls + 1, fallback_owed=False, fallback_at=0)
    detail: dict[str, Json] = {"by": event.by, "call": spoken.voice_calls, "generation": case.generation}
    effects = (Audit("verification.voice_code", detail), Disarm(FALLBACK))
    facts_told = {
        **told(spoken, window, facts),
        "generation": case.generation,
        "language": case.language,
        "voice_codes_remaining": facts.profile.voice_codes - spoken.voice_calls,
    }
    return Step(spoken, effects, Answer("voice_code", 200, facts_told), window, facts.day.sent())


def _tick(case: VerificationCase, kind: str, facts: Facts, now: int) -> Moved:
    if not case.is_pending:
        return Step(case)
    if kind == EXPIRY and now < case.expires_at:
        return Step(case, (Arm(EXPIRY, case.expires_at),))  # it was armed for an earlier code
    if kind == EXPIRY:
        return _expire(case, facts.profile, now)
    if kind == FALLBACK and case.fallback_owed and 0 < case.fallback_at <= now < case.expires_at:
        return fall_back(case, "no_receipt", facts, [])
    return Step(case)


# Ending.


def _refuse_over(case: VerificationCase, facts: Facts, now: int) -> Moved | Refused | None:
    """The refusal of a case that is closed, or that closes now because its life has ended."""
    if case.is_pending and now >= case.expires_at:
        return _expire(case, facts.profile, now, Answer("expired", 410, {"verification_id": case.id}))
    return refuse_closed(case)


def _expire(case: VerificationCase, profile: VerificationProfile, now: int, answer: Answer | None = None) -> Moved:
    expired = close(case, State.EXPIRED, now, on_air=profile.cancel_on_air, delivery=case.delivery)
    return replace(expired, answer=answer)


def _cancel(case: VerificationCase, reason: str, profile: VerificationProfile, now: int) -> Moved:
    closed = close(case, State.CANCELED, now, on_air=profile.cancel_on_air, reason=reason)
    return replace(closed, answer=Answer("canceled", 200, {"verification_id": case.id}))
