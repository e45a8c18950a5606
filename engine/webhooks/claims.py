"""Deliveries as rows: reading what is due, fixing the members of batches, settling what was posted.

Store functions only. A row is ready when it is due and no earlier row of its subject is still owed to the endpoint; the
feeder holds what it has read in memory, so a claim writes nothing but the membership of a batch.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, literal_column, null, select, tuple_

from engine.errors import Conflict
from engine.store.moves import DELIVERY
from engine.store.statements import Dialect, Statement
from engine.store.tables import Event
from engine.store.tables_tenancy import Endpoint, WebhookDelivery
from engine.store.transaction import Tx


class Due(NamedTuple):
    """One event owed to an endpoint, with what its post says; `earlier` counts owed rows of its subject before it."""

    position: int
    subject_id: str
    attempts: int
    next_at: int
    batch_id: str | None
    earlier: int
    event_id: str
    type: str
    sequence: int
    data: str
    occurred_at: int


class Target(NamedTuple):
    """An endpoint as its feeder needs it."""

    application_id: str
    url: str
    secrets_sealed: str
    mode: str
    concurrency: int
    state: str
    full_numbers: int


class Page(NamedTuple):
    """What one look found: the endpoint, ready rows in (next_at, position) order, members of batches that are due,
    whether the look reached the end of what is due, and when the next row becomes due.
    """

    target: Target | None
    rows: list[Due]
    members: list[Due]
    exhausted: bool
    next_due: int | None


class Look(NamedTuple):
    """Where to look: due rows after the cursor (next_at, position), at most so many, without the batches in hand."""

    now: int
    after: tuple[int, int]
    most: int
    batches: frozenset[str]


class Settled(NamedTuple):
    """What became of one row: its state, the HTTP status, when it is due again, when it was delivered."""

    position: int
    state: str  # delivered | dead | pending
    status: int
    next_at: int
    delivered_at: int | None


def page(tx: Tx, endpoint_id: str, look: Look) -> Page:
    """Return what is ready for an endpoint. In single mode only the first owed row of each subject is ready; in batch
    mode the following ones are, unless an earlier one is in a batch already.
    """
    row = tx.one(_TARGET, endpoint=endpoint_id)
    target = None if row is None else Target(*row)
    if target is None or target.state != "enabled":
        return Page(target, [], [], exhausted=True, next_due=None)
    statement = _HEADS if target.mode == "single" else _UNBATCHED
    found = tx.all(
        statement, endpoint=endpoint_id, now=look.now, due=look.after[0], position=look.after[1], most=look.most
    )
    rows = [Due(*one) for one in found]
    batches = {(due.batch_id, due.next_at) for due in rows if due.batch_id not in {None, *look.batches}}
    members = [
        Due(*one)
        for batch_id, due in sorted(batches)
        for one in tx.all(_MEMBERS, endpoint=endpoint_id, batch=batch_id, due=due)
    ]
    exhausted = len(rows) < look.most
    upcoming = tx.one(_NEXT_DUE, endpoint=endpoint_id, now=look.now) if exhausted else None
    return Page(target, rows, members, exhausted, None if upcoming is None else int(upcoming[0]))


def stamp(tx: Tx, endpoint_id: str, members: Sequence[tuple[int, str]], now: int) -> None:
    """Fix the membership of new batches: rows of (position, batch id). Raises `Conflict`, and nothing happens, if one
    of the rows is no longer owed or in a batch already.
    """
    if tx.batch(_STAMP, members, endpoint=endpoint_id, now=now) != len(members):
        raise Conflict("a row of the batch was taken meanwhile")


def settle(tx: Tx, endpoint_id: str, rows: Sequence[Settled], freed: Collection[str], now: int) -> list[Due]:
    """Write what became of posted rows; return the row of each of the `freed` subjects that is owed next."""
    tx.batch(_SETTLE, rows, endpoint=endpoint_id)
    firsts = tx.joined(_FIRST_OWED, [(subject,) for subject in sorted(freed)], endpoint=endpoint_id)
    positions = sorted((endpoint_id, int(row[0])) for row in firsts if row[0] is not None)
    followers = [Due(*one) for one in tx.joined(_FOLLOWERS, positions)]
    return [due for due in followers if due.next_at <= now and due.batch_id is None]


def disable(tx: Tx, endpoint_id: str, reason: str) -> bool:
    """Disable an enabled endpoint; what it is owed stays owed."""
    return bool(tx.run(_DISABLE, endpoint=endpoint_id, reason=reason))


def recall(tx: Tx, endpoint_id: str, now: int) -> int:
    """Make due at once what failed for want of an answer, after the endpoint has recovered; return how many rows.

    Rows late in the table keep their pause, so that an endpoint that comes and goes does not use the table up.
    """
    return tx.run(_RECALL, endpoint=endpoint_id, now=now)


def endpoints_with_work(tx: Tx, before: int) -> list[tuple[str, str]]:
    """Return (endpoint, its state) for each that is owed a row due before an instant: one seek each."""
    found: list[tuple[str, str]] = []
    endpoint_id = ""
    while (row := tx.one(_NEXT_ENDPOINT, endpoint=endpoint_id)) is not None:
        endpoint_id, due, state = row
        if due < before or state == "deleted":
            found.append((endpoint_id, state))
    return found


def abandon(tx: Tx, endpoint_id: str, most: int, now: int) -> int:
    """Give up at most so many rows owed to a deleted endpoint; return how many."""
    rows = tx.all(_OWED, endpoint=endpoint_id, most=most)
    tx.batch(_ABANDON, rows, endpoint=endpoint_id, now=now)
    return len(rows)


def earlier_first(rows: Iterable[Due]) -> list[Due]:
    """Return rows in the order of their positions."""
    return sorted(rows, key=_position)


def _position(due: Due) -> int:
    return due.position


# Statements.

_delivery: Any = WebhookDelivery.__table__  # type: ignore[attr-defined]
_event: Any = Event.__table__  # type: ignore[attr-defined]
_endpoint: Any = Endpoint.__table__  # type: ignore[attr-defined]
_before: Any = _delivery.alias("before")

for _to in ("delivered", "dead"):
    DELIVERY.check("pending", _to)

# Written out, and as an equation: so both databases see that the partial index applies.
_PENDING: Final[Any] = literal_column("'pending'")
_IS_OWED: Final = _delivery.c.state == _PENDING
_IS_OWED_BEFORE: Final = (
    (_before.c.endpoint_id == _delivery.c.endpoint_id)
    & (_before.c.subject_id == _delivery.c.subject_id)
    & (_before.c.position < _delivery.c.position)
    & (_before.c.state == _PENDING)
)
_EARLIER: Final = (
    select(func.count()).select_from(_before).where(_IS_OWED_BEFORE).correlate(_delivery).scalar_subquery()
)


def _due_columns(earlier: Any) -> list[Any]:
    own = [_delivery.c[name] for name in Due._fields[:5]]
    return [
        *own,
        earlier.label("earlier"),
        _event.c.id.label("event_id"),
        *(_event.c[name] for name in Due._fields[7:]),
    ]


_NONE_EARLIER: Final = literal_column("0", BigInteger())
_ENDPOINT: Final = _delivery.c.endpoint_id == bindparam("endpoint")
_IS_TOLD: Final = (_event.c.application_id == _delivery.c.application_id) & (_event.c.position == _delivery.c.position)
_JOINED: Final = _delivery.join(_event, _IS_TOLD)


def _build_page(*, heads: bool) -> Any:
    blocking = select(_before.c.position).where(_IS_OWED_BEFORE)
    if not heads:
        blocking = blocking.where(_before.c.batch_id.is_not(null()))
    cursor = tuple_(bindparam("due", type_=BigInteger()), bindparam("position", type_=BigInteger()))
    order = (_delivery.c.next_at, _delivery.c.position)
    ready = ~blocking.correlate(_delivery).exists()
    return (
        select(*_due_columns(_NONE_EARLIER if heads else _EARLIER))
        .select_from(_JOINED)
        .where(_ENDPOINT, _IS_OWED, _delivery.c.next_at <= bindparam("now"), tuple_(*order) > cursor)
        # A member of a batch comes with its batch, which was formed when nothing of its subjects was owed before.
        .where(ready | _delivery.c.batch_id.is_not(null()))
        .order_by(*order)
        .limit(bindparam("most"))
    )


def _build_first_owed(dialect: Dialect) -> Any:
    given = dialect.given(subject_id=str)
    first = select(func.min(_before.c.position)).where(
        _before.c.endpoint_id == bindparam("endpoint"),
        _before.c.subject_id == given.c.subject_id,
        _before.c.state == _PENDING,
    )
    return select(first.correlate(given).scalar_subquery().label("position")).select_from(given)


def _build_followers(dialect: Dialect) -> Any:
    given = dialect.given(endpoint_id=str, position=int)
    # The endpoint is given with each position: as a parameter, SQLite would begin with all its deliveries.
    is_given = (_delivery.c.endpoint_id == given.c.endpoint_id) & (_delivery.c.position == given.c.position)
    return select(*_due_columns(_NONE_EARLIER)).select_from(given.join(_delivery, is_given).join(_event, _IS_TOLD))


def _build_stamp(dialect: Dialect) -> Any:
    given = dialect.given(position=int, batch_id=str)
    return (
        _delivery.update()
        .where(_ENDPOINT, _delivery.c.position == given.c.position, _IS_OWED, _delivery.c.batch_id.is_(null()))
        # One instant for all its members: a batch is found again by it.
        .values(batch_id=given.c.batch_id, next_at=bindparam("now", type_=BigInteger()))
    )


def _build_settle(dialect: Dialect) -> Any:
    given = dialect.given(position=int, state=str, status=int, next_at=int, delivered_at=int)
    return (
        _delivery.update()
        .where(_ENDPOINT, _delivery.c.position == given.c.position, _IS_OWED)
        .values(
            state=given.c.state,
            attempts=_delivery.c.attempts + 1,
            last_status=given.c.status,
            next_at=given.c.next_at,
            delivered_at=given.c.delivered_at,
        )
    )


def _build_abandon(dialect: Dialect) -> Any:
    given = dialect.given(position=int)
    return (
        _delivery.update()
        .where(_ENDPOINT, _delivery.c.position == given.c.position, _IS_OWED)
        .values(state="dead", batch_id=null(), next_at=bindparam("now", type_=BigInteger()))
    )


_TARGET: Final = Statement(
    lambda _: select(*[_endpoint.c[name] for name in Target._fields]).where(_endpoint.c.id == bindparam("endpoint"))
)
_HEADS: Final = Statement(lambda _: _build_page(heads=True))
_UNBATCHED: Final = Statement(lambda _: _build_page(heads=False))
_MEMBERS: Final = Statement(
    lambda _: (
        select(*_due_columns(_NONE_EARLIER))
        .select_from(_JOINED)
        .where(_ENDPOINT, _IS_OWED, _delivery.c.next_at == bindparam("due"), _delivery.c.batch_id == bindparam("batch"))
        .order_by(_delivery.c.position)
    )
)
_FIRST_OWED: Final = Statement(_build_first_owed)
_FOLLOWERS: Final = Statement(_build_followers)
_STAMP: Final = Statement(_build_stamp)
_SETTLE: Final = Statement(_build_settle)
_ABANDON: Final = Statement(_build_abandon)
_NEXT_DUE: Final = Statement(
    lambda _: (
        select(_delivery.c.next_at)
        .where(_ENDPOINT, _IS_OWED, _delivery.c.next_at > bindparam("now"))
        .order_by(_delivery.c.next_at)
        .limit(1)
    )
)
_NEXT_ENDPOINT: Final = Statement(
    lambda _: (
        select(_delivery.c.endpoint_id, _delivery.c.next_at, _endpoint.c.state)
        .select_from(_delivery.join(_endpoint, _endpoint.c.id == _delivery.c.endpoint_id))
        .where(_delivery.c.endpoint_id > bindparam("endpoint"), _IS_OWED)
        .order_by(_delivery.c.endpoint_id, _delivery.c.next_at)
        .limit(1)
    )
)
_OWED: Final = Statement(lambda _: select(_delivery.c.position).where(_ENDPOINT, _IS_OWED).limit(bindparam("most")))
_RECALL: Final = Statement(
    lambda _: (
        _delivery.update()
        .where(
            _ENDPOINT,
            _IS_OWED,
            _delivery.c.next_at > bindparam("now", type_=BigInteger()),
            _delivery.c.attempts.between(1, _RECALLED_ATTEMPTS),
            (_delivery.c.last_status == 0) | (_delivery.c.last_status >= 500),
        )
        .values(next_at=bindparam("now", type_=BigInteger()))
    )
)
_RECALLED_ATTEMPTS: Final = 4
_DISABLE: Final = Statement(
    lambda _: (
        _endpoint.update()
        .where(_endpoint.c.id == bindparam("endpoint"), _endpoint.c.state == "enabled")
        .values(state="disabled", disabled_reason=bindparam("reason"))
    )
)
