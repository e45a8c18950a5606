"""What a signer's SMS does to a signature request (verification-behaviours 2.7): it signs, begins, declines, or gets
one courteous answer.

Pure. `engine.cases` has read the text and compared its numbers with the pending codes of the pair; STOP went before.
"""

from __future__ import annotations

from dataclasses import replace

from workflows.base import Effect, Refused, Seal, Step
from workflows.signature_case import Facts, Mode, Role, SignatureCase, Signer, State
from workflows.signature_events import Said, TextReplied
from workflows.signature_sending import answer_reply, counted, refuse_send, send_code
from workflows.signature_signing import decline
from workflows.signature_telling import Moved, about_signer, unchanged


def text_replied(case: SignatureCase, event: TextReplied, facts: Facts, now: int) -> Moved:
    """Return what a reply does that brought no code to compare."""
    signer = case.signer(event.signer_id)
    if signer is None or signer.role is Role.COPY:
        return unchanged(case)
    match event.said:
        case Said.STOP:
            return _stop(case, signer, event)
        case Said.RESUME:
            return _resume(case, signer, event)
        case Said.SEVERAL_CODES | Said.CODE_AND_REFUSAL:
            return _ambiguous(case, signer, event, str(event.said), now)
        case Said.TOO_LATE:
            return _too_late(case, signer, event, now)
        case Said.BLOCKED:
            return _helped(case, signer, event, "help_blocked", now)
        case Said.REFUSAL:
            return _refusal(case, signer, event, facts, now)
        case Said.NOT_BY_SMS:
            return _helped(case, signer, event, "help_page", now)
        case Said.EXPIRED_CODE:
            return _begin(case, signer, event, facts, now, [event.signing_id])
        case Said.START:
            waiting = [one.id for one in case.signings_of(signer.id) if one.is_open]
            return _begin(case, signer, event, facts, now, waiting)


def received(case: SignatureCase, signer: Signer, reply_id: str, meaning: str) -> Effect:
    """Return the event that tells the platform of an answer."""
    return about_signer(case, signer, "reply_received", reply_id=reply_id, meaning=meaning)


def _stop(case: SignatureCase, signer: Signer, event: TextReplied) -> Moved:
    if signer.opted_out:
        return unchanged(case)
    case = case.with_signer(replace(signer, opted_out=True))
    sealed = Seal("opt_out.recorded", {"signer": signer.id, "reply": event.reply_id})
    return Step(case, (sealed, about_signer(case, signer, "opted_out")))


def _resume(case: SignatureCase, signer: Signer, event: TextReplied) -> Moved:
    """Have reminders go on: each waits for its own timer."""
    if not signer.opted_out:
        return unchanged(case)
    case = case.with_signer(replace(signer, opted_out=False))
    return Step(case, (Seal("opt_out.revoked", {"signer": signer.id, "reply": event.reply_id}),))


def _ambiguous(case: SignatureCase, signer: Signer, event: TextReplied, reason: str, now: int) -> Moved:
    case, answered = answer_reply(case, signer, "help_ambiguous", now)
    notice = about_signer(case, signer, "reply_ambiguous", reply_id=event.reply_id, reason=reason)
    return Step(case, (notice, *answered))


def _helped(case: SignatureCase, signer: Signer, event: TextReplied, step: str, now: int) -> Moved:
    notice = received(case, signer, event.reply_id, str(event.said))
    case, answered = answer_reply(case, signer, step, now)
    return Step(case, (notice, *answered))


def _too_late(case: SignatureCase, signer: Signer, event: TextReplied, now: int) -> Moved:
    """One answer for each signing that is over, never a signature."""
    signing = case.signing(event.signing_id)
    notice = received(case, signer, event.reply_id, str(event.said))
    if signing is None or signing.told_late:
        return Step(case, (notice,))
    case = case.with_signing(replace(signing, told_late=True))
    step = "already_signed" if signing.state is State.SIGNED else "too_late"
    case, answered = answer_reply(case, signer, step, now)
    return Step(case, (notice, *answered))


def _refusal(case: SignatureCase, signer: Signer, event: TextReplied, facts: Facts, now: int) -> Moved:
    """A bare refusal declines only if it can be meant for one signing alone."""
    waiting = [one for one in case.signings_of(signer.id) if one.is_open]
    if signer.mode is not Mode.REPLY:
        return _helped(case, signer, event, "help_page", now)
    if facts.pending_of_pair != 1 or len(waiting) != 1 or not case.may_act(signer):
        return _ambiguous(case, signer, event, "several_pending", now)
    notice = received(case, signer, event.reply_id, str(event.said))
    declined = decline(case, waiting[0], "reply", now, reply_id=event.reply_id)
    return replace(declined, effects=(notice, *declined.effects), answer=None)


def _begin(
    case: SignatureCase, signer: Signer, event: TextReplied, facts: Facts, now: int, signings: list[str]
) -> Moved:
    """Send the codes that a start word, a bare yes, or a right code after its life asks for."""
    if signer.mode is not Mode.REPLY:
        return _helped(case, signer, event, "help_page", now)
    effects: list[Effect] = [received(case, signer, event.reply_id, str(event.said))]
    day, sent_any, refused = facts.day, False, ""
    for signing_id in signings:
        signing = case.signing(signing_id)
        if signing is None or not signing.is_open or signing.has_code(now) or signing.state is State.BLOCKED:
            continue
        if no := refuse_send(case, signing, day, now):
            refused = no.code
            continue
        case, sent, texts = send_code(case, signing, now)
        day = counted(sent, day, now) or day
        effects += texts
        sent_any = True
    moved_day = day if day is not facts.day else None
    if not sent_any and any(one.has_code(now) for one in case.signings_of(signer.id)):
        case, answered = answer_reply(case, signer, "help_code", now)
        effects += answered
    elif not sent_any and not refused and any(one.state is State.BLOCKED for one in case.signings_of(signer.id)):
        case, answered = answer_reply(case, signer, "help_blocked", now)
        effects += answered
    elif not sent_any and refused:
        case, answered = answer_reply(case, signer, "help_wait", now)
        effects += answered
    return Step(case, tuple(effects), day=moved_day)


def wrong_code_help(case: SignatureCase, signer: Signer, now: int) -> tuple[SignatureCase, tuple[Effect, ...]]:
    """Answer a code that is none of the pending ones."""
    return answer_reply(case, signer, "help_wrong", now)


def as_step(decided: Moved | Refused, case: SignatureCase) -> Moved:
    """Return a refusal as a step that changes nothing: nobody waits for its answer."""
    return unchanged(case) if isinstance(decided, Refused) else decided
