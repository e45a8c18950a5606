"""What every conversation is made of: events that it is told, effects that it asks for, and the step between them.

A workflow is pure: `start(request, facts, now, random)` and `step(case, event, facts, now, random)` return a `Step` or
a `Refused`. `engine.cases` alone calls them, turns effects into rows, and answers after the commit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Generic, TypeAlias, TypeVar

from workflows.window import Day, Window

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"
Param: TypeAlias = str | int | bool
CaseT = TypeVar("CaseT")

SECOND: Final = 1_000_000
"""Instants are integer microseconds, UTC; in facts and event data their names end in `_at` or `_until`."""


# Events: what happened, in the past participle.


class Outcome(StrEnum):
    """What became of one message, as far as is known now."""

    ON_WIRE = "on_wire"
    ACCEPTED = "accepted"
    IN_DOUBT = "in_doubt"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    EXPIRED = "expired"
    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    CANCELED = "canceled"


class Verdict(StrEnum):
    """What an entered code turned out to be; `superseded` equals a code of an earlier generation."""

    RIGHT = "right"
    WRONG = "wrong"
    SUPERSEDED = "superseded"
    BAD_FORMAT = "bad_format"


class Binding(StrEnum):
    """How the binding repeated at a check compares with the one given at creation."""

    SAME = "same"
    MISSING = "missing"
    MISMATCH = "mismatch"


@dataclass(frozen=True, slots=True)
class Settled:
    """A message's state changed; `role` is the one its `Send` gave it."""

    role: str
    outcome: Outcome
    message_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """An armed timer came due; it may be late, and it may be one that was re-armed since."""

    kind: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A code was entered and compared, after an attempt had been spent on it."""

    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Replied:
    """A handset answered and `matching` chose this case; `verdict` is that of the code in the text, if there is one."""

    reply_id: str
    text: str = field(repr=False)
    reason: str = ""
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Resent:
    """The application asked for the message once more."""


@dataclass(frozen=True, slots=True)
class Voiced:
    """The application asked for the code, spelled, to have it said by its own voice provider."""

    by: str = ""


@dataclass(frozen=True, slots=True)
class Canceled:
    """The application gave the case up."""

    reason: str = "requested"


Event: TypeAlias = Settled | TimerFired | Checked | Replied | Resent | Voiced | Canceled


# Effects: what is to be done, in the imperative and in this order.


@dataclass(frozen=True, slots=True)
class Send:
    """Queue a message: template `step` in `language`, of a `message_class` of the engine's table, dead at `expires_at`.

    `params` are the template's values; `slots` name those that `cases` fills in memory when it renders (`code`,
    `reference`), of generation `generation`. `role` comes back in `Settled`. In a case of several people `recipient`
    names the one who reads it and `code_of` the part of the case whose code it carries. `unlike` is the role of an
    earlier message: this one goes another way if there is one.
    """

    role: str
    step: str
    language: str
    message_class: str
    generation: int
    expires_at: int
    params: Mapping[str, Param] = field(default_factory=dict, repr=False)
    slots: tuple[str, ...] = ()
    sender: str | None = None
    recipient: str = ""
    code_of: str = ""
    unlike: str = ""


@dataclass(frozen=True, slots=True)
class Seal:
    """Append an entry to the case's evidence.

    `body` is what anybody may read; `private` holds personal data, of which the chain keeps commitments alone, under
    the key of `subject` (a person of the case). `stated` names the members that the platform states and nobody has
    observed. `code_of` commits to the code of a part of the case, of `generation`, too.
    """

    kind: str
    body: Mapping[str, Json] = field(default_factory=dict)
    private: Mapping[str, Json] = field(default_factory=dict, repr=False)
    subject: str = ""
    stated: tuple[str, ...] = ()
    code_of: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Notify:
    """Record an event of the workflow's table for the application."""

    event_type: str
    data: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Arm:
    """Have `TimerFired(kind)` happen at `at`; a case has one timer of a kind, so this replaces an earlier one."""

    kind: str
    at: int


@dataclass(frozen=True, slots=True)
class Disarm:
    """Let the timer of this kind not fire."""

    kind: str


@dataclass(frozen=True, slots=True)
class CancelSends:
    """Stop the case's messages that have not been sent, or those of generations before `before_generation` alone, or
    those of some roles.

    With `on_air` also ask the operator to cancel what it holds (cancel_sm), where the account allows it.
    """

    on_air: bool = False
    before_generation: int | None = None
    roles: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """Write down who did what, for good."""

    action: str
    detail: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finish:
    """The case has reached this final state."""

    state: str


Effect: TypeAlias = Send | Seal | Notify | Arm | Disarm | CancelSends | Audit | Finish


# What start and step return.


_REFUSALS: Final = 400  # and above: the statuses of HTTP that refuse


@dataclass(frozen=True, slots=True)
class Answer:
    """What to tell the caller once the step has been committed: a stable code, a fit HTTP status, facts."""

    code: str
    status: int = 200
    facts: Mapping[str, Json] = field(default_factory=dict)

    @property
    def is_refusal(self) -> bool:
        """Tell whether the caller did not get what it wanted, though something was written (a spent attempt, say)."""
        return self.status >= _REFUSALS


@dataclass(frozen=True, slots=True)
class Refused:
    """No: nothing changes, nothing is stored. Code, status and facts as in `Answer`."""

    code: str
    status: int
    facts: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step(Generic[CaseT]):
    """A case's new state with all that goes with it, to be committed whole.

    `window` and `day` are the counters to store if the step moved them, else None. `also` are steps of other cases that
    this one causes, to be applied first. `answer` is for the caller, a refusal among them: a spent attempt outlives it.
    """

    case: CaseT
    effects: tuple[Effect, ...] = ()
    answer: Answer | None = None
    window: Window | None = None
    day: Day | None = None
    also: tuple[Step[CaseT], ...] = ()
