"""Owing an event to an endpoint once more, at the caller's wish, and telling what became of deliveries.

Store functions; the API calls them and rings the dispatcher after the commit. A replayed event keeps its id and its
octets, and goes again from the first attempt.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, literal_column, null, select
from sqlalchemy.dialects import postgresql, sqlite

from engine.store.moves import DELIVERY
from engine.store.statements import Dialect, Statement, is_one_of
from engine.store.tables import Event
from engine.store.tables_tenancy import Endpoint, WebhookDelivery
from engine.store.transaction import Tx

# The table of moves decides from which states a delivery may be owed again.
REPLAYABLE: Final = tuple(sorted(state for state, nexts in DELIVERY.table.items() if "pending" in nexts))


class Delivery(NamedTuple):
    """What became of one event at one endpoint, for a subject's timeline; instants in µs.

    `next_at` is when one that is owed is tried next, and when a dead one was given up.
    """

    endpoint_id: str
    event_id: str
    type: str
    sequence: int
    state: str
    attempts: int
    last_status: int | None
    next_at: int
    delivered_at: int | None
    occurred_at: int


def replay(tx: Tx, application_id: str, endpoint_id: str, positions: Sequence[int], now: int) -> int | None:
    """Owe events of the application's feed to one of its endpoints again, or for the first time.

    Returns how many are newly owed (those still owed are left alone), or None if the application has no such endpoint.
    """
    if tx.one(_IS_OURS, application=application_id, endpoint=endpoint_id) is None:
        return None
    given = [(position,) for position in positions]
    return tx.batch(_REPLAY, given, application=application_id, endpoint=endpoint_id, now=now)


def dead_positions(tx: Tx, application_id: str, endpoint_id: str, after: int, most: int) -> list[int]:
    """Return the positions after one of the events that an endpoint never took, to be handed to `replay`."""
    found = tx.all(_DEAD, application=application_id, endpoint=endpoint_id, after=after, most=most)
    return [int(row[0]) for row in found]


def deliveries_of(tx: Tx, application_id: str, subjects: Sequence[str]) -> list[Delivery]:
    """Return the deliveries of an application's subjects: each one's events in order, at every endpoint."""
    return [Delivery(*row) for row in tx.joined(_OF_SUBJECTS, [(application_id, subject) for subject in subjects])]


def waiting(tx: Tx) -> int:
    """Return how many events are owed to endpoints, for metrics."""
    row = tx.one(_WAITING)
    return 0 if row is None else int(row[0])


# Statements.

_delivery: Any = WebhookDelivery.__table__  # type: ignore[attr-defined]
_event: Any = Event.__table__  # type: ignore[attr-defined]
_endpoint: Any = Endpoint.__table__  # type: ignore[attr-defined]
_OWN: Final = _delivery.c.application_id == bindparam("application")


def _build_replay(dialect: Dialect) -> Any:
    given = dialect.given(position=int)
    make: Any = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
    source = (
        select(
            bindparam("endpoint").label("endpoint_id"),
            _event.c.position,
            _event.c.application_id,
            _event.c.subject_id,
            bindparam("now", type_=BigInteger()).label("next_at"),
        )
        .select_from(given.join(_event, _event.c.position == given.c.position))
        .where(_event.c.application_id == bindparam("application"))
    )
    query = make(_delivery).from_select(
        ["endpoint_id", "position", "application_id", "subject_id", "next_at"], source, include_defaults=False
    )
    return query.on_conflict_do_update(
        index_elements=["endpoint_id", "position"],
        set_={
            "state": literal_column("'pending'"),
            "batch_id": null(),
            "attempts": literal_column("0"),
            "next_at": query.excluded.next_at,
            "last_status": null(),
            "delivered_at": null(),
        },
        where=is_one_of(_delivery.c.state, REPLAYABLE),
    )


def _build_of_subjects(dialect: Dialect) -> Any:
    # The application is given with each subject: as a parameter, SQLite might begin with all its events.
    given = dialect.given(application_id=str, subject_id=str)
    is_given = (_delivery.c.subject_id == given.c.subject_id) & (_delivery.c.application_id == given.c.application_id)
    is_told = (_event.c.application_id == _delivery.c.application_id) & (_event.c.position == _delivery.c.position)
    return (
        select(
            _delivery.c.endpoint_id,
            _event.c.id.label("event_id"),
            _event.c.type,
            _event.c.sequence,
            _delivery.c.state,
            _delivery.c.attempts,
            _delivery.c.last_status,
            _delivery.c.next_at,
            _delivery.c.delivered_at,
            _event.c.occurred_at,
        )
        .select_from(given.join(_delivery, is_given).join(_event, is_told))
        .order_by(_delivery.c.subject_id, _event.c.sequence, _delivery.c.endpoint_id)
    )


_IS_OURS: Final = Statement(
    lambda _: select(_endpoint.c.id).where(
        _endpoint.c.id == bindparam("endpoint"),
        _endpoint.c.application_id == bindparam("application"),
        is_one_of(_endpoint.c.state, ("enabled", "disabled")),
    )
)
_REPLAY: Final = Statement(_build_replay)
_DEAD: Final = Statement(
    lambda _: (
        select(_delivery.c.position)
        .where(
            _OWN,
            _delivery.c.endpoint_id == bindparam("endpoint"),
            _delivery.c.position > bindparam("after"),
            is_one_of(_delivery.c.state, ("dead",)),
        )
        .order_by(_delivery.c.position)
        .limit(bindparam("most"))
    )
)
_OF_SUBJECTS: Final = Statement(_build_of_subjects)
_WAITING: Final = Statement(
    lambda _: select(func.count()).select_from(_delivery).where(_delivery.c.state == literal_column("'pending'"))
)
