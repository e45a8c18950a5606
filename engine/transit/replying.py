"""Store functions for what handsets send: stored once, parts joined across binds and restarts, then handed to a case.

Texts of one part are taken together, one statement for all; parts of longer ones each by itself. Intake and the duty
that gives up on missing parts are the callers; matching and stepping belong to `engine.cases`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, literal_column, select

from engine.smpp.pdu import DataSm, DeliverSm
from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new
from engine.store.tables import Reply, ReplyPart
from engine.store.transaction import Tx, is_of_database
from engine.transit.books import Bells
from engine.transit.parking import park
from engine.transit.redelivery import ReceivedPart, redelivered, take_over

_REUSED_AFTER_US: Final = 120 * 1_000_000  # another part under the same number: a new message with an old reference
GIVE_UP_MOST: Final = 50  # a savepoint each


class JoinedReply(NamedTuple):
    """A whole reply: its text in the clear, for the matching of this transaction only."""

    id: str
    account: str
    source: str
    source_raw: str
    our_number: str
    text: str
    state: str  # whole | incomplete | binary
    flags: str
    received_at: int


class ReplyRow(NamedTuple):
    """A reply's row, in the order of the table's columns."""

    id: str
    application_id: str | None
    case_id: str | None
    account: str
    source: str
    source_raw: str
    source_fp: str
    our_number: str
    sealed: str
    state: str
    choice: str
    flags: str
    received_at: int


@dataclass(frozen=True, slots=True)
class Joining:
    """How parts become replies: `join` opens the sealed PDUs of one, `whole` reads one that a PDU holds alone, and
    `on_replies` stores them, in order, with what they cause. `session_ended` tells when a session of ours ended, None
    if it still stands.
    """

    join: Callable[
        [str, Sequence[tuple[str, str]], int, bool], JoinedReply
    ]  # account, (row id, sealed) of each part, when the first came, whole?
    whole: Callable[[str, DeliverSm | DataSm, int], JoinedReply]
    on_replies: Callable[[Tx, Sequence[JoinedReply], int], Bells]
    session_ended: Callable[[str], int | None]


Delivery = tuple[ReceivedPart, DeliverSm | DataSm]


def receive_all(tx: Tx, account: str, deliveries: Sequence[Delivery], joining: Joining, now: int) -> tuple[Bells, int]:
    """Store what one account delivered, in order; return the webhook bells, and how many parts wait for others."""
    bells: Bells = []
    waiting = 0
    for is_whole, some in groupby(deliveries, lambda one: one[0].total == 1):
        if is_whole:
            bells += _receive_whole(tx, account, list(some), joining, now)
            continue
        for part, _pdu in some:
            rung, what = receive(tx, part, joining, now)
            bells += rung
            waiting += what == "waiting"
    return bells, waiting


def _receive_whole(tx: Tx, account: str, deliveries: Sequence[Delivery], joining: Joining, now: int) -> Bells:
    known, taken_over = redelivered(tx, account, [part for part, _ in deliveries], joining.session_ended, now)
    rows: list[tuple[Any, ...]] = []
    replies: list[JoinedReply] = []
    for part, pdu in deliveries:
        if part.id not in known:
            reply = joining.whole(account, pdu, part.received_at)
            replies.append(reply)
            rows.append((*part, reply.id))
    tx.batch(_INSERT_WHOLE, rows)
    take_over(tx, taken_over)
    return joining.on_replies(tx, replies, now) if replies else []


def receive(tx: Tx, part: ReceivedPart, joining: Joining, now: int) -> tuple[Bells, str]:
    """Store one part of several; if it completes a reply, join it and hand it on.

    Returns the webhook bells and what the part was: `redelivery`, `duplicate`, `conflict`, `waiting` or `joined`.
    """
    known, taken_over = redelivered(tx, part.account, [part], joining.session_ended, now)
    if known:
        take_over(tx, taken_over)
        return [], "redelivery"
    own = _Waiting(part.id, part.part, part.sealed, part.digest, part.received_at)
    bells: Bells = []
    waiting = _open_parts(tx, part.account, part.join_key)
    same = [one for one in waiting if one.part == part.part]
    if any(one.digest == part.digest for one in same):
        return [], "duplicate"
    if same and part.received_at - waiting[0].received_at > _REUSED_AFTER_US:
        # The handset has come round to this reference again: what waits under it will never be whole (E4).
        bells = _join(tx, part.account, waiting, joining, now, complete=False)
        waiting = []
    elif same:
        # The first is read; the other is kept beside it, once, so that the reply says so (E3).
        if len(same) == 1:
            tx.batch(_INSERT, [part])
        return [], "conflict"
    tx.batch(_INSERT, [part])
    waiting.append(own)
    if len({one.part for one in waiting}) < part.total:
        return bells, "waiting"
    return bells + _join(tx, part.account, waiting, joining, now, complete=True), "joined"


def acknowledged(tx: Tx, account: str, digests: Sequence[str], now: int) -> None:
    """Note that responses to these replies were written: an equal PDU after this is a new answer, not a
    redelivery.
    """
    tx.batch(_ACKNOWLEDGE, [(account, digest, now) for digest in digests])


class GivenUp(NamedTuple):
    """What a look at waiting parts came to: incomplete replies that were handed on, and those that had to be parked."""

    bells: Bells
    replies: int
    parked: int


def give_up(tx: Tx, joining: Joining, before: int, caps: tuple[int, int], now: int) -> GivenUp:
    """Join what exists of replies whose parts have waited since `before`, and the oldest beyond the caps: parts of
    one pair of numbers, and parts in all (E2, E6). At most `GIVE_UP_MOST` replies; one that raises is parked.
    """
    per_pair, overall = caps
    row = tx.one(_COUNT_OPEN)
    waiting = 0 if row is None else int(row[0])
    sets = tx.all(_STALE, before=before, most=GIVE_UP_MOST)
    if not sets and waiting > per_pair:
        crowded = tx.all(_CROWDED, per_pair=per_pair, most=GIVE_UP_MOST)
        sets = [key for account, pair in crowded for key in tx.all(_OLDEST_OF_PAIR, account=account, pair=pair)]
    if not sets and waiting > overall:
        sets = tx.all(_OLDEST, most=min(waiting - overall, GIVE_UP_MOST))
    bells: Bells = []
    parked = 0
    for account, join_key in sets:
        parts = _open_parts(tx, account, join_key)
        try:
            bells += tx.apart(partial(_join, tx, account, parts, joining, now, complete=False))
        except Exception as error:
            if is_of_database(error):
                raise
            set_aside(tx, account, join_key, type(error).__name__, now)
            parked += 1
    return GivenUp(bells, len(sets) - parked, parked)


def set_aside(tx: Tx, account: str, join_key: str, error: str, now: int) -> None:
    """Park the waiting parts of a reply that cannot be handed on."""
    rows = tx.all(_WHOLE_ROWS, account=account, join_key=join_key)
    park(tx, [(part_id, account, bind, sealed, error, int(at)) for part_id, bind, sealed, at in rows])
    tx.batch(_REMOVE, [(row[0],) for row in rows])


def put_replies(tx: Tx, replies: Sequence[ReplyRow]) -> None:
    """Insert replies."""
    tx.batch(_INSERT_REPLY, replies)


class _Waiting(NamedTuple):
    """A part that waits for its siblings."""

    id: str
    part: int
    sealed: str
    digest: str
    received_at: int


def _open_parts(tx: Tx, account: str, join_key: str) -> list[_Waiting]:
    rows = tx.all(_SIBLINGS, account=account, join_key=join_key)
    return [_Waiting(row[0], int(row[1]), row[2], row[3], int(row[4])) for row in rows]


def _join(tx: Tx, account: str, parts: Sequence[_Waiting], joining: Joining, now: int, *, complete: bool) -> Bells:
    first_came = min(one.received_at for one in parts)
    reply = joining.join(account, [(one.id, one.sealed) for one in parts], first_came, complete)
    tx.batch(_CLOSE, [(one.id, reply.id) for one in parts])
    return joining.on_replies(tx, [reply], now)


# Statements.

_part: Any = ReplyPart.__table__  # type: ignore[attr-defined]
_INSERT: Final = insert_new(ReplyPart, column_kinds(ReplyPart, *ReceivedPart._fields))
_INSERT_WHOLE: Final = insert_new(ReplyPart, column_kinds(ReplyPart, *ReceivedPart._fields, "reply_id"))
_INSERT_REPLY: Final = insert(Reply, column_kinds(Reply))
assert ReplyRow._fields == tuple(column_kinds(Reply))
_open: Any = _part.c.reply_id.is_(None)


def _build_acknowledge(dialect: Dialect) -> Any:
    given = dialect.given(account=str, digest=str, at=int)
    return (
        _part.update()
        .where(
            _part.c.account == given.c.account,
            _part.c.digest == given.c.digest,
            _part.c.acknowledged == literal_column("0"),
        )
        .values(acknowledged=given.c.at)
    )


def _build_close(dialect: Dialect) -> Any:
    given = dialect.given(id=str, reply_id=str)
    return _part.update().where(_part.c.id == given.c.id).values(reply_id=given.c.reply_id)


def _build_remove(dialect: Dialect) -> Any:
    given = dialect.given(id=str)
    return _part.delete().where(_part.c.id.in_(select(given.c.id)))


def _sets() -> Any:
    return select(_part.c.account, _part.c.join_key).where(_open).group_by(_part.c.account, _part.c.join_key)


_pair: Any = func.substr(_part.c.join_key, literal_column("1"), literal_column("32"))  # `reading` puts it first
_age: Any = func.min(_part.c.received_at)

_ACKNOWLEDGE: Final = Statement(_build_acknowledge)
_REMOVE: Final = Statement(_build_remove)
_CLOSE: Final = Statement(_build_close)
_SIBLINGS: Final = Statement(
    lambda dialect: dialect.locked(
        select(_part.c.id, _part.c.part, _part.c.sealed, _part.c.digest, _part.c.received_at)
        .where(_open, _part.c.account == bindparam("account"), _part.c.join_key == bindparam("join_key"))
        .order_by(_part.c.received_at, _part.c.id)
    )
)
_WHOLE_ROWS: Final = Statement(
    lambda dialect: dialect.locked(
        select(_part.c.id, _part.c.bind, _part.c.sealed, _part.c.received_at)
        .where(_open, _part.c.account == bindparam("account"), _part.c.join_key == bindparam("join_key"))
        .order_by(_part.c.received_at, _part.c.id)
    )
)
_COUNT_OPEN: Final = Statement(lambda _: select(func.count()).select_from(_part).where(_open))
_STALE: Final = Statement(
    lambda _: _sets().having(_age < bindparam("before", type_=BigInteger())).order_by(_age).limit(bindparam("most"))
)
_OLDEST: Final = Statement(lambda _: _sets().order_by(_age).limit(bindparam("most")))
_CROWDED: Final = Statement(
    lambda _: (
        select(_part.c.account, _pair)
        .where(_open)
        .group_by(_part.c.account, _pair)
        .having(func.count() > bindparam("per_pair", type_=BigInteger()))
        .limit(bindparam("most"))
    )
)
_OLDEST_OF_PAIR: Final = Statement(
    lambda _: (
        _sets()
        .where(_part.c.account == bindparam("account"), _pair == bindparam("pair"))
        .order_by(_age)
        .limit(literal_column("1"))
    )
)
