"""Parked deliveries: a deliver_sm whose handling raised is kept sealed, acknowledged, and may be replayed by hand.

Intake parks, and the duty that gives up on missing parts; `replaying` takes back out.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from engine.store.moves import PARKED
from engine.store.statements import Statement, column_kinds, insert_new, move
from engine.store.tables import Parked
from engine.store.transaction import Tx


class ParkedDelivery(NamedTuple):
    """What is kept of a parked delivery; `sealed` is its raw PDU."""

    account: str
    sealed: str
    received_at: int


def park(tx: Tx, rows: Sequence[tuple[str, str, str, str, str, int]]) -> None:
    """Keep deliveries whose handling raised: rows of (id, account, bind, sealed, exception class, received_at)."""
    tx.batch(_INSERT, [(*row[:5], "parked", row[5]) for row in rows])


def parked(tx: Tx, row_id: str) -> ParkedDelivery | None:
    """Return a parked delivery, or None if there is none to replay."""
    row = tx.one(_FIND, id=row_id)
    return None if row is None else ParkedDelivery(row[0], row[1], int(row[2]))


def replayed(tx: Tx, row_id: str, now: int) -> bool:
    """Mark a parked delivery as replayed; False if somebody was faster."""
    return bool(tx.move(_REPLAYED, [(row_id, now)]))


_table: Any = Parked.__table__  # type: ignore[attr-defined]
_INSERT: Final = insert_new(
    Parked, column_kinds(Parked, "id", "account", "bind", "sealed", "error", "state", "received_at")
)
_FIND: Final = Statement(
    lambda _: select(_table.c.account, _table.c.sealed, _table.c.received_at).where(
        _table.c.id == bindparam("id"), _table.c.state == "parked"
    )
)
_REPLAYED: Final = move(
    PARKED,
    Parked,
    expected=("parked",),
    to="replayed",
    given={"id": str, "replayed_at": int},
    values=lambda _, given: {"replayed_at": given.c.replayed_at},
)
