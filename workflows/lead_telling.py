"""What a lead tells of itself: the table of its events, refusals, and the view of a GET.

Pure, and without a decision of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from workflows.base import Answer, Effect, Json, Notify, Refused, Step
from workflows.lead_case import ATTEMPTS, SENDS, LeadCase, State
from workflows.lead_dormancy import dormant_at
from workflows.lead_model import AXES, FIT, INTENT, Model
from workflows.lead_scoring import axis, intent, total

Moved: TypeAlias = Step[LeadCase]

EXPIRY: Final = "expiry"
NURTURE: Final = "nurture"
DORMANCY: Final = "dormancy"
UNANSWERED: Final = "unanswered"

_LEAD: Final = {
    "lead_id": "the lead",
    "state": "unverified, open or closed, after this event",
    "stage": "cold, warm or qualified",
    "label": "hot, warm, marketing_qualified, nurture or dropped",
    "reference": "the caller's own reference, or null",
    "form": "the form",
    "source": "where the lead came from",
}
EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "lead.created": ("A lead came; the proof of its number is asked for.", {**_LEAD, "proof": "code or reply"}),
    "lead.check_failed": ("A wrong code was entered.", {**_LEAD, "attempts_remaining": "wrong codes still allowed"}),
    "lead.verified": (
        "The lead's number is proven.",
        {**_LEAD, "to": "the number, masked", "by": "code, or reply: they answered yes by SMS", "reply_id": "that SMS"},
    ),
    "lead.question_asked": ("A question was sent by SMS.", {**_LEAD, "question": "its id in the model"}),
    "lead.answered": (
        "A question was answered by SMS.",
        {**_LEAD, "question": "its id in the model", "reply_id": "the SMS", "points": "what the answer is worth"},
    ),
    "lead.replied": ("The lead wrote without being asked: the sequence stops.", {**_LEAD, "reply_id": "the SMS"}),
    "lead.scored": (
        "The score changed.",
        {
            **_LEAD,
            "total": "BANT and fit, 4 to 25",
            "intent": "0 to 100",
            "axis": "what changed",
            "points": "by how much",
            "source_id": "the SMS, event or field that gave it",
        },
    ),
    "lead.stage_changed": (
        "The lead is of another class, or has another label.",
        {**_LEAD, "was": "its class before", "total": "BANT and fit, 4 to 25"},
    ),
    "lead.nurtured": ("A message of a sequence was sent.", {**_LEAD, "sequence": "which", "message": "which of it"}),
    "lead.reengaged": (
        "Nothing was heard of the lead for so long as its model says: a sequence begins to call it back.",
        {
            **_LEAD,
            "sequence": "which",
            "time": "1 the first time it is called back, 2 the second …",
            "heard_at": "its last sign of life: its proof, an answer, an event",
        },
    ),
    "lead.closed": (
        "The lead is closed; nothing is sent to it any more.",
        {**_LEAD, "reason": "unverified, opted_out, max_attempts, or what the caller said"},
    ),
}  # fmt: skip


def about(case: LeadCase, what: str, **data: Json) -> Notify:
    """Return an event about the lead."""
    common: dict[str, Json] = {
        "lead_id": case.id,
        "state": case.state,
        "stage": case.stage,
        "label": case.label,
        "reference": case.reference or None,
        "form": case.form,
        "source": case.source,
    }
    return Notify(f"lead.{what}", common | data)


def told(case: LeadCase) -> dict[str, Json]:
    """Return the counters of an answer about a lead."""
    return {"lead_id": case.id, "attempts_remaining": max(0, ATTEMPTS - case.attempts)}


def done(case: LeadCase, effects: tuple[Effect, ...], code: str) -> Moved:
    """Return a step that answers 200."""
    return Step(case, effects, Answer(code, 200, {"lead_id": case.id}))


def refuse_over(case: LeadCase) -> Refused | None:
    """Return the refusal of a closed lead, or None."""
    return Refused("lead_closed", 410, told(case)) if case.is_over else None


STAGES: Final = ("created", "verified", "asked", "answered", "warm", "qualified", "opted_out", "unverified")


def reached(case: LeadCase) -> frozenset[str]:
    """Return the stages of the funnel that a lead has reached so far."""
    found = {"created"}
    if case.verified_at:
        found |= {"verified"} | ({"warm"} if case.stage != "cold" else set())
        found |= {"qualified"} if case.stage == "qualified" else set()
    if case.asked_at:
        found.add("asked")
    if case.answered:
        found.add("answered")
    return frozenset(found | ({case.reason} & {"opted_out", "unverified"}))


def view(case: LeadCase, model: Model, now: int) -> dict[str, Json]:
    """Return what a GET shows: the score with every entry that gave it; instants of entries are microseconds."""
    return {
        "id": case.id,
        "state": case.state,
        "reason": case.reason or None,
        "form": case.form,
        "source": case.source,
        "reference": case.reference or None,
        "to": case.to,
        "language": case.language,
        "model": case.model,
        "proof": case.proof,
        "consented": case.consented,
        "stage": case.stage,
        "label": case.label if case.verified_at else None,
        "total": total(case, model),
        "bant": {name: axis(case, name) for name in AXES},
        "fit": axis(case, FIT),
        "intent": intent(case, model, now),
        "points": [
            {"at": one.at, "axis": one.axis, "points": one.points, "source_id": one.source, "why": one.why}
            for one in case.points
        ],
        "asked": case.asked or None,
        "sequence": case.sequence or None,
        "heard_at": case.heard_at or None,
        "reengaged": case.reengaged,
        "dormant_at": dormant_at(case, model),
        "attempts_remaining": max(0, ATTEMPTS - case.attempts) if case.state is State.UNVERIFIED else 0,
        "sends_remaining": max(0, SENDS - case.sends) if case.state is State.UNVERIFIED else 0,
        "next_send_at": case.next_send_at if now < case.next_send_at else None,
        "code_expires_at": case.code_until if case.has_code(now) and not case.verified_at else None,
        "created_at": case.created_at,
        "verified_at": case.verified_at,
        "final_at": case.final_at,
    }


def scored(before: LeadCase, after: LeadCase, model: Model, now: int) -> tuple[Effect, ...]:
    """Return the events of what a step changed of the score: each new entry, then the class if it is another."""
    fresh = after.points[len(before.points) :]
    effects: list[Effect] = [
        about(
            after, "scored", total=total(after, model), intent=intent(after, model, now),
            axis=one.axis, points=one.points, source_id=one.source,
        )
        for one in fresh
        if one.points or one.axis == INTENT
    ]  # fmt: skip
    if (after.stage, after.label) != (before.stage, before.label):
        effects.append(about(after, "stage_changed", was=before.stage, total=total(after, model)))
    return tuple(effects)
