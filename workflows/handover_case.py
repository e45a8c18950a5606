"""The values of a delivery: its people, its slot, its state and allowed moves, and the limits of its codes.

A code proves that whoever has it was there: the recipient, or the one delegate to whom the recipient passed it on.
`workflows.handover` conducts the conversation; `engine.cases` stores a delivery, and its people beside it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, Final, Self

from workflows.base import SECOND

CODE_LENGTHS: Final = (6, 4)
ATTEMPTS: Final[Mapping[int, int]] = {6: 5, 4: 3}
"""Wrong codes by a code's length, over all generations, people and doors of a delivery (S15)."""
DELEGATIONS: Final = 2
SENDS: Final = 10
DAY_SENDS: Final = 20
"""Messages with codes: of one delivery, and of one day to one number; resends and regenerations count."""
COOLDOWN_US: Final = 30 * SECOND
WRONG_OF_COURIER: Final = 20
"""Wrong codes of one courier on one UTC day, after which their confirmations wait for the next."""
CODE_LIFE_MOST_US: Final = 7 * 86_400 * SECOND
CODE_LIFE_LEAST_US: Final = 15 * 60 * SECOND
"""Of a code that is made when its slot is over, or nearly: its message has to arrive and be read out."""
OPEN_AFTER_US: Final = 7 * 86_400 * SECOND
"""How long after its slot a delivery may still be confirmed, attempted again or returned before it expires."""
CLAIM_LIFE_US: Final = 86_400 * SECOND
"""How long a log that is not whole holds the deliveries that it speaks of."""
GRACE_S: Final = 7_200
SLOT_MOST_S: Final = 7 * 86_400


class State(StrEnum):
    """Where a delivery stands. In `claimed`, entries made offline wait to be adjudicated; `failed` can be attempted
    again.
    """

    SCHEDULED = "scheduled"
    ARRIVING = "arriving"
    CLAIMED = "claimed"
    LOCKED = "locked"
    FAILED = "failed"
    DELIVERED = "delivered"
    RETURNED = "returned"
    CANCELED = "canceled"
    EXPIRED = "expired"


_FINAL: Final = frozenset({State.DELIVERED, State.RETURNED, State.CANCELED, State.EXPIRED})
_OPEN: Final = frozenset(State) - _FINAL
MOVES: Final[Mapping[State, frozenset[State]]] = {
    State.SCHEDULED: (_OPEN | _FINAL) - {State.SCHEDULED},
    State.ARRIVING: (_OPEN | _FINAL) - {State.ARRIVING},
    State.CLAIMED: (_OPEN | _FINAL) - {State.CLAIMED},
    # A supervisor lets it go on, or decides it.
    State.LOCKED: _FINAL | {State.ARRIVING, State.SCHEDULED, State.FAILED},
    # Another slot gives no more attempts: without any left it is locked again.
    State.FAILED: _FINAL | {State.SCHEDULED, State.LOCKED},
    **{state: frozenset() for state in _FINAL},
}


class Door(StrEnum):
    """Where a code was entered, which is what a proof is worth; by SMS a code is passed on, and confirms nothing."""

    CODE = "code"
    QR = "qr"
    SMS = "sms"
    OFFLINE_CODE = "offline_code"
    OFFLINE_QR = "offline_qr"
    OVERRIDE = "override"


OFFLINE: Final = frozenset({Door.OFFLINE_CODE, Door.OFFLINE_QR})


class Notice(StrEnum):
    """The messages that a delivery may send, each of which can be switched off."""

    ON_THE_WAY = "on_the_way"
    ARRIVING = "arriving"
    DELIVERED = "delivered"
    MISSED = "missed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Party:
    """A person who may receive the delivery: the recipient, or a delegate; `to` is the masked number."""

    id: str
    to: str
    language: str
    auto_replies: int = 0
    auto_replies_since: int = 0


