"""The classes of messages: of each its lane, what to do when its answer stays out, its life.

One table, from which routing, the sender and the in-doubt policy read; settings may override its figures.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Final


class Lane(IntEnum):
    """Priority order of the three lanes."""

    OTP = 0
    TRANSACTIONAL = 1
    BULK = 2


@dataclass(frozen=True, slots=True)
class DoubtPolicy:
    """What becomes of a message whose submit_sm got no answer (failure catalogue, section 2).

    `hold_s` is how long a receipt may resolve it; then it is sent once more, if `resends` and if more than
    `least_life_s` of its life is left; else it stays visibly in doubt.
    """

    resends: bool
    hold_s: float = 0.0
    least_life_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MessageClass:
    """One row of the table; `life_s` is the default life."""

    name: str
    lane: Lane
    doubt: DoubtPolicy
    life_s: int
    is_code: bool = False


_CODE_DOUBT: Final = DoubtPolicy(resends=True, hold_s=0.0, least_life_s=60.0)
MOST_SUBMITS: Final = 2

Classes = Mapping[str, MessageClass]

CLASSES: Final[Classes] = {
    row.name: row
    for row in (
        MessageClass("otp", Lane.OTP, _CODE_DOUBT, 600, is_code=True),
        MessageClass("signature_code", Lane.OTP, _CODE_DOUBT, 600, is_code=True),
        MessageClass(
            "handover_code",
            Lane.OTP,
            DoubtPolicy(resends=True, hold_s=45.0, least_life_s=60.0),
            7 * 86_400,
            is_code=True,
        ),
        MessageClass(
            "transactional",
            Lane.TRANSACTIONAL,
            DoubtPolicy(resends=True, hold_s=180.0, least_life_s=60.0),
            86_400,
        ),
        MessageClass("auto_reply", Lane.TRANSACTIONAL, DoubtPolicy(resends=False), 3_600),
        MessageClass("marketing", Lane.BULK, DoubtPolicy(resends=False), 86_400),
    )
}

# What POST /v1/messages calls a category, and the class it stands for.
CATEGORIES: Final = {
    "otp": "otp",
    "signature": "signature_code",
    "handover": "handover_code",
    "transactional": "transactional",
    "marketing": "marketing",
}


def overridden(changes: Iterable[Any]) -> Classes:
    """Return the table with the figures that settings change (`settings_service.ClassOverride`); None keeps its own."""
    table = dict(CLASSES)
    for change in changes:
        row = table[change.name]
        doubt = _changed(row.doubt, change, "resends", "hold_s", "least_life_s")
        table[change.name] = replace(_changed(row, change, "life_s"), doubt=doubt)
    return table


def _changed(row: Any, change: Any, *names: str) -> Any:
    return replace(row, **{name: value for name in names if (value := getattr(change, name)) is not None})
