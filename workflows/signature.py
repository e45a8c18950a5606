"""Signing: one code, one signer, one document — typed on a page, or answered by SMS.

Pure: it never sees a code, a full number or a name, only verdicts and masks. `engine.cases` calls `start`, `spend`,
`step` and `view`, and nothing else does. A request is told of everything as one case, so that the order of signers
holds whatever the order of events; its signings each have a code, counters and a state of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from workflows.base import Answer, Arm, Audit, Canceled, CancelSends, Effect, Refused, Seal, Settled, Step, TimerFired
from workflows.signature_case import (
    DOCUMENTS_MOST,
    MOVES,
    SIGNERS_MOST,
    Door,
    Facts,
    Role,
    SignatureCase,
    Signing,
    State,
)
from workflows.signature_events import (
    EVENTS,
    CodeReplied,
    DeclineAsked,
    DocumentChanged,
    Event,
    ResetAsked,
    Said,
    SendAsked,
    SignAsked,
    SignerChanged,
    TextReplied,
)
from workflows.signature_replies import as_step, received, text_replied, wrong_code_help
from workflows.signature_sending import arm_reminder, counted, refuse_send, remind, send_code, settle, welcome
from workflows.signature_signing import Entry, Spent, cancel, check, decline, expire, reset, spend, unless_over
from workflows.signature_telling import (
    EXPIRY,
    REMINDER,
    Moved,
    about_request,
    declared,
    refuse_signing,
    signer_declared,
    told,
    unchanged,
    view,
)
from workflows.wording import problem_with

__all__ = ["EVENTS", "MOVES", "WORKFLOW", "Request", "Spent", "spend", "start", "step", "view"]

WORKFLOW: Final = "signature"


@dataclass(frozen=True, slots=True)
class Request:
    """What `POST /v1/signature-requests` asks for: the case without its signings, and an id for each of them."""

    case: SignatureCase
    signing_ids: Sequence[str]


def signings_needed(case: SignatureCase) -> int:
    """Return how many signings a request has: everybody who is no copy, times every document."""
    return sum(one.role is not Role.COPY for one in case.signers) * len(case.documents)


# Starting.


def start(request: Request, now: int) -> Moved | Refused:
    """Open a request: its signings are made, its people declared, and those whose turn it is are told."""
    case = request.case
    if refused := _refuse_request(case, now):
        return refused
    pairs = [
        (signer.id, document.id)
        for signer in case.signers
        if signer.role is not Role.COPY
        for document in case.documents
    ]
    signings = tuple(
        Signing(signing_id, signer, document)
        for signing_id, (signer, document) in zip(request.signing_ids, pairs, strict=True)
    )
    case = replace(case, signings=signings)
    made = [
        Seal("signing.created", {"signing": one.id, "signer": one.signer, "document": one.document}) for one in signings
    ]
    case, welcomed = welcome(case, now)
    effects: tuple[Effect, ...] = (
        *declared(case),
        *made,
        about_request(case, "created", expires_at=case.expires_at),
        Arm(EXPIRY, case.expires_at),
        *arm_reminder(case),
        *welcomed,
    )
    return Step(case, effects, Answer("created", 201, {"request_id": case.id}))


def _refuse_request(case: SignatureCase, now: int) -> Refused | None:
    if not 1 <= len(case.documents) <= DOCUMENTS_MOST or not 1 <= len(case.signers) <= SIGNERS_MOST:
        return Refused("invalid", 422, {"detail": "1 to 50 documents and 1 to 50 signers"})
    if all(one.role is Role.COPY for one in case.signers):
        return Refused("nobody_signs", 422)
    if case.expires_at <= now:
        return Refused("invalid", 422, {"detail": "expires_at has passed"})
    for name, values in (
        ("brand", [case.brand]),
        ("title", [one.name for one in case.documents]),
        ("link", [one.link for one in case.signers]),
        ("consent", [one.consent.text for one in case.signers]),
    ):
        for value in values:
            if problem := problem_with(name, value):
                return Refused("bad_text", 422, {"field": name, "problem": problem})
    return None


# Stepping.


def step(case: SignatureCase, event: Event, facts: Facts, now: int) -> Moved | Refused:
    """Return what an event does to a request; a repeated or outdated event does nothing."""
    match event:
        case Settled():
            return settle(case, event)
        case TimerFired(kind):
            return _tick(case, kind, now)
        case TextReplied():
            return _late_reply(case, event, facts, now) or text_replied(case, event, facts, now)
        case CodeReplied():
            return _code_replied(case, event, now)
        case SignAsked():
            entry = Entry(Door.PAGE, "", event.consent_at, event.ip, event.user_agent)
            return _at_signing(case, event.signing_id, lambda one: check(case, one, event.verdict, entry, now))
        case Canceled(reason):
            return unless_over(case, now) or cancel(case, reason, now)
        case SendAsked(signing_id):
            return unless_over(case, now) or _at_signing(
                case, signing_id, lambda one: refuse_signing(one) or _send(case, one, facts, now)
            )
        case DeclineAsked(signing_id, reason):
            return unless_over(case, now) or _at_signing(case, signing_id, lambda one: _decline(case, one, reason, now))
        case ResetAsked(signing_id, reason):
            return unless_over(case, now) or _at_signing(
                case, signing_id, lambda one: _audited(reset(case, one, reason), one, reason)
            )
        case SignerChanged():
            return unless_over(case, now) or _change_signer(case, event, now)
        case DocumentChanged():
            return unless_over(case, now) or _change_document(case, event)


def _late_reply(case: SignatureCase, event: TextReplied, facts: Facts, now: int) -> Moved | None:
    """Return what a reply does to a request whose time is over before its timer fired: it ends, with an answer."""
    if not case.is_open or now < case.expires_at:
        return None
    ended = expire(case, now)
    signings = ended.case.signings_of(event.signer_id)
    late = event
    if event.said is not Said.STOP and signings:
        late = replace(event, said=Said.TOO_LATE, signing_id=event.signing_id or signings[0].id)
    told = text_replied(ended.case, late, facts, now)
    return replace(told, effects=(*ended.effects, *told.effects))


def _at_signing(case: SignatureCase, signing_id: str, then: Callable[[Signing], Moved | Refused]) -> Moved | Refused:
    signing = case.signing(signing_id)
    return Refused("not_found", 404) if signing is None else then(signing)


def _send(case: SignatureCase, signing: Signing, facts: Facts, now: int) -> Moved | Refused:
    if refused := refuse_send(case, signing, facts.day, now):
        return refused
    case, sent, effects = send_code(case, signing, now)
    return Step(case, effects, Answer("sent", 200, told(sent)), day=counted(sent, facts.day, now))


def _decline(case: SignatureCase, signing: Signing, reason: str, now: int) -> Moved | Refused:
    signer = case.signer_of(signing)
    if signing.state is not State.BLOCKED and (refused := refuse_signing(signing)):
        return refused
    if not case.may_act(signer):
        return Refused("not_their_turn", 409, {"signing_id": signing.id})
    return decline(case, signing, reason, now)


def _audited(decided: Moved | Refused, signing: Signing, reason: str) -> Moved | Refused:
    if isinstance(decided, Refused):
        return decided
    audit = Audit("signature.reset", {"signing_id": signing.id, "reason": reason})
    return replace(decided, effects=(audit, *decided.effects))


def _tick(case: SignatureCase, kind: str, now: int) -> Moved:
    if not case.is_open:
        return unchanged(case)
    if kind == EXPIRY:
        return expire(case, now) if now >= case.expires_at else Step(case, (Arm(EXPIRY, case.expires_at),))
    if kind == REMINDER and now < case.expires_at and case.reminded < len(case.reminders_s):
        return remind(case, now)
    return unchanged(case)


def _code_replied(case: SignatureCase, event: CodeReplied, now: int) -> Moved:
    signing = case.signing(event.signing_id)
    if signing is None:
        return unchanged(case)
    signer = case.signer_of(signing)
    entry = Entry(Door.SMS, event.reply_id)
    decided = as_step(check(case, signing, event.verdict, entry, now), case)
    notice = received(case, signer, event.reply_id, f"code_{event.verdict}")
    moved, answered = decided.case, tuple[Effect, ...]()
    if decided.answer is not None and decided.answer.code == "code_mismatch" and not event.answered:
        now_signer = moved.signer(signer.id)
        assert now_signer is not None
        moved, answered = wrong_code_help(moved, now_signer, now)
    return replace(decided, case=moved, effects=(notice, *decided.effects, *answered), answer=None)


# Changing what is signed, and by whom.


def _voided(signings: Sequence[Signing]) -> tuple[list[Signing], tuple[str, ...]]:
    """Return signings whose pending codes are void, and the roles of the messages that carry these."""
    pending = [one for one in signings if one.state is State.OTP_SENT]
    roles = tuple(role for one in pending for role in one.messages)
    # The life of the code ends here; the next one is of another generation.
    return [one.moved(State.NOTIFIED, code_until=0) for one in pending], roles


def _change_signer(case: SignatureCase, event: SignerChanged, now: int) -> Moved | Refused:
    signer = case.signer(event.signer_id)
    if signer is None:
        return Refused("not_found", 404)
    mine = case.signings_of(signer.id)
    if mine and not any(one.is_open for one in mine):
        return Refused("signer_done", 409, {"signer_id": signer.id})
    voided, roles = _voided(mine)
    changed = replace(signer, to=event.to, opted_out=False, auto_replies=0, auto_replies_since=0)
    case = case.with_signer(changed).with_signing(*voided)
    if event.to != signer.to:
        # What was sent to another number has reached nobody here; the day's codes of this one are counted apart.
        fresh = [replace(one, sends=0, next_send_at=0) for one in case.signings_of(signer.id) if one.is_open]
        case = case.with_signing(*fresh)
    case, welcomed = welcome(case, now, anew=signer.id)
    effects: tuple[Effect, ...] = (
        Audit("signature.signer_changed", {"signer_id": signer.id}),
        signer_declared(changed, "signer.changed"),
        CancelSends(roles=roles),
        *welcomed,
    )
    return Step(case, effects, Answer("changed", 200, {"signer_id": signer.id}))


def _change_document(case: SignatureCase, event: DocumentChanged) -> Moved | Refused:
    document = case.document(event.document_id)
    if document is None:
        return Refused("not_found", 404)
    of_it = [one for one in case.signings if one.document == document.id]
    same = document.sha256 == event.sha256
    if not same and any(one.state is State.SIGNED for one in of_it):
        # What somebody signed is what it is; another document is another request.
        return Refused("document_signed", 409, {"document_id": document.id})
    changed = replace(
        document, sha256=event.sha256, uploaded=event.uploaded or (document.uploaded and same),
        size=event.size or (document.size if same else 0),
    )  # fmt: skip
    case = replace(case, documents=tuple(changed if one.id == changed.id else one for one in case.documents))
    voided, roles = ([], ()) if same else _voided(of_it)
    case = case.with_signing(*voided)
    kind = "document.uploaded" if event.uploaded else "document.changed"
    body = {"document": document.id, "sha256": event.sha256, "before": document.sha256}
    sealed = Seal(
        kind, body | ({"size": event.size} if event.uploaded else {}), stated=() if event.uploaded else ("sha256",)
    )
    effects: tuple[Effect, ...] = (sealed, *((CancelSends(roles=roles),) if roles else ()))
    return Step(case, effects, Answer("changed", 200, {"document_id": document.id}))
