"""What a check of a code comes to, and how signings and requests end: signed, declined, blocked, reset, expired.

Pure. An attempt was spent before a verdict comes here; the last allowed check may still sign.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from workflows.base import (
    SECOND,
    Answer,
    CancelSends,
    Disarm,
    Effect,
    Finish,
    Json,
    Refused,
    Seal,
    Step,
    Verdict,
)
from workflows.signature_case import (
    ATTEMPTS,
    RESETS,
    SENDS,
    Door,
    RequestState,
    SignatureCase,
    Signing,
    State,
)
from workflows.signature_sending import confirm, tell_all, welcome
from workflows.signature_telling import (
    EXPIRY,
    REMINDER,
    Moved,
    about_request,
    about_signing,
    attempts_remaining,
    refuse_over,
    refuse_signing,
    told,
)

_CONSENT_EARLY_US: Final = 300 * SECOND
_CONSENT_OLD_US: Final = 86_400 * SECOND


@dataclass(frozen=True, slots=True)
class Entry:
    """How a code came: by which door, in which reply, and what the platform states of it."""

    door: Door
    reply_id: str = ""
    consent_at: int = 0
    ip: str = ""
    user_agent: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """An attempt is taken: store the case, then compare and step from it."""

    case: SignatureCase
    signing: Signing


def spend(
    case: SignatureCase,
    signing: Signing,
    now: int,
    *,
    document_sha256: str | None = None,
    consent_at: int | None = None,
) -> Spent | Moved | Refused:
    """Take an attempt for a check; on the page also the document's hash must be the one that is signed, and the consent
    of a plausible time. A `Step` is a refusal that changes the case: commit it and tell its answer.
    """
    if refused := unless_over(case, now) or refuse_signing(signing):
        return refused
    document, signer = case.document_of(signing), case.signer_of(signing)
    if document_sha256 is not None and document_sha256.lower() != document.sha256:
        return Refused("document_mismatch", 422, told(signing))
    if consent_at is not None and not _is_plausible(consent_at, case, now):
        return Refused("consent_implausible", 422, told(signing))
    if not case.may_act(signer):
        return Refused("not_their_turn", 409, told(signing))
    if signing.state is not State.OTP_SENT:
        return Refused("no_code_sent", 409, told(signing))
    if now >= signing.code_until:
        return Refused("code_expired", 410, told(signing))
    spent = replace(signing, attempts=signing.attempts + 1)
    return Spent(case.with_signing(spent), spent)


def _is_plausible(consent_at: int, case: SignatureCase, now: int) -> bool:
    earliest = max(case.created_at - _CONSENT_EARLY_US, now - _CONSENT_OLD_US)
    return earliest <= consent_at <= now + _CONSENT_EARLY_US


def check(case: SignatureCase, signing: Signing, verdict: Verdict, entry: Entry, now: int) -> Moved | Refused:
    """Return what a compared code does to its signing."""
    if refused := refuse_over(case) or refuse_signing(signing):
        return refused
    if verdict is Verdict.RIGHT:
        return _sign(case, signing, entry, now)
    if verdict is not Verdict.WRONG:
        # Neither an attempt at guessing nor news of the code.
        given_back = replace(signing, attempts=max(0, signing.attempts - 1))
        sealed = _checked(given_back, str(verdict), entry)
        code = "superseded" if verdict is Verdict.SUPERSEDED else "bad_format"
        return Step(case.with_signing(given_back), (sealed,), Answer(code, 422, told(given_back)))
    remaining = attempts_remaining(signing)
    failed = about_signing(case, signing, "check_failed", attempts_remaining=remaining, assurance=entry.door)
    sealed = _checked(signing, "wrong", entry)
    answer = Answer("code_mismatch", 422, told(signing))
    if signing.attempts < ATTEMPTS:
        return Step(case, (sealed, failed), answer)
    blocked = signing.moved(State.BLOCKED, code_until=0)
    case = case.with_signing(blocked)
    effects: tuple[Effect, ...] = (
        sealed,
        failed,
        Seal("signing.blocked", {"signing": signing.id}),
        about_signing(case, blocked, "blocked"),
        CancelSends(roles=blocked.messages),
    )
    return Step(case, effects, answer)


def not_compared(signing: Signing, why: str) -> Seal:
    """Return the entry of a check on the page that never came to compare a code."""
    return _checked(signing, why, Entry(Door.PAGE))


def _checked(signing: Signing, result: str, entry: Entry) -> Seal:
    body: dict[str, Json] = {
        "signing": signing.id,
        "generation": signing.generation,
        "door": entry.door,
        "result": result,
        "attempts_remaining": attempts_remaining(signing),
    }
    return Seal("check.done", body | ({"reply": entry.reply_id} if entry.reply_id else {}))


def _sign(case: SignatureCase, signing: Signing, entry: Entry, now: int) -> Moved:
    signed = signing.moved(State.SIGNED, code_until=0, door=entry.door, signed_at=now, final_at=now)
    case = case.with_signing(signed)
    signer, document = case.signer_of(signing), case.document_of(signing)
    body: dict[str, Json] = {
        "signing": signed.id,
        "signer": signer.id,
        "document": document.id,
        "document_sha256": document.sha256,
        "document_hashed_by": "sceau" if document.uploaded else "platform",
        "assurance": entry.door,
        "consent": {"version": signer.consent.version, "sha256": signer.consent.sha256},
        "generation": signed.generation,
    }
    private: dict[str, Json] = {}
    stated: tuple[str, ...] = ()
    if entry.door is Door.PAGE:
        body["consent_at"] = entry.consent_at
        private = {"ip": entry.ip, "user_agent": entry.user_agent}
        stated = ("consent_at", "ip", "user_agent")
    else:
        body["reply"] = entry.reply_id
    effects: list[Effect] = [
        _checked(signed, "right", entry),
        Seal("signing.signed", body, private, subject=signer.id, stated=stated),
        about_signing(case, signed, "signed", assurance=entry.door, signed_at=now, document_sha256=document.sha256),
        CancelSends(roles=signed.messages),
    ]
    if entry.door is Door.SMS:
        effects.append(confirm(case, signed, now))
    answer = Answer("signed", 200, {"signing_id": signed.id})
    if all(one.state is State.SIGNED for one in case.signings):
        ended = _end(case, RequestState.COMPLETED, now)
        return replace(ended, effects=(*effects, *ended.effects), answer=answer)
    case, invited = welcome(case, now)
    return Step(case, (*effects, *invited), answer)


def decline(case: SignatureCase, signing: Signing, reason: str, now: int, *, reply_id: str = "") -> Moved:
    """A signer declines one document: the request is over, and what was signed stays signed."""
    declined = signing.moved(State.DECLINED, code_until=0, final_at=now)
    case = case.with_signing(declined)
    door: Json = Door.SMS if reply_id else Door.PAGE
    body: dict[str, Json] = {"signing": signing.id, "door": door, "reason": reason}
    sealed = Seal("signing.declined", body | ({"reply": reply_id} if reply_id else {}), stated=("reason",))
    notice = about_signing(case, declined, "declined", reason=reason)
    ended = _end(case, RequestState.DECLINED, now, reason="declined")
    answer = Answer("declined", 200, {"signing_id": signing.id})
    return replace(ended, effects=(sealed, notice, *ended.effects), answer=answer)


def reset(case: SignatureCase, signing: Signing, reason: str) -> Moved | Refused:
    """Let a signing go on that is blocked, or whose codes have all been sent, with fresh counters and a code of a new
    generation; three times at most.
    """
    if signing.state is not State.BLOCKED and not (signing.is_open and signing.sends >= SENDS):
        return Refused("not_blocked", 409, {"signing_id": signing.id})
    if signing.resets >= RESETS:
        return Refused("max_resets", 429, {"signing_id": signing.id})
    freed = signing.moved(State.NOTIFIED, attempts=0, sends=0, next_send_at=0, code_until=0, resets=signing.resets + 1)
    case = case.with_signing(freed)
    remaining = RESETS - freed.resets
    effects: tuple[Effect, ...] = (
        Seal(
            "signing.reset",
            {"signing": signing.id, "reason": reason, "resets_remaining": remaining},
            stated=("reason",),
        ),
        about_signing(case, freed, "reset", resets_remaining=remaining),
    )
    return Step(case, effects, Answer("reset", 200, told(freed)))


def expire(case: SignatureCase, now: int) -> Moved:
    """The request's time is over: what was not signed expires."""
    return _end(case, RequestState.EXPIRED, now)


