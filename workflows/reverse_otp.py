"""Reverse OTP: the application shows a code, its user sends it by SMS to a number of ours, and that proves the sender.

Pure: it never sees a code nor a number, only who sent the right one as far as `engine.cases` compared it. Nothing is
ever sent, so that nobody can pump messages; an SMS proves no more than its operator vouches for (`assurance`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final, Self, TypeAlias

from workflows.base import Answer, Arm, Audit, Effect, Finish, Json, Notify, Refused, Step

WORKFLOW: Final = "reverse"
CODE_LENGTH: Final = 8
"""Of Crockford's base32: 40 bits, of which one SMS guesses one of 100,000 pending codes in 11 million tries (S14)."""
STRANGERS_MOST: Final = 5
"""So many SMS from other numbers than the claimed one void a code: somebody else reads it."""
_EXPIRY: Final = "expiry"


class State(StrEnum):
    """Where it stands. `received` waits for the application to confirm; all but it and `pending` are final."""

    PENDING = "pending"
    RECEIVED = "received"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELED = "canceled"
    FAILED = "failed"


_FINAL: Final = frozenset(State) - {State.PENDING, State.RECEIVED}
MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.PENDING: frozenset(State) - {State.PENDING, State.REFUSED},
    State.RECEIVED: frozenset({State.APPROVED, State.REFUSED, State.EXPIRED, State.CANCELED}),
    **{state: frozenset() for state in _FINAL},
}


class Assurance(StrEnum):
    """What the sender of an SMS is worth: operators that check it are marked as trusted, others let it be forged."""

    UNAUTHENTICATED = "mo_unauthenticated"
    TRUSTED = "mo_trusted"


