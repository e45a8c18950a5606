"""The messages of a signature request: invitations, reminders, codes, answers to replies, and what becomes of codes.

Pure. Whether a code may be sent now is decided here too, for every door: the platform's call, a reply, a start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from workflows.base import SECOND, Arm, Effect, Json, Outcome, Param, Refused, Send, Settled, Step
from workflows.courtesy import one_more
from workflows.signature_case import (
    CODE_LIFE_US,
    COOLDOWN_S,
    DAY_SENDS,
    SENDS,
    Document,
    Mode,
    RequestState,
    SignatureCase,
    Signer,
    Signing,
    State,
)
from workflows.signature_telling import REMINDER, Moved, about_signing, told, unchanged
from workflows.window import Day
from workflows.wording import life_text

_CODE_CLASS: Final = "signature_code"
_NOTICE_CLASS: Final = "transactional"
_ANSWER_CLASS: Final = "auto_reply"
_NOTICE_LIFE_US: Final = 86_400 * SECOND
_ANSWER_LIFE_US: Final = 3_600 * SECOND
_SHORTEST_LIFE_US: Final = 120 * SECOND
_CODE_ROLE: Final = "code"

# Codes.


def refuse_send(case: SignatureCase, signing: Signing, day: Day, now: int) -> Refused | None:
    """Return why the code of a signing may not be sent now, or None; a first code of a document is not of the day's."""
    signer = case.signer_of(signing)
    if not case.may_act(signer):
        return Refused("not_their_turn", 409, {"signing_id": signing.id})
    if signing.sends >= SENDS:
        return Refused("max_sends", 429, told(signing))
    if signing.messages and day.at(now).sends >= DAY_SENDS:
        return Refused("day_limit", 429, {**told(signing), "next_send_at": day.at(now).ends_at})
    if now < signing.next_send_at:
        return Refused("cooldown", 429, told(signing))
    return None


def send_code(case: SignatureCase, signing: Signing, now: int) -> tuple[SignatureCase, Signing, tuple[Effect, ...]]:
    """Send the code of a signing, and count it: the same one within its life, unless little is left, else a new one."""
    signer, document = case.signer_of(signing), case.document_of(signing)
    keeps = signing.has_code(now) and signing.code_until - now >= _SHORTEST_LIFE_US
    until = signing.code_until if keeps else min(now + CODE_LIFE_US, case.expires_at)
    generation = signing.generation + (not keeps)
    role = f"{_CODE_ROLE}:{signing.id}:{len(signing.messages) + 1}:{generation}"
    sent = signing.moved(
        State.OTP_SENT,
        generation=generation,
        code_until=until,
        sends=signing.sends + 1,
        next_send_at=now + COOLDOWN_S[min(signing.sends, len(COOLDOWN_S) - 1)] * SECOND,
        messages=(*signing.messages, role),
    )
    text = Send(
        role=role,
        step="code_reply" if signer.mode is Mode.REPLY else "code",
        language=signer.language,
        message_class=_CODE_CLASS,
        generation=sent.generation,
        expires_at=until,
        params=_code_params(case, signer, document, until - now),
        slots=("code",),
        recipient=signer.id,
        code_of=signing.id,
    )
    return case.with_signing(sent), sent, (text,)


