"""The values of a verification: its states and allowed moves, its facts, what starts it, and the events that it raises.

It decides nothing: `workflows.verify` conducts the conversation, `engine.cases` stores these values, `engine.events`
merges the table of events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final, Self

from workflows.profiles import VerificationProfile
from workflows.window import Day, Window


class State(StrEnum):
    """Where a verification stands; every state but `pending` is final."""

    PENDING = "pending"
    APPROVED = "approved"
    EXPIRED = "expired"
    MAX_ATTEMPTS = "max_attempts"
    CANCELED = "canceled"
    FAILED = "failed"
    BLOCKED = "blocked"


MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.PENDING: frozenset(State) - {State.PENDING, State.BLOCKED},
    **{state: frozenset() for state in State if state is not State.PENDING},
}
"""A blocked verification is born so: nothing of it was ever sent."""


class Delivery(StrEnum):
    """How far its message has come: a fact beside the state."""

    QUEUED = "queued"
    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    UNDELIVERED = "undelivered"
    DELIVERED = "delivered"


@dataclass(frozen=True, slots=True)
class SentCode:
    """One message of a verification; `taken` once an operator has accepted it."""

    role: str
    generation: int
    delivery: Delivery = Delivery.QUEUED
    taken: bool = False


@dataclass(frozen=True, slots=True)
class VerificationCase:
    """All that a verification knows of itself; no code and no number, but the number's masked form.

    `session` and `binding` are opaque fingerprints (`""`: none). `attempts` are those spent on this case, for the
    record: what limits them is the window. `fallback_owed` until the application has been told that the latest message
    needs another channel, or it does not; `fallback_at` is when a missing receipt is told of (0: never).
    """

    id: str
    profile: str
    purpose: str
    to: str
    language: str
    created_at: int
    expires_at: int
    state: State = State.PENDING
    generation: int = 1
    session: str = field(default="", repr=False)
    binding: str = field(default="", repr=False)
    amount: str = field(default="", repr=False)
    payee: str = field(default="", repr=False)
    messages: tuple[SentCode, ...] = ()
    attempts: int = 0
    voice_calls: int = 0
    fallback_owed: bool = False
    fallback_at: int = 0
    final_at: int = 0
    reason: str = ""

    @property
    def is_pending(self) -> bool:
        """Tell whether it is still open; its life may be over all the same."""
        return self.state is State.PENDING

    @property
    def delivery(self) -> Delivery:
        """Return how far the best message that carries the present code has come."""
        present = [message.delivery for message in self.messages if message.generation == self.generation]
        return max(present, key=_HOPE.index, default=Delivery.QUEUED)

    def dump(self) -> dict[str, Any]:
        """Return the case as a JSON object."""
        return asdict(self)

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Self:
        """Return the case that `dump` wrote."""
        messages = tuple(
            SentCode(**{**message, "delivery": Delivery(message["delivery"])}) for message in stored["messages"]
        )
        return cls(**{**stored, "state": State(stored["state"]), "messages": messages})


# From the least to the best news that a recipient can have of any of several messages.
_HOPE: Final = (
    Delivery.UNDELIVERED,
    Delivery.UNKNOWN,
    Delivery.QUEUED,
    Delivery.SUBMITTED,
    Delivery.ACCEPTED,
    Delivery.DELIVERED,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What `POST /v1/verifications` asks for.

    `session` and `binding` are fingerprints made by `engine.cases` of what the caller sent; `amount` and `payee` are
    the two entries of the binding that the text shows. `to` is the masked number.
    """

    case_id: str
    to: str
    purpose: str = "login"
    language: str | None = None
    session: str = field(default="", repr=False)
    binding: str = field(default="", repr=False)
    amount: str = field(default="", repr=False)
    payee: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Block:
    """Why the shield lets no message leave for this start: a reason of the published list, and its risk factors."""

    reason: str
    factors: tuple[str, ...] = ()
    status: int = 403


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known beside the case: its profile, the counters as stored, and for a start the window's other cases."""

    profile: VerificationProfile
    window: Window = field(default_factory=Window)
    day: Day = field(default_factory=Day)
    pending: tuple[VerificationCase, ...] = ()
    block: Block | None = None


_COMMON: Final = {
    "verification_id": "the verification",
    "state": "its state after this event",
    "to": "the recipient, masked",
    "profile": "the profile that it was started with",
    "purpose": "what the code is for",
}
_MESSAGE: Final = {
    **_COMMON,
    "send": "which of the verification's messages: 1, 2 …",
    "generation": "which of its codes: 1, or more after a rotation",
}

EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "verification.created": (
        "A verification was started and its first message is queued.",
        {**_COMMON, "language": "language of its messages", "expires_at": "end of the code's life"},
    ),
    "verification.sent": ("An operator took a message.", _MESSAGE),
    "verification.delivered": ("A message reached the handset.", _MESSAGE),
    "verification.undelivered": (
        "A message did not reach the handset.",
        {**_MESSAGE, "reason": "why, as far as the operator said, or an empty text"},
    ),
    "verification.fallback_due": (
        "Time to offer another channel: the message was not delivered, or no receipt has come.",
        {
            **_COMMON,
            "reason": "no_receipt or undelivered",
            "voice_codes_remaining": "how often the code may still be had for a voice call",
        },
    ),
    "verification.check_failed": (
        "A wrong code was entered.",
        {**_COMMON, "attempts_remaining": "wrong codes still allowed"},
    ),
    "verification.approved": (
        "The right code was entered. The proof is the 200 of the check, not this event.",
        {**_COMMON, "delivery": "how far the message was known to have come"},
    ),
    "verification.expired": ("The code's life ended.", {**_COMMON, "delivery": "how far the message had come"}),
    "verification.max_attempts": (
        "Too many wrong codes: the number is locked for this use.",
        {**_COMMON, "locked_until": "from when a new verification may start"},
    ),
    "verification.canceled": ("It was given up.", {**_COMMON, "reason": "requested or replaced"}),
    "verification.failed": (
        "No operator took any of its messages.",
        {**_COMMON, "reason": "why, as far as known, or an empty text"},
    ),
    "verification.blocked": (
        "The fraud shield let no message leave.",
        {**_COMMON, "reason": "the rule's reason", "risk_factors": "what counted against it"},
    ),
}
"""Event type → (what happened, payload field → its meaning); fields ending in `_at` or `_until` are instants."""
