"""What a call or a reply comes to, for the API, commands and intake: a code, the public facts, and what to wake.

Values only; the store functions of conversations make them, routes turn a call's code into an HTTP status.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from engine.clock import to_rfc3339
from engine.transit.backlog import QueueKey
from engine.transit.books import Bells

ENGINE: Final = "engine"  # who acts where nobody called


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a call, to be told after its commit.

    `body` is the public representation, or a refusal's extra members. `secret` names the members that must not be
    kept in an idempotency record. `queued` and `bells` wake senders and webhooks; `on_air` are messages that need
    not arrive any more.
    """

    code: str
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)
    queued: tuple[QueueKey, ...] = ()
    bells: tuple[tuple[str, str], ...] = ()
    secret: frozenset[str] = frozenset()
    on_air: tuple[str, ...] = ()


NOT_FOUND: Final = Outcome("not_found")


@dataclass(slots=True)
class Wakes:
    """What must be woken after the commit, gathered while rows are written."""

    queued: list[QueueKey] = field(default_factory=list)
    bells: Bells = field(default_factory=list)
    on_air: list[str] = field(default_factory=list)  # messages to ask the operator to cancel

    def outcome(self, code: str, body: Mapping[str, Any], secret: frozenset[str] = frozenset()) -> Outcome:
        """Return what a call came to, with all that was gathered."""
        return Outcome(code, body, tuple(self.queued), tuple(self.bells), secret, tuple(self.on_air))


class Claimed(NamedTuple):
    """Whose a reply is: the application, its case (`""` for none), and why."""

    application_id: str
    case_id: str
    choice: str


def public(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return facts as the API shows them: instants (`…_at`, `…_until`) in RFC 3339, everything else as it is."""
    return {
        name: (to_rfc3339(value) if value else None) if name.endswith(_INSTANTS) and isinstance(value, int) else value
        for name, value in facts.items()
    }


_INSTANTS: Final = ("_at", "_until")