@dataclass(frozen=True, slots=True)
class ReverseCase:
    """One reverse verification; `claimed` is the masked number that must send, or empty if any may; `sender` is masked
    too, and `number` is ours.
    """

    id: str
    number: str
    language: str
    created_at: int
    expires_at: int
    claimed: str = ""
    confirm: bool = False
    reference: str = ""
    state: State = State.PENDING
    sender: str = ""
    assurance: str = ""
    strangers: int = 0
    received_at: int = 0
    final_at: int = 0

    def dump(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {name: getattr(self, name) for name in _MEMBERS}

    @classmethod
    def load(cls, facts: Mapping[str, Any]) -> Self:
        """Return what `dump` wrote."""
        return cls(**{**facts, "state": State(facts["state"])})


_MEMBERS: Final = tuple(one.name for one in fields(ReverseCase))
Moved: TypeAlias = Step[ReverseCase]


@dataclass(frozen=True, slots=True)
class Heard:
    """The right code came by SMS. `same` tells whether from the claimed number (or none was claimed)."""

    reply_id: str
    sender: str
    same: bool
    trusted: bool


def start(case: ReverseCase) -> Moved:
    """Return the first step of a case that is as the caller wants it."""
    effects: tuple[Effect, ...] = (_notify(case, "started", expires_at=case.expires_at), Arm(_EXPIRY, case.expires_at))
    return Step(case, effects, Answer("created", 201))


def heard(case: ReverseCase, event: Heard, now: int) -> Moved:
    """Return what the right code by SMS does: it approves once, in time, from the claimed number, and never else."""
    if case.state is not State.PENDING:
        return Step(case, (Audit("reverse.code_repeated", {"reply_id": event.reply_id}),))
    if now >= case.expires_at:
        late = _ended(case, State.EXPIRED, now)
        return replace(late, effects=(*late.effects, Audit("reverse.code_late", {"reply_id": event.reply_id})))
    if not event.same:
        return _stranger(case, event, now)
    assurance = Assurance.TRUSTED if event.trusted else Assurance.UNAUTHENTICATED
    came: dict[str, Any] = {"sender": event.sender, "assurance": assurance, "received_at": now}
    if not case.confirm:
        return _approved(case, now, **came)
    received = replace(case, state=State.RECEIVED, **came)
    return Step(received, (_told(received, "received"),))


def _stranger(case: ReverseCase, event: Heard, now: int) -> Moved:
    seen = replace(case, strangers=case.strangers + 1)
    effects: tuple[Effect, ...] = (
        _notify(seen, "refused", reason="another_number", reply_id=event.reply_id),
        Audit("reverse.another_number", {"reply_id": event.reply_id}),
    )
    if seen.strangers < STRANGERS_MOST:
        return Step(seen, effects)
    over = _ended(seen, State.FAILED, now, reason="too_many_numbers")
    return replace(over, effects=(*effects, *over.effects))


def answer_confirm(case: ReverseCase, now: int, *, agreed: bool) -> Moved | Refused:
    """Return what the application's own confirmation does to a code that came: its user says "that was me", or not."""
    if case.state is State.APPROVED and agreed:
        return Step(case, (), Answer("confirmed", 200))
    if refused := _refuse_over(case, now):
        return refused
    if case.state is not State.RECEIVED:
        return Refused("not_received", 409)
    if agreed:
        return replace(_approved(case, now), answer=Answer("confirmed", 200))
    ended = _ended(case, State.REFUSED, now, reason="not_me")
    return replace(ended, answer=Answer("confirmed", 200))


def cancel(case: ReverseCase, now: int) -> Moved | Refused:
    """Return what giving it up does. It takes no secret, so that how an ended one ended is not said."""
    if case.state is State.CANCELED:
        return Step(case, (), Answer("canceled", 200))
    if case.state in _FINAL:
        return Refused("already_ended", 409)
    if now >= case.expires_at:
        return replace(_ended(case, State.EXPIRED, now), answer=Answer("already_ended", 409))
    return replace(_ended(case, State.CANCELED, now), answer=Answer("canceled", 200))


def tick(case: ReverseCase, now: int) -> Moved:
    """Return what the expiry's timer does, which may be late."""
    if case.state in _FINAL:
        return Step(case)
    if now < case.expires_at:
        return Step(case, (Arm(_EXPIRY, case.expires_at),))
    return _ended(case, State.EXPIRED, now)


def is_over(case: ReverseCase) -> bool:
    """Tell whether its state is final."""
    return case.state in _FINAL


def view(case: ReverseCase, now: int) -> dict[str, Json]:
    """Return what is shown of it to who has its secret or acts on it; the sender's number is not among it."""
    state = State.EXPIRED if case.state not in _FINAL and now >= case.expires_at else case.state
    return {
        "id": case.id,
        "state": state,
        "number": case.number,
        "claimed": case.claimed or None,
        "confirm": case.confirm,
        "language": case.language,
        "reference": case.reference or None,
        "assurance": case.assurance or None,
        "created_at": case.created_at,
        "expires_at": case.expires_at,
        "received_at": case.received_at,
        "final_at": case.final_at,
    }


def view_without_secret(case: ReverseCase, now: int) -> dict[str, Json]:
    """Return what tells no result: whether it is pending or has ended, and not when, since a code ends it early."""
    shown = view(case, now)
    ended = shown["state"] not in (State.PENDING, State.RECEIVED)
    return {name: shown[name] for name in _ASKED} | {"state": "ended" if ended else "pending"}


def view_canceled(case: ReverseCase, now: int) -> dict[str, Json]:
    """Return what is shown of one that was given up, not whether its code had come: that needs the secret."""
    return view(case, now) | {"assurance": None, "received_at": None}


_ASKED: Final = ("id", "number", "claimed", "confirm", "language", "reference", "created_at", "expires_at")


def _refuse_over(case: ReverseCase, now: int) -> Refused | Moved | None:
    if case.state in _FINAL:
        code, status = _OVER[case.state]
        return Refused(code, status)
    if now >= case.expires_at:
        return replace(_ended(case, State.EXPIRED, now), answer=Answer("expired", 410))
    return None


_OVER: Final[Mapping[State, tuple[str, int]]] = {
    State.APPROVED: ("already_approved", 409),
    State.REFUSED: ("refused", 409),
    State.EXPIRED: ("expired", 410),
    State.CANCELED: ("canceled", 410),
    State.FAILED: ("failed", 409),
}


def _approved(case: ReverseCase, now: int, **came: Any) -> Moved:
    over = replace(case, state=State.APPROVED, final_at=now, **came)
    return Step(over, (_told(over, "approved"), Finish(State.APPROVED)))


def _ended(case: ReverseCase, state: State, now: int, **reason: str) -> Moved:
    over = replace(case, state=state, final_at=now)
    return Step(over, (_notify(over, str(state), **reason), Finish(state)))


def _told(case: ReverseCase, what: str) -> Notify:
    told: dict[str, Json] = {"from": case.sender, "assurance": case.assurance, "received_at": case.received_at}
    return Notify(f"{WORKFLOW}.{what}", _common(case) | told)


def _notify(case: ReverseCase, what: str, **more: Json) -> Notify:
    return Notify(f"{WORKFLOW}.{what}", _common(case) | more)


def _common(case: ReverseCase) -> dict[str, Json]:
    return {"reverse_id": case.id, "state": case.state, "to": case.number, "reference": case.reference or None}


_FIELDS: Final = {
    "reverse_id": "the reverse verification",
    "state": "its state after this event",
    "to": "your number that its code is sent to",
    "reference": "the caller's own reference, or null",
}
_CAME: Final = {
    **_FIELDS,
    "from": "who sent the code, masked; the full number is in the GET with the secret",
    "assurance": "mo_unauthenticated, or mo_trusted if the operator checks its senders",
    "received_at": "when the SMS came",
}
EVENTS: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "reverse.started": ("A code waits for its SMS.", {**_FIELDS, "expires_at": "end of the code's life"}),
    "reverse.received": ("The code came; the application is to confirm it.", _CAME),
    "reverse.approved": ("The code came, and was confirmed if that was asked for.", _CAME),
    "reverse.refused": (
        "The code came from another number than the claimed one (it waits on), or the user said that it was not them.",
        {**_FIELDS, "reason": "another_number or not_me", "reply_id": "the SMS from another number"},
    ),
    "reverse.failed": ("The code came from too many other numbers: it is void.", {**_FIELDS, "reason": "why"}),
    "reverse.expired": ("The code's life ended.", _FIELDS),
    "reverse.canceled": ("It was given up.", _FIELDS),
}
LIFE_LEAST_S: Final = 60
LIFE_MOST_S: Final = 1_800
