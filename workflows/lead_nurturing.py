"""What a lead is sent without having asked: sequences of messages, also to one that leaves a question unanswered, and
the call to one that has long been dormant.

Pure. Nothing is sent outside the hours, to whoever said STOP, is qualified or closed; a dormant lead is called back so
often as its model says and no oftener, and any sign of life ends that.
"""

from __future__ import annotations

from dataclasses import replace

from workflows.base import SECOND, Arm, CancelSends, Disarm, Effect, Step
from workflows.lead_case import LeadCase
from workflows.lead_dormancy import DAY_US, consent_ends, dormant_at, silent_at
from workflows.lead_model import DORMANT, SILENCE, Model
from workflows.lead_sending import NOTICE_LIFE_US, Facts, in_language, text_to
from workflows.lead_telling import DORMANCY, NURTURE, UNANSWERED, Moved, about

# Sequences.


def begin(case: LeadCase, trigger: str, facts: Facts, now: int) -> tuple[LeadCase, tuple[Effect, ...]]:
    """Begin the sequence that something triggers, if there is one and the lead agreed to it."""
    sequence = facts.model.triggered(trigger)
    if sequence is None or not case.consented:
        return case, ()
    case = replace(case, sequence=sequence.name, message=0)
    return case, (Arm(NURTURE, now + sequence.messages[0].after_s * SECOND),)


def nurture(case: LeadCase, facts: Facts, now: int) -> Moved:
    """Send the sequence's next message, within hours; it stops for whoever is qualified, answers or is closed."""
    sequence, marketing = facts.model.sequence(case.sequence), facts.marketing
    assert marketing is not None
    if sequence is None or case.message >= len(sequence.messages) or case.stage == "qualified" or marketing.silenced:
        return Step(replace(case, sequence=""))
    if case.reengaging and now >= consent_ends(case, facts.model):
        return Step(replace(case, sequence=""))
    if marketing.free_at > now:
        return Step(case, (Arm(NURTURE, marketing.free_at),))
    message = sequence.messages[case.message]
    case = replace(case, message=case.message + 1, sent=case.sent + 1)
    # What waits too long for its bind must not leave at night.
    expires_at = min(now + NOTICE_LIFE_US, marketing.closes_at)
    text = text_to(
        case, facts, _role(case.sent), "nurture", expires_at, message_class="marketing",
        notice=in_language(message.text, case.language), stop=facts.stop,
    )  # fmt: skip
    sent = about(case, "nurtured", sequence=sequence.name, message=case.message)
    if case.message >= len(sequence.messages):
        return Step(replace(case, sequence=""), (text, sent))
    following = sequence.messages[case.message]
    return Step(case, (text, sent, Arm(NURTURE, now + following.after_s * SECOND)))


def _role(number: int) -> str:
    return f"nurture:{number}"


# Silence.


def fall_silent(case: LeadCase, facts: Facts, now: int) -> Moved:
    """Let the sequence for it begin once a question has waited too long; its answer is still taken."""
    at = silent_at(case, facts.model)
    if at is None:
        return Step(case)
    if now < at:
        return Step(case, (Arm(UNANSWERED, at),))
    case, begun = begin(replace(case, silent=True), SILENCE, facts, now)
    return Step(case, begun)


def broken(case: LeadCase, facts: Facts) -> tuple[LeadCase, tuple[Effect, ...]]:
    """Note that a silent lead has spoken: that ends the sequence which its silence began, what is queued of it too."""
    sequence = facts.model.sequence(case.sequence)
    if not case.silent or sequence is None or sequence.trigger != SILENCE:
        return case, ()
    return replace(case, sequence=""), (Disarm(NURTURE), _unsent(case))


def _unsent(case: LeadCase) -> CancelSends:
    return CancelSends(roles=tuple(_role(number) for number in range(1, case.sent + 1)))


# Silence and dormancy.


def watched(before: LeadCase, step: Moved, model: Model, *, anew: bool = False) -> Moved:
    """Return a step with the timers of silence and dormancy that fit it; `anew` arms one of dormancy that should be
    there already.
    """
    if step.case.is_over:
        return step
    effects: list[Effect] = []
    for kind, due_at in ((UNANSWERED, silent_at), (DORMANCY, dormant_at)):
        at = due_at(step.case, model)
        if at != due_at(before, model) or (anew and kind == DORMANCY):
            effects.append(Disarm(kind) if at is None else Arm(kind, at))
    return replace(step, effects=(*step.effects, *effects)) if effects else step


# Dormancy.


def wake(case: LeadCase, facts: Facts, now: int) -> Moved:
    """Call a dormant lead back: the sequence for it begins. One whose sequence is under way waits for its end."""
    rule, at = facts.model.dormancy, dormant_at(case, facts.model)
    assert facts.marketing is not None
    if rule is None or at is None or now >= consent_ends(case, facts.model):
        return Step(case)
    if now < at:
        return Step(case, (Arm(DORMANCY, at),))
    if case.sequence:
        return Step(case, (Arm(DORMANCY, now + DAY_US),))
    if facts.marketing.silenced:
        # Whoever wants messages again is not called at once.
        return Step(case, (Arm(DORMANCY, now + rule.after_days * DAY_US),))
    case = replace(case, reengaged=case.reengaged + 1, reengaged_at=now, reengaging=True)
    case, begun = begin(case, DORMANT, facts, now)
    told = about(case, "reengaged", sequence=case.sequence, time=case.reengaged, heard_at=case.heard_at)
    return Step(case, (told, *begun))


def heard(case: LeadCase, now: int) -> tuple[LeadCase, tuple[Effect, ...]]:
    """Note a sign of life: it ends the call to a dormant lead, also what of it has not been sent yet."""
    if not case.reengaging:
        return replace(case, heard_at=now), ()
    return replace(case, heard_at=now, reengaging=False, sequence=""), (Disarm(NURTURE), _unsent(case))
