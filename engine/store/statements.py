"""Statements written on the SQLModel tables, compiled once for each database and run on the driver's own cursor.

A batch is the table `given` of a statement: rows of VALUES on SQLite (five times as fast there as unfolding JSON), one
JSON parameter on PostgreSQL. Building is done here; running is `transaction.Tx`'s job.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Select,
    Text,
    column,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from engine.store.moves import Moves

DialectName = Literal["sqlite", "postgresql"]

_COMPILERS: Final = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
}
# A batch of another size is several of these: so few texts, so few prepared statements, however batches vary.
_SLICES: Final = (64, 32, 16, 8, 4, 2, 1)


@dataclass(slots=True)
class Dialect:
    """What differs between the two databases when a statement is built; one is made for each building."""

    name: DialectName
    batch: dict[str, type[str] | type[int]] | None = None

    def given(self, **columns: type[str] | type[int]) -> FromClause:
        """Return the batch of the statement as a table `given` with these columns, in order; once a statement."""
        self.batch = dict(columns)
        return table(
            "given", *[column(name, BigInteger() if kind is int else Text()) for name, kind in columns.items()]
        )

    def locked(self, query: Select[Any], *, of: Any = None, skip: bool = False) -> Select[Any]:
        """Return the query with its rows locked until commit; SQLite's one writer needs no lock."""
        return query if self.name == "sqlite" else query.with_for_update(skip_locked=skip, of=of)


SQLITE: Final = Dialect("sqlite")
POSTGRESQL: Final = Dialect("postgresql")


