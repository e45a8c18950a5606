"""One open transaction on a driver's connection: the only thing that store functions may touch.

It runs compiled statements, single or in batches, and guarded moves that know their losers. `doorway` and `writer`
make it.
"""

import json
from collections.abc import Sequence
from typing import Any

from engine.store.statements import SQLITE, Dialect, Move, Statement

Row = tuple[Any, ...]


class Tx:
    """One open transaction on a driver's connection."""

    __slots__ = ("_cursor", "dialect")

    def __init__(self, connection: Any, dialect: Dialect) -> None:
        self._cursor = connection.cursor()
        self.dialect = dialect

    def run(self, statement: Statement, **values: Any) -> int:
        """Run a statement; return the number of rows it touched."""
        compiled = statement.compiled(self.dialect)
        self._cursor.execute(compiled.sql, {**compiled.constants, **values})
        return int(self._cursor.rowcount)

    def one(self, statement: Statement, **values: Any) -> Row | None:
        """Run a query; return its first row, or None."""
        compiled = statement.compiled(self.dialect)
        self._cursor.execute(compiled.sql, {**compiled.constants, **values})
        row = self._cursor.fetchone()
        if row is not None and self.dialect is SQLITE:
            self._cursor.fetchall()  # a half-read cursor would hold the statement open over the commit
        return None if row is None else tuple(row)

    def all(self, statement: Statement, **values: Any) -> list[Row]:
        """Run a query; return all its rows (on SQLite as one JSON row, when the statement is a plain SELECT)."""
        compiled = statement.compiled(self.dialect)
        parameters = {**compiled.constants, **values}
        if compiled.as_json is not None:
            self._cursor.execute(compiled.as_json, parameters)
            return [tuple(row) for row in json.loads(self._cursor.fetchone()[0])]
        self._cursor.execute(compiled.sql, parameters)
        return [tuple(row) for row in self._cursor.fetchall()]

    def batch(self, statement: Statement, rows: Sequence[Sequence[Any]], **values: Any) -> int:
        """Run a batch statement once over `rows`, in the order of its `given` columns; nothing for an empty batch."""
        return self.run(statement, rows=as_json(rows), **values) if rows else 0

    def joined(self, statement: Statement, rows: Sequence[Sequence[Any]], **values: Any) -> list[Row]:
        """Run a query that joins a batch of rows; return all its rows."""
        return self.all(statement, rows=as_json(rows), **values) if rows else []

    def move(self, move: Move, rows: Sequence[Sequence[Any]], **values: Any) -> set[Any]:
        """Run a guarded move over `rows`; return what moved (the match column, or a tuple of several)."""
        if not rows:
            return set()
        given = as_json(rows)
        if self.dialect is SQLITE:
            winners = self.all(move.winners, rows=given, **values)
            if winners:
                self.run(move.update, rows=given, **values)
        else:
            winners = self.all(move.update, rows=given, **values)
        return {row[0] if len(row) == 1 else row for row in winners}


def as_json(rows: Sequence[Sequence[Any]]) -> str:
    """Return a batch as the JSON text that `Dialect.given` unfolds."""
    return json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
