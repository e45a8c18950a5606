"""Store functions for what handsets send: stored once, parts joined across binds and restarts, then handed to a case.

A redelivery is told from a repetition by the earlier one's acknowledgement, its session's end, or the SMSC's id.
Intake and the duty that gives up on missing parts are the callers; matching and stepping belong to `engine.cases`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, literal_column, select

from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new
from engine.store.tables import Reply, ReplyPart
from engine.store.transaction import Tx, is_of_database
from engine.transit.books import Bells
from engine.transit.parking import park

_REDELIVERED_WITHIN_US: Final = 86_400 * 1_000_000
_SESSION_GRACE_US: Final = 60 * 1_000_000
_NOTED_WITHIN_US: Final = 10 * 1_000_000  # a response may be noted a little after its session's end
_RESENT_WITHIN_US: Final = 3_600 * 1_000_000  # after a session's end, an SMSC sends again what it thinks lost
_REUSED_AFTER_US: Final = 120 * 1_000_000  # another part under the same number: a new message with an old reference
GIVE_UP_MOST: Final = 50  # a savepoint each
NO_SESSION: Final = ""  # of a part that came by a replay


class ReceivedPart(NamedTuple):
    """One deliver_sm of a handset, in the order of `reply_part`'s columns; `sealed` is the raw PDU."""

    id: str
    account: str
    bind: str
    session: str
    digest: str
    join_key: str
    total: int
    part: int
    sealed: str
    smsc_id: str | None
    received_at: int


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


@dataclass(frozen=True, slots=True)
class Joining:
    """How parts become a reply: `join` opens the sealed PDUs of one reply, `on_reply` stores it with what it causes.

    `session_ended` tells when a session of ours ended, None if it still stands.
    """

    join: Callable[
        [str, Sequence[tuple[str, str]], bool], JoinedReply
    ]  # account, (row id, sealed) of each part, whole?
    on_reply: Callable[[Tx, JoinedReply, int], Bells]
    session_ended: Callable[[str], int | None]


def receive(tx: Tx, part: ReceivedPart, joining: Joining, now: int) -> tuple[Bells, str]:
    """Store one part; if it completes a reply, join it and hand it on.

    Returns the webhook bells and what the part was: `redelivery`, `duplicate`, `conflict`, `waiting` or `joined`.
    """
    if _is_redelivery(tx, part, joining.session_ended, now):
        return [], "redelivery"
    own = _Waiting(part.id, part.part, part.sealed, part.digest, part.received_at)
    if part.total == 1:
        tx.batch(_INSERT, [part])
        return _join(tx, part.account, [own], joining, now, complete=True), "joined"
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


def put_reply(tx: Tx, reply: Mapping[str, Any]) -> None:
    """Insert a reply's row; `reply` names every column."""
    tx.batch(_INSERT_REPLY, [tuple(reply[name] for name in column_kinds(Reply))])


class _Waiting(NamedTuple):
    """A part that waits for its siblings."""

    id: str
    part: int
    sealed: str
    digest: str
    received_at: int


def _is_redelivery(tx: Tx, part: ReceivedPart, session_ended: Callable[[str], int | None], now: int) -> bool:
    earlier = tx.all(_EQUAL, account=part.account, digest=part.digest, since=now - _REDELIVERED_WITHIN_US)
    cut_off = part.session != NO_SESSION and session_ended(part.session) is not None  # the SMSC sends it once more
    for row_id, session, acknowledged_at, smsc_id in earlier:
        ended = session_ended(session) if session not in {part.session, NO_SESSION} else None
        if (
            row_id == part.id  # it was committed after all, and nobody could tell
            or (cut_off and row_id > part.id)  # its redelivery was faster
            or not acknowledged_at
            or (part.smsc_id is not None and part.smsc_id == smsc_id)
            or (
                ended is not None
                and -_NOTED_WITHIN_US <= ended - acknowledged_at <= _SESSION_GRACE_US
                and now - ended <= _RESENT_WITHIN_US
            )
        ):
            # It is this delivery's response that counts from now on.
            tx.batch(_TAKE_OVER, [(row_id, part.session)])
            return True
    return False


def _open_parts(tx: Tx, account: str, join_key: str) -> list[_Waiting]:
    rows = tx.all(_SIBLINGS, account=account, join_key=join_key)
    return [_Waiting(row[0], int(row[1]), row[2], row[3], int(row[4])) for row in rows]


def _join(tx: Tx, account: str, parts: Sequence[_Waiting], joining: Joining, now: int, *, complete: bool) -> Bells:
    reply = joining.join(account, [(one.id, one.sealed) for one in parts], complete)
    tx.batch(_CLOSE, [(one.id, reply.id) for one in parts])
    return joining.on_reply(tx, reply._replace(received_at=min(one.received_at for one in parts)), now)


# Statements.

_part: Any = ReplyPart.__table__  # type: ignore[attr-defined]
_INSERT: Final = insert_new(ReplyPart, column_kinds(ReplyPart, *ReceivedPart._fields))
_INSERT_REPLY: Final = insert(Reply, column_kinds(Reply))
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


def _build_take_over(dialect: Dialect) -> Any:
    given = dialect.given(id=str, session=str)
    return _part.update().where(_part.c.id == given.c.id).values(session=given.c.session, acknowledged=0)


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
_TAKE_OVER: Final = Statement(_build_take_over)
_REMOVE: Final = Statement(_build_remove)
_CLOSE: Final = Statement(_build_close)
_EQUAL: Final = Statement(
    lambda _: select(_part.c.id, _part.c.session, _part.c.acknowledged, _part.c.smsc_id).where(
        _part.c.account == bindparam("account"),
        _part.c.digest == bindparam("digest"),
        _part.c.received_at >= bindparam("since", type_=BigInteger()),
    )
)
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
