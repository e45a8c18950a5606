"""Store functions for the rows of signings: of a request, and those that a reply from one number may answer.

Rows in, rows out; what a signing's state means is the workflow's.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from engine.store.statements import Dialect, Statement, column_kinds, insert
from engine.store.tables_signing import SigningRow
from engine.store.transaction import Tx


class Row(NamedTuple):
    """A signing's row, in the order of the table's columns."""

    id: str
    application_id: str
    request_id: str
    signer_id: str
    document_id: str
    state: str
    phone_fp: str
    sender: str
    seed: str | None
    old_seeds: str
    listening: int
    code_until: int | None
    data: str
    final_at: int | None


def insert_signings(tx: Tx, rows: Sequence[Row]) -> None:
    """Insert the signings of a new request."""
    tx.batch(_INSERT, rows)


def signings_of(tx: Tx, request_id: str) -> list[Row]:
    """Return the signings of a request, in the order in which they were made; its case's lock covers them."""
    return [Row(*row) for row in tx.all(_OF_REQUEST, request=request_id)]


def listening_to(tx: Tx, phone_fp: str) -> list[Row]:
    """Return the signings that a number may answer, over all applications, oldest first."""
    return [Row(*row) for row in tx.all(_LISTENING, phone=phone_fp)]


def store_signings(tx: Tx, rows: Sequence[Row]) -> None:
    """Write changed signings back, under the lock of their request's case."""
    tx.batch(
        _STORE,
        [
            (
                row.id,
                row.state,
                row.phone_fp,
                row.sender,
                row.seed,
                row.old_seeds,
                row.code_until,
                row.data,
                row.final_at,
            )
            for row in rows
        ],
    )


# Statements.

_signing: Any = SigningRow.__table__  # type: ignore[attr-defined]
assert Row._fields == tuple(column_kinds(SigningRow))

_CHANGING: Final = ("state", "phone_fp", "sender", "seed", "old_seeds", "code_until", "data", "final_at")
_INSERT: Final = insert(SigningRow, column_kinds(SigningRow))
_OF_REQUEST: Final = Statement(
    lambda _: select(_signing).where(_signing.c.request_id == bindparam("request")).order_by(_signing.c.id)
)
_LISTENING: Final = Statement(
    lambda _: (
        select(_signing)
        .where(_signing.c.phone_fp == bindparam("phone"), _signing.c.listening == 1)
        .order_by(_signing.c.id)
    )
)


def _build_store(dialect: Dialect) -> Any:
    given = dialect.given(**column_kinds(SigningRow, "id", *_CHANGING))
    return _signing.update().where(_signing.c.id == given.c.id).values({name: given.c[name] for name in _CHANGING})


_STORE: Final = Statement(_build_store)
