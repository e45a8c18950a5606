"""The classes of messages: of each its lane, what to do when its answer stays out, its life, its response deadline.

One table, from which routing, the sender and the in-doubt policy read; settings may override its figures.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


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
    """One row of the table; `life_s` is the default life, `quiet_exempt` whether quiet hours pass it by."""

    name: str
    lane: Lane
    doubt: DoubtPolicy
    life_s: int
    response_deadline_s: float
    quiet_exempt: bool
    is_code: bool = False


_CODE_DOUBT: Final = DoubtPolicy(resends=True, hold_s=0.0, least_life_s=60.0)
MOST_SUBMITS: Final = 2

CLASSES: Final[dict[str, MessageClass]] = {
    row.name: row
    for row in (
        MessageClass("otp", Lane.OTP, _CODE_DOUBT, 600, 5.0, quiet_exempt=True, is_code=True),
        MessageClass("signature_code", Lane.OTP, _CODE_DOUBT, 600, 5.0, quiet_exempt=True, is_code=True),
        MessageClass(
            "handover_code",
            Lane.OTP,
            DoubtPolicy(resends=True, hold_s=45.0, least_life_s=60.0),
            7 * 86_400,
            5.0,
            quiet_exempt=True,
            is_code=True,
        ),
        MessageClass(
            "transactional",
            Lane.TRANSACTIONAL,
            DoubtPolicy(resends=True, hold_s=180.0, least_life_s=60.0),
            86_400,
            30.0,
            quiet_exempt=True,
        ),
        MessageClass("auto_reply", Lane.TRANSACTIONAL, DoubtPolicy(resends=False), 3_600, 30.0, quiet_exempt=True),
        MessageClass("marketing", Lane.BULK, DoubtPolicy(resends=False), 86_400, 30.0, quiet_exempt=False),
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