def unless_over(case: SignatureCase, now: int) -> Moved | Refused | None:
    """Return the refusal of a request that is over, or that ends now because its time has passed."""
    if case.is_open and now >= case.expires_at:
        return replace(expire(case, now), answer=Answer("expired", 410, {"request_id": case.id}))
    return refuse_over(case)


def cancel(case: SignatureCase, reason: str, now: int) -> Moved:
    """The platform gives the request up."""
    return replace(
        _end(case, RequestState.CANCELED, now, reason=reason), answer=Answer("canceled", 200, {"request_id": case.id})
    )


_END_OF_SIGNINGS: Final = {
    RequestState.DECLINED: State.CANCELED,
    RequestState.CANCELED: State.CANCELED,
    RequestState.EXPIRED: State.EXPIRED,
}


def _end(case: SignatureCase, state: RequestState, now: int, *, reason: str = "") -> Moved:
    if state in _END_OF_SIGNINGS:
        left = [one.moved(_END_OF_SIGNINGS[state], code_until=0, final_at=now) for one in case.signings if one.is_open]
        case = case.with_signing(*left)
    case = replace(case, state=state, reason=reason, final_at=now)
    what = "canceled" if state is RequestState.DECLINED else str(state)
    notice = about_request(case, what, reason=reason) if what == "canceled" else about_request(case, what)
    stop: tuple[Effect, ...] = (CancelSends(), Disarm(EXPIRY), Disarm(REMINDER))
    if state is RequestState.COMPLETED:
        # The confirmation of the last signature is on its way: only reminders and codes are of no use any more.
        stop = (Disarm(EXPIRY), Disarm(REMINDER))
        return Step(case, (*stop, *tell_all(case, now), notice, Finish(state)))
    return Step(case, (*stop, notice, Finish(state)))
