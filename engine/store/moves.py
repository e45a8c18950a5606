"""The allowed moves of every kind of row, written down once.

A guarded statement names the states it expects and the state it leads to; a move that is not listed here raises when
the statement is built, before any row is touched. The diagrams of `docs/` are drawn from these tables.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engine.errors import NotAllowed


@dataclass(frozen=True, slots=True)
class Moves:
    """One kind of row: each state and the states it may move to; a state without moves is final."""

    kind: str
    table: Mapping[str, frozenset[str]]
    final: frozenset[str] = frozenset()  # the states without moves

    def check(self, state: str, to: str) -> None:
        """Raise `NotAllowed` unless a row in `state` may move to `to`."""
        if to not in self.table.get(state, frozenset()):
            raise NotAllowed(f"a {self.kind} may not move from {state} to {to}")


def _moves(kind: str, **table: str) -> Moves:
    moves = {state: frozenset(nexts.split()) for state, nexts in table.items()}
    return Moves(kind, moves, frozenset(state for state, nexts in moves.items() if not nexts))


MESSAGE: Final = _moves(
    "message",
    # The last line of each: a late answer or receipt of a first submit overtakes the second one.
    queued="on_wire waiting expired canceled failed rejected accepted delivered undelivered unknown",
    waiting="queued expired canceled rejected accepted delivered undelivered unknown",
    on_wire="accepted queued waiting in_doubt rejected expired canceled",
    # Sent, no answer seen: a late response, a receipt, or the policy of its class resolves it.
    in_doubt="accepted queued waiting delivered undelivered expired rejected unknown canceled",
    accepted="delivered undelivered expired rejected unknown",
    # Final for now: a receipt may still come and is believed.
    unknown="delivered undelivered expired rejected",
    delivered="",
    undelivered="",
    expired="",
    rejected="",
    failed="",
    canceled="",
)

PART: Final = _moves(
    "part",
    on_wire="accepted refused in_doubt unsent",
    in_doubt="accepted refused delivered undelivered expired rejected unknown superseded",
    accepted="delivered undelivered expired rejected unknown",
    unknown="delivered undelivered expired rejected",
    # A throttled or unsent part goes out again under the same attempt number.
    refused="on_wire",
    unsent="on_wire",
    superseded="delivered undelivered expired rejected",
    delivered="",
    undelivered="",
    expired="",
    rejected="",
)

CASE: Final = _moves(
    "verification",
    pending="approved expired max_attempts canceled failed blocked",
    approved="",
    expired="",
    max_attempts="",
    canceled="",
    failed="",
    blocked="",
)

TIMER: Final = _moves("timer", armed="fired disarmed", fired="", disarmed="")

DELIVERY: Final = _moves("webhook delivery", pending="delivered dead", dead="pending", delivered="pending")

PARKED: Final = _moves("parked message", parked="replayed", replayed="")
