"""Parked deliveries: a deliver_sm whose handling raised is kept sealed, acknowledged, and may be replayed by hand.

Intake parks; `sceau replay ID` takes back out.
"""

from typing import Any, Final

from sqlalchemy import bindparam, select

from engine.store.moves import PARKED
from engine.store.statements import Statement, insert_new, move
from engine.store.tables import Parked
from engine.store.transaction import Tx


def park(tx: Tx, row_id: str, account: str, bind: str, sealed: str, error: str, now: int) -> None:
    """Keep a delivery whose handling raised `error` (the exception's class); `sealed` is its raw PDU."""
    tx.batch(_INSERT, [(row_id, account, bind, sealed, error, "parked", now)])


def parked(tx: Tx, row_id: str) -> tuple[str, str] | None:
    """Return (account, sealed) of a parked delivery, or None if there is none to replay."""
    row = tx.one(_FIND, id=row_id)
    return None if row is None else (row[0], row[1])


def replayed(tx: Tx, row_id: str, now: int) -> bool:
    """Mark a parked delivery as replayed; False if somebody was faster."""
    return bool(tx.move(_REPLAYED, [(row_id, now)]))


_table: Any = Parked.__table__  # type: ignore[attr-defined]
_INSERT: Final = insert_new(Parked, id=str, account=str, bind=str, sealed=str, error=str, state=str, received_at=int)
_FIND: Final = Statement(
    lambda _: select(_table.c.account, _table.c.sealed).where(
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