def _code_params(case: SignatureCase, signer: Signer, document: Document, life_us: int) -> dict[str, Param]:
    params: dict[str, Param] = {
        "brand": case.brand,
        "title": document.name,
        "short_hash": document.short_hash,
        "life": life_text(life_us // SECOND),
        "link": signer.link,
    }
    return params | ({"consent": signer.consent.text} if signer.mode is Mode.REPLY else {})


def counted(signing: Signing, day: Day, now: int) -> Day | None:
    """Return the day's count after a code of this signing was sent: resends count, the first code of it does not."""
    return day.at(now).sent() if len(signing.messages) > 1 else None


def settle(case: SignatureCase, event: Settled) -> Moved:
    """Note how far the message with a code has come; only the latest one counts."""
    kind, _, rest = event.role.partition(":")
    signing = case.signing(rest.partition(":")[0]) if kind == _CODE_ROLE else None
    if signing is None or event.role not in signing.messages:
        return unchanged(case)
    effects: tuple[Effect, ...] = ()
    if event.outcome is Outcome.ACCEPTED:
        place = signing.messages.index(event.role) + 1
        _, _, generation = rest.partition(":")[2].partition(":")
        carried = int(generation or signing.generation)  # requests begun by an earlier version name none
        effects = (about_signing(case, signing, "otp_sent", generation=carried, send=place),)
    if event.role != signing.messages[-1] or signing.delivery == Outcome.DELIVERED:
        return Step(case, effects)
    return Step(case.with_signing(replace(signing, delivery=str(event.outcome))), effects)


# Notices.


def welcome(case: SignatureCase, now: int, anew: str = "") -> tuple[SignatureCase, tuple[Effect, ...]]:
    """Tell everybody whose turn has come that something waits: by a code at once if so ordered, else by a link.

    `anew` is a signer who is told again, since the first message went to another number.
    """
    effects: list[Effect] = []
    for signer in case.signers:
        untold = {State.CREATED, State.NOTIFIED} if signer.id == anew else {State.CREATED}
        fresh = [one for one in case.signings_of(signer.id) if one.state in untold]
        if not fresh or not case.may_act(signer):
            continue
        if case.auto_send:
            for signing in fresh:
                if signing.sends < SENDS:
                    case, _, sent = send_code(case, signing, now)
                    effects += sent
            continue
        case, invited = invite(case, signer, "invitation", now)
        effects += invited
    return case, tuple(effects)


def invite(case: SignatureCase, signer: Signer, step: str, now: int) -> tuple[SignatureCase, tuple[Effect, ...]]:
    """Send an invitation or a reminder to a signer, for all that they have to sign."""
    open_ones = [one for one in case.signings_of(signer.id) if one.is_open]
    named = case.document_of(open_ones[0])
    noticed = replace(signer, notices=signer.notices + 1)
    case = case.with_signer(noticed)
    case = case.with_signing(*(one.moved(State.NOTIFIED) for one in open_ones if one.state is State.CREATED))
    text = _notice(noticed, step, noticed.notices, now, case, title=named.name, count=str(len(open_ones)))
    return case, (text,)


def remind(case: SignatureCase, now: int) -> Moved:
    """Remind everybody whose turn it is and who has not answered STOP; arm the next reminder."""
    reminded = replace(case, reminded=case.reminded + 1)
    effects: list[Effect] = []
    for signer in case.signers:
        waits = any(one.is_open and one.state is not State.BLOCKED for one in reminded.signings_of(signer.id))
        if waits and not signer.opted_out and reminded.may_act(signer):
            reminded, sent = invite(reminded, signer, "reminder", now)
            effects += sent
    return Step(reminded, (*effects, *arm_reminder(reminded)))


def arm_reminder(case: SignatureCase) -> tuple[Effect, ...]:
    """Return the timer of the next reminder, if there is one before the end."""
    if case.reminded >= len(case.reminders_s):
        return ()
    at = case.created_at + case.reminders_s[case.reminded] * SECOND
    return (Arm(REMINDER, at),) if at < case.expires_at else ()


def tell_all(case: SignatureCase, now: int) -> tuple[Effect, ...]:
    """Tell signers, approvers and copies that everybody has signed."""
    assert case.state is RequestState.COMPLETED
    named = case.documents[0]
    return tuple(
        _notice(signer, "countersigned", 0, now, case, title=named.name, count=str(len(case.documents)))
        for signer in case.signers
        if not signer.opted_out
    )


def confirm(case: SignatureCase, signing: Signing, now: int) -> Effect:
    """Confirm a signature that came by SMS: its receipt is evidence."""
    signer, document = case.signer_of(signing), case.document_of(signing)
    return Send(
        role=f"confirm:{signing.id}",
        step="signed",
        language=signer.language,
        message_class=_ANSWER_CLASS,
        generation=0,
        expires_at=now + _NOTICE_LIFE_US,
        params={"brand": case.brand, "title": document.name, "short_hash": document.short_hash},
        recipient=signer.id,
    )


def answer_reply(case: SignatureCase, signer: Signer, step: str, now: int) -> tuple[SignatureCase, tuple[Effect, ...]]:
    """Answer a reply by one message, unless this signer has had too many within the hour."""
    counters = one_more(signer.auto_replies, signer.auto_replies_since, now)
    if counters is None:
        return case, ()
    count, since = counters
    answered = replace(signer, auto_replies=count, auto_replies_since=since)
    text = Send(
        role=f"answer:{signer.id}:{now}",
        step=step,
        language=signer.language,
        message_class=_ANSWER_CLASS,
        generation=0,
        expires_at=now + _ANSWER_LIFE_US,
        params={"brand": case.brand, "link": signer.link},
        recipient=signer.id,
    )
    return case.with_signer(answered), (text,)


def _notice(signer: Signer, step: str, number: int, now: int, case: SignatureCase, **params: Json) -> Send:
    values: dict[str, Param] = {"brand": case.brand, "link": signer.link, "reply": signer.mode is Mode.REPLY}
    values |= {name: value for name, value in params.items() if isinstance(value, str)}
    return Send(
        role=f"{step}:{signer.id}:{number}",
        step=step,
        language=signer.language,
        message_class=_NOTICE_CLASS,
        generation=0,
        expires_at=max(now + SECOND, min(now + _NOTICE_LIFE_US, case.expires_at))
        if case.is_open
        else now + _NOTICE_LIFE_US,
        params=values,
        recipient=signer.id,
    )
