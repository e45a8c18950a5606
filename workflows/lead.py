"""Lead qualification: a number that is proven, questions asked by SMS one at a time, and a score whose every point has
its cause.

Pure: it never sees a code, a full number or a field of a form, only verdicts and what `engine.cases` matched. Without
consent a lead gets its code and nothing else; unverified ones are cold, whatever they scored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from workflows.base import (
    Answer,
    Arm,
    Canceled,
    CancelSends,
    Checked,
    Disarm,
    Effect,
    Finish,
    Outcome,
    Refused,
    Resent,
    Send,
    Settled,
    Step,
    TimerFired,
    Verdict,
)
from workflows.courtesy import one_more
from workflows.lead_answers import points_of
from workflows.lead_case import (
    ATTEMPTS,
    CODE_LIFE_US,
    COOLDOWN_US,
    DAY_SENDS,
    MOVES,
    PROOF_LIFE_US,
    SENDS,
    LeadCase,
    Proof,
    State,
)
from workflows.lead_dormancy import dormant_at
from workflows.lead_model import FIT, OURS, SILENCE, Rule
from workflows.lead_nurturing import begin, broken, fall_silent, heard, nurture, wake, watched
from workflows.lead_scoring import classed, with_level, with_points
from workflows.lead_sending import NOTICE_LIFE_US, Facts, Marketing, in_language, text_to
from workflows.lead_telling import (
    DORMANCY,
    EVENTS,
    EXPIRY,
    NURTURE,
    UNANSWERED,
    Moved,
    about,
    done,
    refuse_over,
    scored,
    told,
    view,
)
from workflows.reply_words import Meaning, meaning_of

__all__ = [
    "EVENTS",
    "MOVES",
    "WORKFLOW",
    "Facts",
    "Marketing",
    "Remodeled",
    "Spent",
    "dormant_at",
    "spend",
    "start",
    "step",
    "view",
]

WORKFLOW: Final = "lead"


@dataclass(frozen=True, slots=True)
class Replied:
    """The lead answered by SMS."""

    reply_id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stopped:
    """The lead answered STOP."""

    reply_id: str


@dataclass(frozen=True, slots=True)
class Happened:
    """Something happened outside, which the caller tells: `name` is one of the model's events."""

    event_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Remodeled:
    """The lead's model may say something else of dormancy than when its timer was armed."""


Event: TypeAlias = Settled | TimerFired | Canceled | Checked | Resent | Replied | Stopped | Happened | Remodeled


@dataclass(frozen=True, slots=True)
class Spent:
    """An attempt is taken: store the lead, then compare and step from it."""

    case: LeadCase


# Starting.


def start(case: LeadCase, fields: Sequence[tuple[str, str]], facts: Facts, now: int) -> Moved | Refused:
    """Open a lead: its form's fields are scored, and the proof of its number is asked for."""
    if facts.day.at(now).sends >= DAY_SENDS:
        return Refused("day_limit", 429, {"next_send_at": facts.day.at(now).ends_at})
    case = replace(case, expires_at=now + PROOF_LIFE_US)
    for name, value in fields:
        for rule in facts.model.fields:
            if rule.name == name and rule.value in ("", value):
                case = with_points(case, rule.axis, rule.points, f"field:{name}", rule.value or "given", now)
    case = classed(case, facts.model)
    created = about(case, "created", proof=case.proof)
    case, sent = _ask_proof(case, facts, now)
    effects: tuple[Effect, ...] = (created, Arm(EXPIRY, case.expires_at), *sent)
    return Step(case, effects, Answer("created", 201, {"lead_id": case.id}), day=facts.day.at(now).sent())


def _ask_proof(case: LeadCase, facts: Facts, now: int) -> tuple[LeadCase, tuple[Effect, ...]]:
    """Send the code, the same within its life; or ask for a yes."""
    by_code = case.proof is Proof.CODE
    if by_code and not case.has_code(now):
        case = replace(case, generation=case.generation + 1, code_until=now + CODE_LIFE_US)
    case = replace(case, sends=case.sends + 1, next_send_at=now + COOLDOWN_US, delivery="")
    role = f"proof:{case.sends}"
    if by_code:
        text = text_to(case, facts, role, "code", case.code_until, message_class="otp", slots=("code",))
    else:
        text = text_to(case, facts, role, "confirm", now + NOTICE_LIFE_US)
    return case, (text,)


# Proving the number.


