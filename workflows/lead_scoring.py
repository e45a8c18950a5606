"""What a lead is worth: four axes of 1 to 5, fit of 0 to 5, and intent apart, which fades; every point has its cause.

Pure arithmetic. Total = BANT (4–20) + fit (0–5); the thresholds are those of the published scorecard
(verification-behaviours 1.6). An unverified lead is cold, whatever it scored; intent never changes a class by itself.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from workflows.base import SECOND
from workflows.lead_case import POINTS_MOST, LeadCase, Point, State
from workflows.lead_model import AXES, FIT, INTENT, MOST, Model

_LEAST: Final = {**dict.fromkeys(AXES, 1), FIT: 0, INTENT: 0}
_LABELS: Final = ((20, "hot"), (15, "warm"), (12, "marketing_qualified"), (8, "nurture"), (0, "dropped"))
_WARM: Final = 12
_QUALIFIED: Final = 20


def axis(case: LeadCase, name: str) -> int:
    """Return what a lead has on an axis, or its fit."""
    return _LEAST[name] + sum(one.points for one in case.points if one.axis == name)


def with_points(case: LeadCase, name: str, points: int, source: str, why: str, now: int) -> LeadCase:
    """Return the lead with points on an axis, as many as the axis still takes; what gave none is written down too.

    So that an answer always counts, the oldest entry that least matters goes where there are too many.
    """
    kept = _with_room(case.points)
    if name != INTENT:
        had = axis(case, name)
        points = min(MOST[name], max(_LEAST[name], had + points)) - had
    return replace(case, points=(*kept, Point(now, name, points, source, why)))


def _with_room(points: tuple[Point, ...]) -> tuple[Point, ...]:
    if len(points) < POINTS_MOST:
        return points
    # What gave nothing explains no figure; the oldest of intent has halved most often. An axis is the sum of its own.
    for matters_least in (lambda one: not one.points, lambda one: one.axis == INTENT):
        place = next((place for place, one in enumerate(points) if matters_least(one)), None)
        if place is not None:
            return points[:place] + points[place + 1 :]
    return points


def with_level(case: LeadCase, name: str, level: int, source: str, why: str, now: int) -> LeadCase:
    """Return the lead with an axis at a level: what an answer says replaces what was thought before."""
    return with_points(case, name, level - axis(case, name), source, why, now)


def intent(case: LeadCase, model: Model, now: int) -> int:
    """Return the intent, 0 to 100: each point halves every half-life of the model."""
    half_us = model.half_life_s * SECOND
    held: float = sum(
        one.points * 2.0 ** (-max(0, now - one.at) / half_us) for one in case.points if one.axis == INTENT
    )
    return round(min(100.0, max(0.0, held)))


def total(case: LeadCase, model: Model) -> int:
    """Return BANT and fit together, weighted: 4 to 25 with weights of 1."""
    weights = model.weights
    whole = sum(weights[name] for name in AXES)
    bant = sum(axis(case, name) * weights[name] for name in AXES) / whole * len(AXES)
    return round(bant + min(MOST[FIT], axis(case, FIT) * weights[FIT]))


def classed(case: LeadCase, model: Model) -> LeadCase:
    """Return the lead in its class (cold, warm, qualified) and with its label."""
    scored = total(case, model)
    label = next(name for least, name in _LABELS if scored >= least)
    stage = "qualified" if scored >= _QUALIFIED else "warm" if scored >= _WARM else "cold"
    if case.state is State.UNVERIFIED or not case.verified_at:
        stage = "cold"
    return replace(case, stage=stage, label=label)
