"""A message's row as a batch has it in hand: changed in place, moved as the table of moves allows, written back once.

`settling` decides on it, `queue` loads and stores it.
"""

from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from engine.store.moves import MESSAGE

# What the row of a message holds, in the order in which `queue.load` selects it.
TALLY_COLUMNS: Final = (
    "id", "application_id", "case_id", "category", "message_class", "lane", "route", "state", "recipient", "sender",
    "reference", "parts", "open_parts", "unanswered", "attempts", "doubts", "throttles", "resend", "worst", "account",
    "status", "reason", "number_unverified", "simulated", "sequence", "created_at", "due_at", "expires_at",
    "accepted_at", "final_at",
)  # fmt: skip


class Raised(NamedTuple):
    """An event that a tally's change owes to the application's feed."""

    type: str
    sequence: int
    state: str
    reason: str | None = None


@dataclass(slots=True)
class Tally:
    """A message's row as loaded, changed in place; `was` is the state that the guarded write expects."""

    id: str
    application_id: str
    case_id: str | None
    category: str
    message_class: str
    lane: int
    route: str
    state: str
    recipient: str
    sender: str
    reference: str | None
    parts: int
    open_parts: int
    unanswered: int
    attempts: int
    doubts: int
    throttles: int
    resend: str | None
    worst: str | None
    account: str | None
    status: int | None
    reason: str | None
    number_unverified: int
    simulated: int
    sequence: int
    created_at: int
    due_at: int | None
    expires_at: int
    accepted_at: int | None
    final_at: int | None
    was: str = ""
    doubtful: bool = False  # an earlier submit of it may have arrived
    raised: list[Raised] = field(default_factory=list)
    _before: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.was = self.state
        self._before = self._rare

    @property
    def _rare(self) -> tuple[Any, ...]:
        return (self.route, self.attempts, self.doubts, self.throttles, self.resend, self.due_at)

    @property
    def took_a_turn(self) -> bool:
        """Tell whether more changed than an answer or a receipt changes: a retry, a doubt, another route."""
        return self._rare != self._before

    def move(self, to: str, event: str | None = None) -> None:
        """Change the state as the table of moves allows; raise the event `message.<event>`."""
        if to != self.state:
            MESSAGE.check(self.state, to)
            self.state = to
        if event is not None:
            self.sequence += 1
            self.raised.append(Raised(f"message.{event}", self.sequence, to, self.reason))

    def finish(self, state: str, now: int, reason: str | None = None) -> None:
        """Move to a final state and raise its event."""
        self.final_at = now
        if reason is not None:
            self.reason = reason
        self.move(state, state)


def tally_of(row: tuple[Any, ...]) -> Tally:
    """Return the tally of a row selected in the order of `TALLY_COLUMNS`."""
    return Tally(*row)
