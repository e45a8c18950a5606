"""When a lead is silent or dormant, and how long its consent is good for: by the last that was heard of it.

Pure arithmetic on a lead and its model; `workflows.lead_nurturing` acts on it.
"""

from __future__ import annotations

from typing import Final

from workflows.base import SECOND
from workflows.lead_case import LeadCase, State
from workflows.lead_model import SILENCE, Model

DAY_US: Final = 86_400 * SECOND


def dormant_at(case: LeadCase, model: Model) -> int | None:
    """Return when a lead is to be called back if nothing is heard of it until then; None for never."""
    rule = model.dormancy
    if rule is None or case.state is not State.OPEN or not case.consented:
        return None
    if case.stage == "qualified" or case.reengaged >= rule.most:
        return None
    at = max(case.heard_at, case.reengaged_at) + rule.after_days * DAY_US
    return at if at < consent_ends(case, model) else None


def silent_at(case: LeadCase, model: Model) -> int | None:
    """Return when a lead's question has waited too long for its answer; None for never, or if it has already."""
    if not case.asked or case.silent or case.sequence or case.state is not State.OPEN or not case.consented:
        return None
    if case.stage == "qualified" or model.triggered(SILENCE) is None:
        return None
    return case.asked_at + model.silence_s * SECOND


def consent_ends(case: LeadCase, model: Model) -> int:
    """Return until when a lead's consent is good: so long after the last that was heard of it as the model says."""
    return 0 if model.dormancy is None else case.heard_at + model.dormancy.consent_days * DAY_US
