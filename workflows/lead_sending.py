"""What a lead's messages are made of, and what is known beside the lead when it is stepped.

Pure, and without a decision of its own; `workflows.lead` and `workflows.lead_nurturing` say what is sent, and when.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from workflows.base import SECOND, Param, Send
from workflows.lead_case import LeadCase
from workflows.lead_model import Model
from workflows.window import Day

NOTICE_LIFE_US: Final = 86_400 * SECOND


class Marketing(NamedTuple):
    """Whether marketing may be sent to a lead: from when on, until when, and whether it said STOP to it."""

    free_at: int
    closes_at: int
    silenced: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the lead: its model and the codes sent today to its number.

    `marketing` is known when a timer fires, which alone asks for it: it takes a number's zones to work it out.
    """

    model: Model
    day: Day = field(default_factory=Day)
    marketing: Marketing | None = None
    stop: str = ""  # where STOP may be sent to, if texts have to say so


def in_language(text: Mapping[str, str], language: str) -> str:
    """Return a text in a language, else in the first that it has."""
    return text.get(language) or next(iter(text.values()))


def text_to(
    case: LeadCase,
    facts: Facts,
    role: str,
    step: str,
    expires_at: int,
    *,
    message_class: str = "transactional",
    slots: tuple[str, ...] = (),
    **params: Param,
) -> Send:
    """Return a message to the lead."""
    return Send(
        role=role,
        step=step,
        language=case.language,
        message_class=message_class,
        generation=case.generation,
        expires_at=expires_at,
        params={"brand": facts.model.brand, **params},
        slots=slots,
        recipient=case.id,
        code_of=case.id if slots else "",
    )