@dataclass(frozen=True, slots=True)
class Slot:
    """When the delivery is due: instants, the IANA zone in which people read them, how long a code lives after it."""

    starts_at: int
    ends_at: int
    zone: str = "UTC"
    grace_s: int = GRACE_S

    @property
    def until(self) -> int:
        """Return when codes of this slot end."""
        return self.ends_at + self.grace_s * SECOND


@dataclass(frozen=True, slots=True)
class DeliveryCase:
    """One delivery with all that it holds; no code, no number and no name.

    `holder` is whose code it is now. `generation` counts codes (0: none yet). `messages` are the roles of those that
    carried the present code, `sends` counts such messages over all generations, `tries` attempts at delivering.
    """

    id: str
    brand: str
    title: str
    slot: Slot
    created_at: int
    expires_at: int
    people: tuple[Party, ...]
    holder: str
    notices: tuple[Notice, ...] = tuple(Notice)
    code_length: int = 6
    may_delegate: bool = True
    replies: bool = False  # whether answers come home
    lead_s: int = 0  # the code leaves so long before the slot; 0: when the courier arrives
    parcels: tuple[str, ...] = ()
    reference: str = ""
    courier_reference: str = ""
    state: State = State.SCHEDULED
    generation: int = 0
    code_until: int = 0
    ready: bool = False
    messages: tuple[str, ...] = ()
    delivery: str = ""
    rerouted: bool = False
    sends: int = 0
    next_send_at: int = 0
    attempts: int = 0
    delegations: int = 0
    unlocks: int = 0
    tries: int = 1
    noticed: int = 0
    on_the_way: bool = False
    linked: int = 0  # the code of whose page the link went ahead
    eta_at: int = 0
    claimed_from: str = ""
    claimed_by: tuple[str, ...] = ()  # devices
    conflicts: int = 0
    door: str = ""
    courier: str = ""
    reason: str = ""
    delivered_at: int = 0
    final_at: int = 0

    @property
    def is_over(self) -> bool:
        """Tell whether its state is final."""
        return self.state in _FINAL

    @property
    def owner(self) -> Party:
        """Return the recipient."""
        return self.people[0]

    @property
    def holding(self) -> Party:
        """Return whose code it is."""
        return next(one for one in self.people if one.id == self.holder)

    @property
    def is_delegated(self) -> bool:
        """Tell whether the code is a delegate's."""
        return self.holder != self.owner.id

    def has_code(self, now: int) -> bool:
        """Tell whether its present code is alive."""
        return self.generation > 0 and now < self.code_until

    def sends_notice(self, notice: Notice) -> bool:
        """Tell whether this kind of message is switched on."""
        return notice in self.notices

    def with_party(self, changed: Party) -> Self:
        """Return the delivery with this person in place of the one of the same id."""
        return replace(self, people=tuple(changed if one.id == changed.id else one for one in self.people))

    def moved(self, state: State, **changes: Any) -> Self:
        """Return the delivery in another state; raises `ValueError` for a move that is not allowed."""
        if state is not self.state and state not in MOVES[self.state]:
            raise ValueError(f"a delivery may not move from {self.state} to {state}")
        return replace(self, state=state, **changes)

    def dump(self) -> dict[str, Any]:
        """Return it as a JSON object."""
        # `asdict` copies every member of every member, which a route of 200 stops pays for.
        facts = {one.name: getattr(self, one.name) for one in fields(self)}
        return facts | {"slot": asdict(self.slot), "people": [asdict(one) for one in self.people]}

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Self:
        """Return the delivery that `dump` wrote."""
        given = {
            **stored,
            "slot": Slot(**stored["slot"]),
            "people": tuple(Party(**one) for one in stored["people"]),
            "notices": tuple(Notice(one) for one in stored["notices"]),
            "parcels": tuple(stored["parcels"]),
            "claimed_by": tuple(stored["claimed_by"]),
            "messages": tuple(stored["messages"]),
            "state": State(stored["state"]),
        }
        return cls(**given)


def attempts_remaining(case: DeliveryCase) -> int:
    """Return how many wrong codes a delivery still allows."""
    return max(0, ATTEMPTS[case.code_length] - case.attempts)
