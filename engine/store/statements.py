"""Statements written on the SQLModel tables, compiled once for each database and run on the driver's own cursor.

A batch is the table `given` of a statement: rows of VALUES on SQLite (five times as fast there as unfolding JSON), one
JSON parameter on PostgreSQL. Building is done here; running is `transaction.Tx`'s job.
"""

from bisect import bisect_left
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
    bindparam,
    column,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ClauseElement

from engine.store.moves import Moves

NO_WORDS: Final[Mapping[str, str]] = {}
Kind = type[str] | type[int]
DialectName = Literal["sqlite", "postgresql"]

_COMPILERS: Final = {
    "sqlite": sqlite.dialect(paramstyle="qmark"),
    "postgresql": postgresql.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
}
# A SQLite batch is filled up to one of these sizes with empty rows: so few texts and prepared statements, however
# batches vary, and one execution each, since every one gives the interpreter lock away and must win it back.
_SIZES: Final = (1, 2, 3, 4, 6, 8, 12, 16, 20, 24, 32, 40, 50, 64, 80, 100, 128, 160, 200)


@dataclass(slots=True)
class Dialect:
    """What differs between the two databases when a statement is built; one is made for each building."""

    name: DialectName
    batch: dict[str, Kind] | None = None

    def given(self, **columns: Kind) -> FromClause:
        """Return the batch of the statement as a table `given` with these columns, in order; once a statement.

        The first column is never NULL: that is how the empty rows that fill up a SQLite batch are told from others.
        """
        self.batch = dict(columns)
        return table(
            "given", *[column(name, BigInteger() if kind is int else Text()) for name, kind in columns.items()]
        )

    def locked(self, query: Select[Any], *, of: Any = None, skip: bool = False) -> Select[Any]:
        """Return the query with its rows locked until commit; SQLite's one writer needs no lock."""
        return query if self.name == "sqlite" else query.with_for_update(skip_locked=skip, of=of)

    def no_way_in(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return a text column for a condition on rows whose keys are given, so that no index of it is read instead.

        PostgreSQL would take a partial index whole, with every dead entry since the last vacuum, for cheaper than to
        seek fifty keys.
        """
        return column if self.name == "sqlite" else column.concat(literal_column("''"))


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

    __slots__ = ("_heads", "_texts", "batch", "every", "width", "words")

    def __init__(self, construct: ClauseElement, dialect: Dialect) -> None:
        construct = _written_out(construct)
        self.words = Words(construct, dialect.name)
        self.every: Words | None = None
        self.batch = dialect.batch
        self.width = len(dialect.batch or ())
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
        """Return the `WITH given (…) AS (SELECT … FROM (VALUES …))` of a SQLite batch of so many rows."""
        made = self._heads.get(rows)
        if made is None:
            assert self.batch is not None
            row = "(" + ", ".join("?" * len(self.batch)) + ")"
            values = f"(VALUES {', '.join([row] * rows)})"
            made = self._heads[rows] = (
                f"WITH given({self._columns()}) AS (SELECT * FROM {values} WHERE column1 IS NOT NULL) "  # noqa: S608
            )
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
    """Yield (start, size) of the statements that take a SQLite batch of `count` rows; the last may have room left."""
    most = _SIZES[-1]
    start = 0
    while count - start > most:
        yield start, most
        start += most
    yield start, _SIZES[bisect_left(_SIZES, count - start)]


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
    given: dict[str, Kind],
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

    def condition(dialect: Dialect, rows: FromClause) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = [columns[name] == rows.c[name] for name in matched_on]
        found.append(is_one_of(dialect.no_way_in(columns.state), expected))
        if also is not None:
            found.append(also(columns, rows))
        return found

    def update(dialect: Dialect) -> Any:
        rows = dialect.given(**given)
        changed: dict[str, Any] = {"state": to if to is not None else rows.c["to"]}
        if values is not None:
            changed |= values(columns, rows)
        query = model.__table__.update().where(*condition(dialect, rows)).values(changed)
        return query.returning(*[columns[name] for name in matched_on]) if dialect.name == "postgresql" else query

    def winners(dialect: Dialect) -> ClauseElement:
        rows = dialect.given(**given)
        return (
            select(*[columns[name] for name in matched_on])
            .select_from(rows)
            .join(model.__table__, _all(condition(dialect, rows)))
        )

    places = tuple(list(given).index(name) for name in matched_on)
    return Move(Statement(update), Statement(winners), places)


def insert(
    model: Any, given: Mapping[str, Kind], *, same: Sequence[str] = (), words: Mapping[str, str] = NO_WORDS
) -> Statement:
    """Build the insert of a batch of rows with the columns `given`: one statement.

    The columns of `same` have one value for the whole batch, given as `same_<column>`, and those of `words` a constant
    of ours: what does not vary is not bound again for each row.
    """
    return Statement(lambda dialect: inserted(dialect, model, given, same, words))


def insert_new(
    model: Any, given: Mapping[str, Kind], *, same: Sequence[str] = (), words: Mapping[str, str] = NO_WORDS
) -> Statement:
    """Build the insert of a batch whose rows may exist already: those stay as they are."""
    return Statement(lambda dialect: inserted(dialect, model, given, same, words).on_conflict_do_nothing())


def delete_of(model: Any, column: str = "id") -> Statement:
    """Build the delete of the rows of a model whose `column` is one of a batch of texts."""
    table = model.__table__

    def build(dialect: Dialect) -> Any:
        given = dialect.given(value=str)
        return table.delete().where(table.c[column].in_(select(given.c.value)))

    return Statement(build)


def inserted(
    dialect: Dialect, model: Any, given: Mapping[str, Kind], same: Sequence[str], words: Mapping[str, str]
) -> Any:
    """Return the construct of such an insert, in the database's own form, for an ON CONFLICT of one's own."""
    rows = dialect.given(**given)
    make: Any = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
    values = [
        *[rows.c[name] for name in given],
        *[same_for_all(model, name) for name in same],
        *[literal_column(f"'{word}'") for word in words.values()],
    ]
    # SQLite's parser needs a WHERE between SELECT and ON CONFLICT.
    source = select(*values).where(literal_column("1") == literal_column("1"))
    return make(model.__table__).from_select([*given, *same, *words], source, include_defaults=False)


def same_for_all(model: Any, name: str) -> BindParameter[Any]:
    """Return the parameter `same_<column>`: a column's value that a whole batch shares."""
    return bindparam(f"same_{name}", type_=model.__table__.c[name].type)


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


def column_kinds(model: Any, *names: str) -> dict[str, Kind]:
    """Return these columns of a model, or all in order, with their kinds, as `given` takes them."""
    columns = model.__table__.c
    wanted = [columns[name] for name in names] if names else columns
    return {one.name: int if isinstance(one.type, BigInteger) else str for one in wanted}
