"""What a verification tells of itself: answers, counters, events, the view of a GET, and its end.

Pure, and without a decision of its own. `workflows.verify` and `workflows.verify_messages` are its callers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final, TypeAlias

from workflows.base import CancelSends, Disarm, Effect, Finish, Json, Notify, Refused, Step
from workflows.verify_case import MOVES, Facts, State, VerificationCase
from workflows.window import Window

EXPIRY: Final = "expiry"
FALLBACK: Final = "fallback"

Moved: TypeAlias = Step[VerificationCase]

CLOSED: Final = {
    State.APPROVED: ("already_approved", 409),
    State.EXPIRED: ("expired", 410),
    State.MAX_ATTEMPTS: ("max_attempts", 429),
    State.CANCELED: ("canceled", 410),
    State.FAILED: ("failed", 410),
    State.BLOCKED: ("blocked", 403),
}
"""What is told to whoever checks, resends or cancels a verification that is over."""


def close(case: VerificationCase, state: State, now: int, *before: Effect, on_air: bool = False, **data: Json) -> Moved:
    """Move a case to a final state: told of, its timers disarmed, what has not been sent stopped."""
    if state not in MOVES[case.state]:
        raise ValueError(f"a verification may not move from {case.state} to {state}")
    reason = data.get("reason")
    why = reason if isinstance(reason, str) else ""
    closed = replace(case, state=state, final_at=now, fallback_owed=False, fallback_at=0, reason=why)
    notice = notify(closed, state, **data)
    return Step(closed, (*before, notice, CancelSends(on_air), Disarm(EXPIRY), Disarm(FALLBACK), Finish(state)))


def view(case: VerificationCase, facts: Facts, now: int) -> dict[str, Json]:
    """Return what a GET shows; it reads the counters and spends nothing. A life that is over shows as `expired`."""
    limits = facts.profile.limits
    window, day = facts.window.at(limits, now), facts.day.at(now)
    wait = window.not_yet(day, limits, now)
    over = case.is_pending and now >= case.expires_at
    is_open = case.is_pending and not over
    return {
        "id": case.id,
        "state": State.EXPIRED if over else case.state,
        "profile": case.profile,
        "purpose": case.purpose,
        "to": case.to,
        "language": case.language,
        "delivery": case.delivery,
        "generation": case.generation,
        "created_at": case.created_at,
        "expires_at": case.expires_at,
        "attempts_remaining": window.attempts_remaining(limits) if is_open and not window.is_locked(now) else 0,
        "sends_remaining": window.sends_remaining(limits) if is_open else 0,
        "next_send_at": (wait.next_send_at if wait else now) if is_open else None,
        "voice_codes_remaining": facts.profile.voice_codes - case.voice_calls if is_open else 0,
        "final_at": case.final_at or None,
        "reason": case.reason,
    }


def refuse_closed(case: VerificationCase) -> Refused | None:
    """Return the refusal that a final state gives, or None."""
    if case.is_pending:
        return None
    code, status = CLOSED[case.state]
    return Refused(code, status, {"verification_id": case.id})


def not_yet(code: str, next_send_at: int, facts: Facts) -> Refused:
    """Return the refusal of a message for now, with the counters."""
    return Refused(code, 429, {**counters(facts), "next_send_at": next_send_at})


def counters(facts: Facts) -> dict[str, Json]:
    """Return what the window still allows."""
    limits = facts.profile.limits
    return {
        "attempts_remaining": facts.window.attempts_remaining(limits),
        "sends_remaining": facts.window.sends_remaining(limits),
        "next_send_at": facts.window.next_send_at,
    }


def told(case: VerificationCase, window: Window, facts: Facts) -> dict[str, Json]:
    """Return the facts of an answer to whoever started or resent."""
    return {"verification_id": case.id, "expires_at": case.expires_at, **counters(replace(facts, window=window))}


def notify(case: VerificationCase, what: str, **data: Json) -> Notify:
    """Return an event of the table, with the fields that all share."""
    common: dict[str, Json] = {
        "verification_id": case.id,
        "state": case.state,
        "to": case.to,
        "profile": case.profile,
        "purpose": case.purpose,
    }
    return Notify(f"verification.{what}", {**common, **data})
