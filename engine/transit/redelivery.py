"""Tells what an SMSC delivers once more from what a person wrote twice, for all that one batch holds.

An earlier, equal delivery decides: whether its response was written, when its session ended, which id the SMSC gave.
`replying` is the caller, with whole texts and with parts of longer ones alike.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import BigInteger, bindparam, select

from engine.store.statements import Dialect, Statement
from engine.store.tables import ReplyPart
from engine.store.transaction import Tx

_REDELIVERED_WITHIN_US: Final = 86_400 * 1_000_000
_SESSION_GRACE_US: Final = 60 * 1_000_000
_NOTED_WITHIN_US: Final = 10 * 1_000_000  # a response may be noted a little after its session's end
_RESENT_WITHIN_US: Final = 3_600 * 1_000_000  # after a session's end, an SMSC sends again what it thinks lost
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


TakenOver: TypeAlias = dict[str, str]
"""The session that a stored part counts as delivered by from now on, by the part's id."""


@dataclass(slots=True)
class _Earlier:
    """A delivery that came before, as the rows will have it once this batch is written."""

    id: str
    session: str
    acknowledged_at: int
    smsc_id: str | None


def redelivered(
    tx: Tx, account: str, parts: Sequence[ReceivedPart], session_ended: Callable[[str], int | None], now: int
) -> tuple[set[str], TakenOver]:
    """Return the ids of those that came before, in the rows or earlier among `parts`, and what they take over.

    The others must be stored, and then `take_over` be told: what came before may be among them.
    """
    since = now - _REDELIVERED_WITHIN_US
    earlier: dict[str, list[_Earlier]] = defaultdict(list)
    for digest, *facts in tx.joined(
        _EQUAL, [(digest,) for digest in {part.digest for part in parts}], account=account, since=since
    ):
        earlier[digest].append(_Earlier(*facts))
    ended = lru_cache(maxsize=None)(session_ended)
    found: set[str] = set()
    taken_over: TakenOver = {}
    for part in parts:
        same = next((one for one in earlier[part.digest] if _is_redelivery(part, one, ended, now)), None)
        if same is None:
            earlier[part.digest].append(_Earlier(part.id, part.session, 0, part.smsc_id))
            continue
        found.add(part.id)
        same.session, same.acknowledged_at = part.session, 0
        taken_over[same.id] = part.session
    return found, taken_over


def take_over(tx: Tx, taken_over: TakenOver) -> None:
    """Have parts count as delivered by the session of their redelivery: its response is noted from now on."""
    tx.batch(_TAKE_OVER, list(taken_over.items()))


def _is_redelivery(part: ReceivedPart, one: _Earlier, session_ended: Callable[[str], int | None], now: int) -> bool:
    if one.id == part.id or not one.acknowledged_at or (part.smsc_id is not None and part.smsc_id == one.smsc_id):
        return True  # the same id: it was committed after all, and nobody could tell
    if part.session != NO_SESSION and session_ended(part.session) is not None and one.id > part.id:
        return True  # the SMSC sends it once more, and its redelivery was faster
    ended = session_ended(one.session) if one.session not in {part.session, NO_SESSION} else None
    return (
        ended is not None
        and -_NOTED_WITHIN_US <= ended - one.acknowledged_at <= _SESSION_GRACE_US
        and now - ended <= _RESENT_WITHIN_US
    )


# Statements.

_part: Any = ReplyPart.__table__  # type: ignore[attr-defined]


def _build_equal(dialect: Dialect) -> Any:
    given = dialect.given(digest=str)
    return (
        select(_part.c.digest, _part.c.id, _part.c.session, _part.c.acknowledged, _part.c.smsc_id)
        .join(given, given.c.digest == _part.c.digest)
        .where(_part.c.account == bindparam("account"), _part.c.received_at >= bindparam("since", type_=BigInteger()))
        .order_by(_part.c.received_at, _part.c.id)
    )


def _build_take_over(dialect: Dialect) -> Any:
    given = dialect.given(id=str, session=str)
    return _part.update().where(_part.c.id == given.c.id).values(session=given.c.session, acknowledged=0)


_EQUAL: Final = Statement(_build_equal)
_TAKE_OVER: Final = Statement(_build_take_over)
