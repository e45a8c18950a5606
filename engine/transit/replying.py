"""Store functions for what handsets send: stored once, parts joined across binds and restarts, then handed to a case.

A redelivery is told from a repetition by the earlier one's acknowledgement, its session's end, or the SMSC's id.
Intake and the duty that gives up on missing parts are the callers; matching and stepping belong to `engine.cases`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import BigInteger, bindparam, func, select

from engine.store.statements import Dialect, Statement, column_kinds, insert, insert_new
from engine.store.tables import Reply, ReplyPart
from engine.store.transaction import Tx
from engine.transit.books import Bells

_REDELIVERED_WITHIN_US: Final = 86_400 * 1_000_000
_SESSION_GRACE_US: Final = 60 * 1_000_000


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

    Returns the webhook bells and what the part was: `redelivery`, `duplicate`, `waiting` or `joined`.
    """
    if _is_redelivery(tx, part, joining.session_ended, now):
        return [], "redelivery"
    if part.total == 1:
        tx.batch(_INSERT, [part])
        return _join(tx, part.account, [(part.id, part.sealed)], joining, now, complete=True), "joined"
    siblings = _open_parts(tx, part.account, part.join_key)
    if part.part in siblings:
        return [], "duplicate"  # the first is kept (E3)
    tx.batch(_INSERT, [part])
    siblings[part.part] = (part.id, part.sealed)
    if len(siblings) < part.total:
        return [], "waiting"
    whole = [siblings[number] for number in sorted(siblings)]
    return _join(tx, part.account, whole, joining, now, complete=True), "joined"


def acknowledged(tx: Tx, ids: Sequence[str], now: int) -> None:
    """Note that the responses to these parts were written: an equal PDU after this is a new answer, not a
    redelivery.
    """
    tx.batch(_ACKNOWLEDGE, [(part_id, now) for part_id in ids])


def give_up(tx: Tx, joining: Joining, before: int, keep: int, now: int) -> tuple[Bells, int]:
    """Join what exists of replies whose parts have waited since `before`, and the oldest beyond `keep` parts (E2,
    E6).
    """
    row = tx.one(_COUNT_OPEN)
    too_many = max(0, int(row[0]) - keep) if row is not None else 0
    bells: Bells = []
    given_up = 0
    for account, join_key in tx.all(_STALE, before=before, most=500) + (
        tx.all(_OLDEST, most=too_many) if too_many else []
    ):
        parts = _open_parts(tx, account, join_key)
        if parts:
            bells += _join(tx, account, [parts[number] for number in sorted(parts)], joining, now, complete=False)
            given_up += 1
    return bells, given_up


def put_reply(tx: Tx, reply: Mapping[str, Any]) -> None:
    """Insert a reply's row; `reply` names every column."""
    tx.batch(_INSERT_REPLY, [tuple(reply[name] for name in column_kinds(Reply))])


def _is_redelivery(tx: Tx, part: ReceivedPart, session_ended: Callable[[str], int | None], now: int) -> bool:
    earlier = tx.all(_EQUAL, account=part.account, digest=part.digest, since=now - _REDELIVERED_WITHIN_US)
    for session, acknowledged_at, smsc_id in earlier:
        if part.smsc_id is not None and part.smsc_id == smsc_id:
            return True
        if not acknowledged_at:
            return True
        ended = session_ended(session)
        if session != part.session and ended is not None and ended - acknowledged_at <= _SESSION_GRACE_US:
            return True
    return False


def _open_parts(tx: Tx, account: str, join_key: str) -> dict[int, tuple[str, str]]:
    return {
        int(part): (part_id, sealed) for part_id, part, sealed in tx.all(_SIBLINGS, account=account, join_key=join_key)
    }


def _join(
    tx: Tx, account: str, parts: Sequence[tuple[str, str]], joining: Joining, now: int, *, complete: bool
) -> Bells:
    reply = joining.join(account, parts, complete)
    tx.batch(_CLOSE, [(part_id, reply.id) for part_id, _ in parts])
    return joining.on_reply(tx, reply, now)


# Statements.

_part: Any = ReplyPart.__table__  # type: ignore[attr-defined]
_INSERT: Final = insert_new(ReplyPart, **{name: column_kinds(ReplyPart)[name] for name in ReceivedPart._fields})
_INSERT_REPLY: Final = insert(Reply, **column_kinds(Reply))
_open: Any = _part.c.reply_id.is_(None)


def _build_acknowledge(dialect: Dialect) -> Any:
    given = dialect.given(id=str, at=int)
    return _part.update().where(_part.c.id == given.c.id).values(acknowledged=given.c.at)


def _build_close(dialect: Dialect) -> Any:
    given = dialect.given(id=str, reply_id=str)
    return _part.update().where(_part.c.id == given.c.id).values(reply_id=given.c.reply_id)


_ACKNOWLEDGE: Final = Statement(_build_acknowledge)
_CLOSE: Final = Statement(_build_close)
_EQUAL: Final = Statement(
    lambda _: select(_part.c.session, _part.c.acknowledged, _part.c.smsc_id).where(
        _part.c.account == bindparam("account"),
        _part.c.digest == bindparam("digest"),
        _part.c.received_at >= bindparam("since", type_=BigInteger()),
    )
)
_SIBLINGS: Final = Statement(
    lambda dialect: dialect.locked(
        select(_part.c.id, _part.c.part, _part.c.sealed).where(
            _open, _part.c.account == bindparam("account"), _part.c.join_key == bindparam("join_key")
        )
    )
)
_COUNT_OPEN: Final = Statement(lambda _: select(func.count()).select_from(_part).where(_open))
_STALE: Final = Statement(
    lambda _: (
        select(_part.c.account, _part.c.join_key)
        .where(_open)
        .group_by(_part.c.account, _part.c.join_key)
        .having(func.min(_part.c.received_at) < bindparam("before", type_=BigInteger()))
        .limit(bindparam("most"))
    )
)
_OLDEST: Final = Statement(
    lambda _: (
        select(_part.c.account, _part.c.join_key)
        .where(_open)
        .group_by(_part.c.account, _part.c.join_key)
        .order_by(func.min(_part.c.received_at))
        .limit(bindparam("most"))
    )
)
