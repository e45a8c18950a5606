"""What a signature request tells of itself: events, entries of evidence, refusals, and the view of a GET.

Pure, and without a decision of its own. The other modules of the conversation are its callers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from workflows.base import Answer, Effect, Json, Notify, Refused, Seal, Step
from workflows.signature_case import (
    ATTEMPTS,
    RESETS,
    SENDS,
    RequestState,
    Role,
    SignatureCase,
    Signer,
    Signing,
    State,
)

Moved: TypeAlias = Step[SignatureCase]

EXPIRY: Final = "expiry"
REMINDER: Final = "reminder"

CLOSED: Final = {
    State.SIGNED: ("already_signed", 409),
    State.DECLINED: ("declined", 409),
    State.BLOCKED: ("signing_blocked", 429),
    State.EXPIRED: ("expired", 410),
    State.CANCELED: ("canceled", 410),
}
"""What is told to whoever sends or signs a signing that cannot be."""

_OVER: Final = {
    RequestState.COMPLETED: ("completed", 409),
    RequestState.DECLINED: ("declined", 409),
    RequestState.EXPIRED: ("expired", 410),
    RequestState.CANCELED: ("canceled", 410),
}


def refuse_over(case: SignatureCase) -> Refused | None:
    """Return the refusal that a finished request gives, or None."""
    if case.is_open:
        return None
    code, status = _OVER[case.state]
    return Refused(code, status, {"request_id": case.id})


def refuse_signing(signing: Signing) -> Refused | None:
    """Return the refusal that a signing gives which is over or blocked, or None."""
    if signing.state not in CLOSED:
        return None
    code, status = CLOSED[signing.state]
    return Refused(code, status, {"signing_id": signing.id})


def unchanged(case: SignatureCase, answer: Answer | None = None) -> Moved:
    """Return a step that changes nothing."""
    return Step(case, (), answer)


def about_request(case: SignatureCase, what: str, **data: Json) -> Notify:
    """Return an event about the request."""
    return Notify(f"signature.{what}", {"request_id": case.id, "state": case.state, **data})


def about_signer(case: SignatureCase, signer: Signer, what: str, **data: Json) -> Notify:
    """Return an event about a signer."""
    return about_request(case, what, signer_id=signer.id, to=signer.to, **data)


def about_signing(case: SignatureCase, signing: Signing, what: str, **data: Json) -> Notify:
    """Return an event about a signing, as it stands in this value."""
    signer = case.signer_of(signing)
    more: dict[str, Json] = {
        "signing_id": signing.id,
        "document_id": signing.document,
        "signing_state": signing.state,
        **data,
    }
    return about_signer(case, signer, what, **more)


def told(signing: Signing) -> dict[str, Json]:
    """Return the counters of an answer about a signing."""
    return {
        "signing_id": signing.id,
        "attempts_remaining": attempts_remaining(signing),
        "sends_remaining": sends_remaining(signing),
        "next_send_at": signing.next_send_at,
    }


def attempts_remaining(signing: Signing) -> int:
    """Return how many wrong codes a signing still allows."""
    return max(0, ATTEMPTS - signing.attempts)


def sends_remaining(signing: Signing) -> int:
    """Return how many codes a signing may still be sent before a reset."""
    return max(0, SENDS - signing.sends)


def declared(case: SignatureCase) -> tuple[Effect, ...]:
    """Return the first entries of the evidence: the request, its documents and its people, as they were given."""
    request = Seal(
        "request.created",
        {
            "expires_at": case.expires_at,
            "order": "sequential" if case.sequential else "parallel",
            "documents": len(case.documents),
            "signers": len(case.signers),
            "brand": case.brand,
            "reference": case.reference,
        },
        stated=("brand", "reference"),
    )
    documents = [
        Seal(
            "document.declared",
            {"document": one.id, "name": one.name, "media_type": one.media_type, "sha256": one.sha256},
            stated=("name", "media_type", "sha256"),
        )
        for one in case.documents
    ]
    return (request, *documents, *(signer_declared(one, "signer.declared") for one in case.signers))


def signer_declared(signer: Signer, kind: str) -> Seal:
    """Return the entry about a person; the engine adds name, number and address, as commitments."""
    body: Mapping[str, Json] = {
        "signer": signer.id,
        "role": signer.role,
        "mode": signer.mode,
        "language": signer.language,
        "reference": signer.reference,
        "consent": {"version": signer.consent.version, "text": signer.consent.text, "sha256": signer.consent.sha256},
    }
    return Seal(kind, body, subject=signer.id, stated=("email", "name", "phone", "reference"))


def view(case: SignatureCase, now: int) -> dict[str, Json]:
    """Return what a GET shows; instants are microseconds. A time that is over shows as `expired`."""
    over = case.is_open and now >= case.expires_at
    return {
        "id": case.id,
        "state": RequestState.EXPIRED if over else case.state,
        "reference": case.reference,
        "order": "sequential" if case.sequential else "parallel",
        "created_at": case.created_at,
        "expires_at": case.expires_at,
        "final_at": case.final_at or None,
        "reason": case.reason,
        "documents": [
            {
                "id": one.id,
                "name": one.name,
                "media_type": one.media_type,
                "sha256": one.sha256,
                "uploaded": one.uploaded,
            }
            for one in case.documents
        ],
        "signers": [
            {
                "id": one.id,
                "reference": one.reference,
                "to": one.to,
                "language": one.language,
                "mode": one.mode,
                "role": one.role,
                "opted_out": one.opted_out,
                "consent_version": one.consent.version,
                "consent_text": one.consent.text,
            }
            for one in case.signers
        ],
        "signings": [view_signing(case, one, now) for one in case.signings],
    }


def view_signing(case: SignatureCase, signing: Signing, now: int) -> dict[str, Json]:
    """Return what a GET shows of a signing."""
    over = case.is_open and now >= case.expires_at and signing.is_open
    signer = case.signer_of(signing)
    may_sign = signing.is_open and not over and signing.state is not State.BLOCKED
    return {
        "id": signing.id,
        "signer_id": signing.signer,
        "document_id": signing.document,
        "state": State.EXPIRED if over else signing.state,
        "its_turn": case.is_open and not over and signer.role is not Role.COPY and case.may_act(signer),
        "generation": signing.generation,
        "code_expires_at": signing.code_until if signing.has_code(now) else None,
        "delivery": signing.delivery or None,
        "attempts_remaining": attempts_remaining(signing) if may_sign else 0,
        "sends_remaining": sends_remaining(signing) if may_sign else 0,
        "next_send_at": (signing.next_send_at or None) if may_sign else None,
        "resets_remaining": RESETS - signing.resets,
        "assurance": signing.door or None,
        "signed_at": signing.signed_at or None,
    }