class Words:
    """The text of a statement for one driver, with the names of its positional parameters and its constants."""

    __slots__ = ("_constants", "_names", "sql")

    def __init__(self, construct: ClauseElement, dialect: DialectName) -> None:
        compiled: Any = construct.compile(dialect=_COMPILERS[dialect])
        self.sql = str(compiled)
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._constants: dict[str, Any] = dict(compiled.params)

    def in_order(self, given: Mapping[str, Any]) -> list[Any]:
        """Return the parameters by position (SQLite)."""
        constants = self._constants
        return [given[name] if name in given else constants.get(name) for name in self._names]

    def by_name(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters by name (PostgreSQL)."""
        return {**self._constants, **given}


class Compiled:
    """A statement for one database. `words` runs it, `every` gives all rows of a query as one (SQLite alone).

    A batch statement is `head` (SQLite) or `unfolding` (PostgreSQL), then `words` or `every`.
    """

    __slots__ = ("_heads", "_texts", "batch", "every", "words")

    def __init__(self, construct: ClauseElement, dialect: Dialect) -> None:
        construct = _written_out(construct)
        self.words = Words(construct, dialect.name)
        self.every: Words | None = None
        self.batch = dialect.batch
        self._heads: dict[int, str] = {}
        self._texts: dict[tuple[bool, int], str] = {}
        if isinstance(construct, Select) and dialect.name == "sqlite":
            # Each step of a SQLite cursor lets go of the interpreter lock and must win it back from a busy
            # trio thread; as one row, a hundred cost one wait.
            inner = construct.subquery("every")
            self.every = Words(select(func.json_group_array(func.json_array(*inner.c))), "sqlite")

    def text(self, words: Words, rows: int) -> str:
        """Return the whole text of a SQLite batch of so many rows; kept, so that it is hashed once."""
        key = (words is self.words, rows)
        made = self._texts.get(key)
        if made is None:
            made = self._texts[key] = self.head(rows) + words.sql
        return made

    def head(self, rows: int) -> str:
        """Return the `WITH given (…) AS (VALUES …)` of a SQLite batch of so many rows."""
        made = self._heads.get(rows)
        if made is None:
            assert self.batch is not None
            row = "(" + ", ".join("?" * len(self.batch)) + ")"
            made = self._heads[rows] = f"WITH given({self._columns()}) AS (VALUES {', '.join([row] * rows)}) "
        return made

    def _columns(self) -> str:
        return ", ".join(f'"{name}"' for name in self.batch or ())

    def unfolding(self) -> str:
        """Return the `WITH given (…) AS (SELECT … FROM jsonb …)` of a PostgreSQL batch, whatever its size."""
        made = self._heads.get(0)
        if made is None:
            assert self.batch is not None
            picked = ", ".join(
                f"({f'each_row ->> {index}'}){'::bigint' if kind is int else ''}"
                for index, kind in enumerate(self.batch.values())
            )
            source = "jsonb_array_elements(%(rows)s::jsonb) AS each_row"
            made = self._heads[0] = f"WITH given({self._columns()}) AS MATERIALIZED (SELECT {picked} FROM {source}) "  # noqa: S608
        return made


def _written_out(construct: ClauseElement) -> ClauseElement:
    # SQLite uses a partial index only where its condition (`state = 'queued'`) stands in the text itself.
    def literal(element: Any, **_: Any) -> Any:
        is_word = isinstance(element, BindParameter) and isinstance(element.value, str) and element.value.isidentifier()
        return literal_column(f"'{element.value}'", element.type) if is_word else None

    if not isinstance(construct, Select):
        return construct
    return cast("ClauseElement", visitors.replacement_traverse(construct, {}, literal))


def slices(count: int) -> Iterator[tuple[int, int]]:
    """Yield (start, size) of the pieces into which a SQLite batch of `count` rows is cut."""
    start = 0
    for size in _SLICES:
        while count - start >= size:
            yield start, size
            start += size


class Statement:
    """A statement of the message path, built on first use for each database and kept."""

    __slots__ = ("_build", "_compiled")

    def __init__(self, build: Callable[[Dialect], Any]) -> None:
        self._build = build
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: Dialect) -> Compiled:
        """Return the text for this database."""
        made = self._compiled.get(dialect.name)
        if made is None:
            builder = Dialect(dialect.name)
            construct = self._build(builder)
            made = self._compiled[dialect.name] = Compiled(construct, builder)
        return made


@dataclass(frozen=True, slots=True)
class Move:
    """A guarded move of a batch: `UPDATE … FROM given WHERE state IN expected`, which knows its losers.

    `update` moves the rows and, on PostgreSQL, returns the ids moved; `winners` lists them beforehand on SQLite,
    where one writer holds the database from `BEGIN IMMEDIATE` on.
    """

    update: Statement
    winners: Statement
    places: tuple[int, ...]  # of the matched columns within a given row


def move(
    moves: Moves,
    model: Any,
    *,
    expected: Sequence[str],
    to: str | None = None,
    given: dict[str, type[str] | type[int]],
    matched_on: Sequence[str] = ("id",),
    values: Callable[[Any, FromClause], dict[str, Any]] | None = None,
    also: Callable[[Any, FromClause], ColumnElement[bool]] | None = None,
) -> Move:
    """Build a guarded batch move of `model` out of the `expected` states.

    `to` is the new state, or None when each given row names its own in a column `to`. `given` lists the columns of a
    row of the batch; `matched_on` those that name the row to move. `values` gives the other columns to set. Raises
    `NotAllowed`, when the module is imported, if the table of moves does not list a move.
    """
    columns: Any = model.__table__.c
    if to is not None:
        for state in expected:
            moves.check(state, to)

    def condition(rows: FromClause) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = [columns[name] == rows.c[name] for name in matched_on]
        found.append(is_one_of(columns.state, expected))
        if also is not None:
            found.append(also(columns, rows))
        return found

    def update(dialect: Dialect) -> Any:
        rows = dialect.given(**given)
        changed: dict[str, Any] = {"state": to if to is not None else rows.c["to"]}
        if values is not None:
            changed |= values(columns, rows)
        query = model.__table__.update().where(*condition(rows)).values(changed)
        return query.returning(*[columns[name] for name in matched_on]) if dialect.name == "postgresql" else query

    def winners(dialect: Dialect) -> ClauseElement:
        rows = dialect.given(**given)
        return (
            select(*[columns[name] for name in matched_on])
            .select_from(rows)
            .join(model.__table__, _all(condition(rows)))
        )

    places = tuple(list(given).index(name) for name in matched_on)
    return Move(Statement(update), Statement(winners), places)


def insert(model: Any, **given: type[str] | type[int]) -> Statement:
    """Build the insert of a batch of whole rows: one statement."""

    def build(dialect: Dialect) -> Any:
        rows = dialect.given(**given)
        return model.__table__.insert().from_select(
            list(given), select(*[rows.c[name] for name in given]), include_defaults=False
        )

    return Statement(build)


def insert_new(model: Any, **given: type[str] | type[int]) -> Statement:
    """Build the insert of a batch whose rows may exist already: those stay as they are."""

    def build(dialect: Dialect) -> Any:
        rows = dialect.given(**given)
        make: Any = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        # SQLite's parser needs a WHERE between SELECT and ON CONFLICT.
        source = select(*[rows.c[name] for name in given]).where(literal_column("1") == literal_column("1"))
        return make(model.__table__).from_select(list(given), source, include_defaults=False).on_conflict_do_nothing()

    return Statement(build)


def is_one_of(column: ColumnElement[Any], names: Sequence[str]) -> ColumnElement[bool]:
    """Return `column IN (names)` with the names written out: constants of ours, so that the text needs no expansion."""
    if len(names) == 1:
        return column == literal_column(f"'{names[0]}'")  # SQLite matches a partial index with `=`, not with a lone IN
    return column.in_([literal_column(f"'{name}'") for name in names])


def _all(conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    joined = conditions[0]
    for condition in conditions[1:]:
        joined = joined & condition
    return joined


def column_kinds(model: type[Any]) -> dict[str, type[str] | type[int]]:
    """Return a model's columns and their kinds, in order, as `given` takes them."""
    kinds: dict[str, type[str | int]] = {}
    for one in model.__table__.c:
        kind: TypeEngine[Any] = one.type
        kinds[one.name] = int if isinstance(kind, BigInteger) else str
    return kinds