def spend(case: LeadCase, now: int) -> Spent | Refused:
    """Take an attempt for a check, or say why it is none."""
    if refused := refuse_over(case):
        return refused
    if case.state is State.OPEN:
        return Refused("already_verified", 409, told(case))
    if case.proof is not Proof.CODE:
        return Refused("proven_by_reply", 409, told(case))
    if now >= case.code_until:
        return Refused("code_expired", 410, told(case))
    return Spent(replace(case, attempts=case.attempts + 1))


def _check(case: LeadCase, verdict: Verdict, facts: Facts, now: int) -> Moved:
    if verdict is Verdict.RIGHT:
        return _verified(case, "code", "", facts, now)
    if verdict is not Verdict.WRONG:
        given_back = replace(case, attempts=max(0, case.attempts - 1))
        code = "superseded" if verdict is Verdict.SUPERSEDED else "bad_format"
        return Step(given_back, (), Answer(code, 422, told(given_back)))
    remaining = max(0, ATTEMPTS - case.attempts)
    failed = about(case, "check_failed", attempts_remaining=remaining)
    if remaining:
        return Step(case, (failed,), Answer("code_mismatch", 422, told(case)))
    closed = _close(case, "max_attempts", now)
    return replace(closed, effects=(failed, *closed.effects), answer=Answer("code_mismatch", 422, told(case)))


def _verified(case: LeadCase, by: str, reply_id: str, facts: Facts, now: int) -> Moved:
    before = case
    case = classed(case.moved(State.OPEN, verified_at=now, code_until=0, heard_at=now), facts.model)
    verified = about(case, "verified", to=case.to, by=by, reply_id=reply_id or None)
    effects: tuple[Effect, ...] = (CancelSends(), Disarm(EXPIRY), verified, *scored(before, case, facts.model, now))
    case, asked = _next(case, facts, now)
    return done(case, (*effects, *asked), "verified")


# Stepping.


def step(case: LeadCase, event: Event, facts: Facts, now: int) -> Moved | Refused:
    """Return what an event does to a lead; a repeated or outdated event does nothing."""
    decided = _stepped(case, event, facts, now)
    if isinstance(decided, Refused):
        return decided
    return watched(case, decided, facts.model, anew=isinstance(event, Remodeled))


def _stepped(case: LeadCase, event: Event, facts: Facts, now: int) -> Moved | Refused:
    match event:
        case Settled():
            return _settled(case, event)
        case TimerFired(kind):
            return _tick(case, kind, facts, now)
        case Checked(verdict):
            return _check(case, verdict, facts, now)
        case Resent():
            return refuse_over(case) or _resend(case, facts, now)
        case Replied():
            return Step(case) if case.is_over else _replied(case, event, facts, now)
        case Stopped():
            return Step(case) if case.is_over else _close(case, "opted_out", now)
        case Happened():
            return refuse_over(case) or _happened(case, event, facts, now)
        case Canceled(reason):
            return refuse_over(case) or _close(case, reason, now)
        case Remodeled():
            return Step(case)
        case _:
            raise AssertionError("an event of no kind that a lead knows")


def _settled(case: LeadCase, event: Settled) -> Moved:
    if not event.role.startswith("proof:") or case.delivery == Outcome.DELIVERED:
        return Step(case)
    return Step(replace(case, delivery=str(event.outcome)))


def _resend(case: LeadCase, facts: Facts, now: int) -> Moved | Refused:
    if case.state is State.OPEN:
        return Refused("already_verified", 409, told(case))
    if case.sends >= SENDS:
        return Refused("max_sends", 429, told(case))
    if facts.day.at(now).sends >= DAY_SENDS:
        return Refused("day_limit", 429, {**told(case), "next_send_at": facts.day.at(now).ends_at})
    if now < case.next_send_at:
        return Refused("cooldown", 429, {**told(case), "next_send_at": case.next_send_at})
    case, sent = _ask_proof(case, facts, now)
    return replace(done(case, sent, "resent"), day=facts.day.at(now).sent())


def _close(case: LeadCase, reason: str, now: int) -> Moved:
    closed = case.moved(
        State.CLOSED, reason=reason, final_at=now, asked="", sequence="", reengaging=False, code_until=0
    )
    return done(closed, (CancelSends(), about(closed, "closed", reason=reason), Finish(State.CLOSED)), "closed")


def _tick(case: LeadCase, kind: str, facts: Facts, now: int) -> Moved:
    if case.is_over:
        return Step(case)
    if kind == EXPIRY and case.state is State.UNVERIFIED:
        return (
            _close(case, "unverified", now) if now >= case.expires_at else Step(case, (Arm(EXPIRY, case.expires_at),))
        )
    if case.state is State.UNVERIFIED:
        return Step(case)
    if kind == DORMANCY:
        return wake(case, facts, now)
    if kind == UNANSWERED:
        return fall_silent(case, facts, now)
    return nurture(case, facts, now) if kind == NURTURE else Step(case)


