"""The values of a lead: its state and allowed moves, what it has scored and why, and how far its conversation is.

No number, no name and no field of the form is in it. `workflows.lead` conducts the conversation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from workflows.base import SECOND

CODE_LENGTH: Final = 6
ATTEMPTS: Final = 5
SENDS: Final = 3
DAY_SENDS: Final = 5
CODE_LIFE_US: Final = 600 * SECOND
COOLDOWN_US: Final = 60 * SECOND
PROOF_LIFE_US: Final = 86_400 * SECOND
"""How long a lead may take to prove its number before it is closed as unverified (verification-behaviours 2.1)."""
POINTS_MOST: Final = 500


class State(StrEnum):
    """Where a lead stands: its number not proven yet, under way, or closed for good."""

    UNVERIFIED = "unverified"
    OPEN = "open"
    CLOSED = "closed"


MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.UNVERIFIED: frozenset({State.OPEN, State.CLOSED}),
    State.OPEN: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}


class Proof(StrEnum):
    """How the number is proven: a code typed on the form, or a yes by SMS (double opt-in)."""

    CODE = "code"
    REPLY = "reply"


class Point(NamedTuple):
    """One entry of the score: when, on which axis, how much it changed it, by what (an SMS, an event, a field)."""

    at: int
    axis: str
    points: int
    source: str
    why: str


@dataclass(frozen=True, slots=True)
class LeadCase:
    """One lead. `asked` is the question that waits for its answer, `silent` tells that it has waited too long;
    `sequence` and `message` are what goes out next.

    `heard_at` is its last sign of life: its proof, an answer, an event; `reengaging` tells that it was dormant, is
    called back, and has given none since.
    """

    id: str
    form: str
    source: str
    to: str
    language: str
    model: str
    created_at: int
    expires_at: int
    proof: Proof = Proof.CODE
    consented: bool = False
    replies: bool = False  # whether answers come home
    reference: str = ""
    state: State = State.UNVERIFIED
    reason: str = ""
    generation: int = 0
    code_until: int = 0
    attempts: int = 0
    sends: int = 0
    next_send_at: int = 0
    delivery: str = ""
    verified_at: int = 0
    asked: str = ""
    asked_at: int = 0
    asked_again: bool = False
    silent: bool = False
    answered: tuple[str, ...] = ()
    questions_over: bool = False
    sequence: str = ""
    message: int = 0
    sent: int = 0
    points: tuple[Point, ...] = ()
    stage: str = "cold"
    label: str = "dropped"
    auto_replies: int = 0
    auto_replies_since: int = 0
    heard_at: int = 0
    reengaging: bool = False
    reengaged: int = 0  # how often it was called back
    reengaged_at: int = 0
    final_at: int = 0

    @property
    def is_over(self) -> bool:
        """Tell whether it is closed."""
        return self.state is State.CLOSED

    def has_code(self, now: int) -> bool:
        """Tell whether its code is alive."""
        return self.generation > 0 and now < self.code_until

    def moved(self, state: State, **changes: Any) -> Self:
        """Return the lead in another state; raises `ValueError` for a move that is not allowed."""
        if state is not self.state and state not in MOVES[self.state]:
            raise ValueError(f"a lead may not move from {self.state} to {state}")
        return replace(self, state=state, **changes)

    def dump(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        return facts | {"points": [list(one) for one in self.points]}

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Self:
        """Return the lead that `dump` wrote."""
        given = {
            **stored,
            "state": State(stored["state"]),
            "proof": Proof(stored["proof"]),
            "answered": tuple(stored["answered"]),
            "points": tuple(Point(*one) for one in stored["points"]),
        }
        return cls(**given)
