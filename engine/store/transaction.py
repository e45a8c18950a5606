"""One open transaction on a driver's connection: the only thing that store functions may touch.

It runs compiled statements, single or in batches, and guarded moves that know their losers. `doorway` and `writer`
make it.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

from engine.store.statements import SQLITE, Compiled, Dialect, Move, Statement, Words, slices

Row = tuple[Any, ...]
T = TypeVar("T")


def is_of_database(error: BaseException) -> bool:
    """Tell whether the database failed (lost, locked, deadlocked), not what was asked of it; named so by PEP 249."""
    return any(kind.__name__ == "OperationalError" for kind in type(error).__mro__)


class GuardLost(BaseException):
    """Some rows of a guarded move were no longer in the state expected, and only a careful transaction can tell which.

    No `Exception`: whoever handles the failure of a piece of a transaction must not take this for one.
    """


class Tx:
    """One open transaction on a driver's connection.

    A SQLite update cannot tell which rows lost their guard. Nearly always none did: only a `careful` transaction asks
    beforehand, any other raises `GuardLost`, is rolled back whole and runs again as a careful one.
    """

    __slots__ = ("_connection", "_cursor", "_later", "after_commit", "careful", "dialect")

    def __init__(self, connection: Any, dialect: Dialect, *, careful: bool = False) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._later: list[tuple[str, Any, int | None]] = []  # what the server gets with the next, and rows expected
        self.dialect = dialect
        self.careful = careful
        self.after_commit: list[Callable[[], None]] = []

    def tell(self, what: Callable[[], None]) -> None:
        """Have `what` called once this is committed, in the thread that committed; never if it is rolled back."""
        self.after_commit.append(what)

    def run(self, statement: Statement, **values: Any) -> int:
        """Run a statement; return the number of rows it touched."""
        self._execute(statement.compiled(self.dialect).words, values)
        return int(self._cursor.rowcount)

    def one(self, statement: Statement, **values: Any) -> Row | None:
        """Run a query; return its first row, or None."""
        self._execute(statement.compiled(self.dialect).words, values)
        row = self._cursor.fetchone()
        if row is not None and self.dialect is SQLITE:
            self._cursor.fetchall()  # a half-read cursor would hold the statement open over the commit
        return None if row is None else tuple(row)

    def all(self, statement: Statement, **values: Any) -> list[Row]:
        """Run a query; return all its rows (on SQLite as one JSON row, when the statement is a plain SELECT)."""
        compiled = statement.compiled(self.dialect)
        self._execute(compiled.every or compiled.words, values)
        return self._rows(compiled)

    def batch(self, statement: Statement, rows: Sequence[Sequence[Any]], **values: Any) -> int:
        """Run a batch statement over `rows`, in the order of its `given` columns; return the rows it touched."""
        compiled = statement.compiled(self.dialect)
        touched = 0
        for sql, parameters in self._pieces(compiled, compiled.words, rows, values):
            self._ask(sql, parameters)
            touched += self._cursor.rowcount
        return touched

    def put(self, statement: Statement, rows: Sequence[Sequence[Any]], **values: Any) -> None:
        """Run a batch whose count nobody asks for: PostgreSQL gets it together with what is asked next."""
        if self.dialect is SQLITE:
            self.batch(statement, rows, **values)
        else:
            self._keep_for_later(statement, rows, values, None)

    def exactly(self, statement: Statement, rows: Sequence[Sequence[Any]], **values: Any) -> None:
        """As `put`, of a batch that must touch each of its rows, for what a careful transaction does another way.

        Raises `GuardLost`, perhaps only from what comes next.
        """
        assert not self.careful
        if self.dialect is not SQLITE:
            self._keep_for_later(statement, rows, values, len(rows))
        elif self.batch(statement, rows, **values) != len(rows):
            raise GuardLost

    def joined(self, statement: Statement, rows: Sequence[Sequence[Any]], **values: Any) -> list[Row]:
        """Run a query that joins a batch of rows; return all its rows."""
        compiled = statement.compiled(self.dialect)
        found: list[Row] = []
        for sql, parameters in self._pieces(compiled, compiled.every or compiled.words, rows, values):
            self._ask(sql, parameters)
            found += self._rows(compiled)
        return found

    def move(self, move: Move, rows: Sequence[Sequence[Any]], **values: Any) -> set[Any]:
        """Run a guarded move over `rows`; return what moved (the match column, or a tuple of several)."""
        if not rows:
            return set()
        if self.dialect is not SQLITE:
            return _keys(self.joined(move.update, rows, **values), range(len(move.places)))
        if not self.careful:
            if self.batch(move.update, rows, **values) < len(rows):
                raise GuardLost
            return _keys(rows, move.places)
        winners = self.joined(move.winners, rows, **values)
        if winners:
            self.batch(move.update, rows, **values)
        return _keys(winners, range(len(move.places)))

    def apart(self, job: Callable[[], T]) -> T:
        """Run a piece of the transaction behind a savepoint: if it raises, nothing of it has happened and the rest
        may go on.
        """
        told = len(self.after_commit)
        self._ask("SAVEPOINT apart", ())
        try:
            value = job()
            self.flush()
        except Exception:
            del self.after_commit[told:]
            self._later.clear()
            self._cursor.execute("ROLLBACK TO apart")
            self._cursor.execute("RELEASE apart")
            raise
        self._cursor.execute("RELEASE apart")
        return value

    def flush(self) -> None:
        """Have the server run what it was not given yet; whoever ends a transaction or a piece of it calls this."""
        if self._later:
            self._ask(None, None)

    def _keep_for_later(
        self, statement: Statement, rows: Sequence[Sequence[Any]], values: dict[str, Any], expected: int | None
    ) -> None:
        compiled = statement.compiled(self.dialect)
        for sql, parameters in self._pieces(compiled, compiled.words, rows, values):
            self._later.append((sql, parameters, expected))

    def _ask(self, sql: str | None, parameters: Any) -> None:
        """Run a statement behind those that were kept for later, in one exchange with the server."""
        if not self._later:
            self._cursor.execute(sql, parameters)
            return
        later, self._later = self._later, []
        kept = [(self._connection.cursor(), expected) for _, _, expected in later]
        with self._connection.pipeline():
            for (cursor, _), (words, given, _) in zip(kept, later, strict=True):
                cursor.execute(words, given)
            if sql is not None:
                self._cursor.execute(sql, parameters)
        if any(expected is not None and cursor.rowcount != expected for cursor, expected in kept):
            raise GuardLost

    def _execute(self, words: Words, values: dict[str, Any]) -> None:
        self._ask(words.sql, words.in_order(values) if self.dialect is SQLITE else words.by_name(values))

    def _pieces(
        self, compiled: Compiled, words: Words, rows: Sequence[Sequence[Any]], values: dict[str, Any]
    ) -> Iterator[tuple[str, Any]]:
        """Yield what to execute for a batch: one statement on PostgreSQL, one a slice on SQLite, none if empty."""
        if not rows:
            return
        if self.dialect is not SQLITE:
            given = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
            yield compiled.unfolding() + words.sql, words.by_name({**values, "rows": given})
            return
        others = words.in_order(values)
        for start, size in slices(len(rows)):
            flat = list(chain.from_iterable(rows[start : start + size]))
            flat += [None] * (size * compiled.width - len(flat))
            yield compiled.text(words, size), flat + others

    def _rows(self, compiled: Compiled) -> list[Row]:
        if compiled.every is not None:
            return [tuple(row) for row in json.loads(self._cursor.fetchone()[0])]
        return [tuple(row) for row in self._cursor.fetchall()]


def _keys(rows: Iterable[Sequence[Any]], places: Sequence[int]) -> set[Any]:
    """Return the matched column of each row, or a tuple of several."""
    if len(places) == 1:
        place = places[0]
        return {row[place] for row in rows}
    return {tuple(row[place] for place in places) for row in rows}