# Asking.


def _next(case: LeadCase, facts: Facts, now: int) -> tuple[LeadCase, tuple[Effect, ...]]:
    """Ask the next question, at any hour, since the lead has just been heard; after the last, let a sequence begin."""
    if not case.consented or not case.replies:
        return case, ()
    open_ones = [one for one in facts.model.questions if one.id not in case.answered]
    if not open_ones or case.questions_over:
        return _questions_over(case, facts, now)
    question = open_ones[0]
    case = replace(case, asked=question.id, asked_at=now, asked_again=False, silent=False)
    asked = about(case, "question_asked", question=question.id)
    return case, (_question(case, facts, "question", question.text, now), asked)


def _question(case: LeadCase, facts: Facts, step: str, text: Mapping[str, str], now: int) -> Send:
    return text_to(
        case, facts, f"{step}:{case.asked}", step, now + NOTICE_LIFE_US, question=in_language(text, case.language)
    )


def _questions_over(case: LeadCase, facts: Facts, now: int) -> tuple[LeadCase, tuple[Effect, ...]]:
    thanks: tuple[Effect, ...] = ()
    if case.answered and not case.questions_over:
        thanks = (text_to(case, facts, "thanks", "thanks", now + NOTICE_LIFE_US),)
    case = replace(case, asked="", silent=False, questions_over=True)
    if case.stage == "qualified" or case.sequence:
        return case, thanks
    case, begun = begin(case, SILENCE, facts, now)
    return case, (*thanks, *begun)


def _replied(case: LeadCase, event: Replied, facts: Facts, now: int) -> Moved:
    case, ended = heard(case, now)
    if case.state is State.UNVERIFIED:
        said_yes = case.proof is Proof.REPLY and meaning_of(event.text) is Meaning.YES
        return _verified(case, "reply", event.reply_id, facts, now) if said_yes else Step(case)
    case, spoken = broken(case, facts)
    ended += spoken
    question = facts.model.question(case.asked)
    if question is None:
        # Whoever answers without being asked is heard by people from here on.
        replied = about(case, "replied", reply_id=event.reply_id)
        return Step(replace(case, sequence=""), (*(ended or (Disarm(NURTURE),)), replied))
    points = points_of(question, event.text)
    if points is None:
        again = _not_understood(case, facts, now)
        return replace(again, effects=(*ended, *again.effects))
    before = case
    score = with_points if question.axis == FIT else with_level
    case = score(case, question.axis, points, event.reply_id, question.id, now)
    case = classed(replace(case, asked="", answered=(*case.answered, question.id)), facts.model)
    answered = about(case, "answered", question=question.id, reply_id=event.reply_id, points=points)
    effects: tuple[Effect, ...] = (*ended, answered, *scored(before, case, facts.model, now))
    case, asked = _next(case, facts, now)
    return Step(case, (*effects, *asked))


def _not_understood(case: LeadCase, facts: Facts, now: int) -> Moved:
    """Ask once more; then end politely. Two machines that answer each other fall silent at the cap."""
    counters = one_more(case.auto_replies, case.auto_replies_since, now)
    if counters is None:
        return Step(case)
    count, since = counters
    case = replace(case, auto_replies=count, auto_replies_since=since)
    question = facts.model.question(case.asked)
    if question is not None and not case.asked_again:
        again = _question(case, facts, "again", question.text, now)
        return Step(replace(case, asked_at=now, asked_again=True, silent=False), (again,))
    case = replace(case, asked="", silent=False, questions_over=True)
    bye = text_to(case, facts, "bye", "bye", now + NOTICE_LIFE_US)
    case, begun = begin(case, SILENCE, facts, now)
    return Step(case, (bye, *begun))


# What happens outside, and what follows.


def _happened(case: LeadCase, event: Happened, facts: Facts, now: int) -> Moved | Refused:
    rules: list[Rule] = [one for one in facts.model.events if one.name == event.name]
    sequence = None if event.name in OURS else facts.model.triggered(event.name)
    if not rules and sequence is None:
        return Refused("event_unknown", 422, {"lead_id": case.id})
    case, ended = heard(case, now)
    before = case
    for rule in rules:
        case = with_points(case, rule.axis, rule.points, event.event_id, event.name, now)
    case = classed(case, facts.model)
    effects = (*ended, *scored(before, case, facts.model, now))
    if sequence is not None and case.state is State.OPEN and case.consented:
        case, begun = begin(case, event.name, facts, now)
        effects += begun
    return done(case, effects, "noted")
