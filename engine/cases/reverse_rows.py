"""Store functions for what finds reverse verifications: by code, by page token, by case; keyed hashes in, rows out."""

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, select

from engine.store.statements import Dialect, Statement, column_kinds, insert
from engine.store.tables_cases import ReverseCode
from engine.store.transaction import Tx


class Row(NamedTuple):
    """A reverse code's row, in the order of the table's columns."""

    code_index: str
    application_id: str
    case_id: str
    token_hash: str
    secret_hash: str
    sender_fp: str = ""


def put(tx: Tx, row: Row) -> None:
    """Insert a new one."""
    tx.batch(_INSERT, [row])


def with_codes(tx: Tx, indices: Iterable[str]) -> list[Row]:
    """Return those whose code has one of these indices."""
    return [Row(*found) for found in tx.joined(_BY_CODE, [(one,) for one in indices])]


def with_token(tx: Tx, token_hash: str) -> Row | None:
    """Return the one whose page has this token."""
    found = tx.one(_BY_TOKEN, token=token_hash)
    return None if found is None else Row(*found)


def of_case(tx: Tx, case_id: str) -> Row | None:
    """Return a case's own."""
    found = tx.one(_BY_CASE, case=case_id)
    return None if found is None else Row(*found)


def came_from(tx: Tx, senders: Iterable[tuple[str, str]]) -> None:
    """Write down of each of these cases who sent its code."""
    tx.batch(_CAME_FROM, list(senders))


_code: Any = ReverseCode.__table__  # type: ignore[attr-defined]
assert Row._fields == tuple(column_kinds(ReverseCode))


def _by_code(dialect: Dialect) -> Any:
    given = dialect.given(code_index=str)
    return select(_code).join(given, given.c.code_index == _code.c.code_index)


_INSERT: Final = insert(ReverseCode, column_kinds(ReverseCode))
_BY_CODE: Final = Statement(_by_code)
_BY_TOKEN: Final = Statement(lambda _: select(_code).where(_code.c.token_hash == bindparam("token")))
_BY_CASE: Final = Statement(lambda _: select(_code).where(_code.c.case_id == bindparam("case")))


def _came_from(dialect: Dialect) -> Any:
    given = dialect.given(case_id=str, sender_fp=str)
    return _code.update().where(_code.c.case_id == given.c.case_id).values(sender_fp=given.c.sender_fp)


_CAME_FROM: Final = Statement(_came_from)
