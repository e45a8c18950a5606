"""Store functions for the people of deliveries: of one delivery, of a number, of a page's token.

Rows in, rows out; what a delivery's state means is the workflow's.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from engine.store.statements import Dialect, Statement, column_kinds, insert
from engine.store.tables_handover import DeliveryParty
from engine.store.transaction import Tx


class Row(NamedTuple):
    """A person's row, in the order of the table's columns."""

    id: str
    application_id: str
    delivery_id: str
    phone_fp: str
    sender: str
    seed: str | None
    token_hash: str
    listening: int


def insert_parties(tx: Tx, rows: Sequence[Row]) -> None:
    """Insert people of a delivery."""
    tx.batch(_INSERT, rows)


def parties_of(tx: Tx, delivery_id: str) -> list[Row]:
    """Return the people of a delivery, in the order in which they came; its case's lock covers them."""
    return [Row(*row) for row in tx.all(_OF_DELIVERY, delivery=delivery_id)]


def listening_to(tx: Tx, phone_fp: str) -> list[Row]:
    """Return the people of open deliveries who have a number, over all applications, oldest first."""
    return [Row(*row) for row in tx.all(_LISTENING, phone=phone_fp)]


def with_token(tx: Tx, token_hash: str) -> Row | None:
    """Return whose page has this token."""
    found = tx.one(_BY_TOKEN, token=token_hash)
    return None if found is None else Row(*found)


def store_parties(tx: Tx, rows: Sequence[Row]) -> None:
    """Write changed people back, under the lock of their delivery's case."""
    tx.batch(_STORE, [(row.id, row.seed, row.token_hash, row.listening) for row in rows])


# Statements.

_party: Any = DeliveryParty.__table__  # type: ignore[attr-defined]
assert Row._fields == tuple(column_kinds(DeliveryParty))

_CHANGING: Final = ("seed", "token_hash", "listening")
_INSERT: Final = insert(DeliveryParty, column_kinds(DeliveryParty))
_OF_DELIVERY: Final = Statement(
    lambda _: select(_party).where(_party.c.delivery_id == bindparam("delivery")).order_by(_party.c.id)
)
_LISTENING: Final = Statement(
    lambda _: (
        select(_party).where(_party.c.phone_fp == bindparam("phone"), _party.c.listening == 1).order_by(_party.c.id)
    )
)
_BY_TOKEN: Final = Statement(lambda _: select(_party).where(_party.c.token_hash == bindparam("token")))


def _build_store(dialect: Dialect) -> Any:
    given = dialect.given(**column_kinds(DeliveryParty, "id", *_CHANGING))
    return _party.update().where(_party.c.id == given.c.id).values({name: given.c[name] for name in _CHANGING})


_STORE: Final = Statement(_build_store)
