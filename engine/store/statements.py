"""Statements written on the SQLModel tables, compiled once for each database and run on the driver's own cursor.

A batch travels as one JSON parameter named `rows`, which both databases unfold, so that a batch is one statement
however many rows it has. Building is done here; running is `doorway.Tx`'s job.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    bindparam,
    cast,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.elements import ClauseElement
from sqlalchemy.types import TypeEngine

from engine.store.moves import Moves

DialectName = Literal["sqlite", "postgresql"]

_COMPILERS: Final = {
    "sqlite": sqlite.dialect(paramstyle="named"),
    "postgresql": postgresql.dialect(paramstyle="pyformat"),  # type: ignore[no-untyped-call]
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs between the two databases when a statement is built."""

    name: DialectName

    def given(self, **columns: type[str] | type[int]) -> FromClause:
        """Return the batch parameter `rows` (a JSON array of arrays) as a table `given` of these columns, in order."""
        picked: list[ColumnElement[Any]] = []
        source: FromClause
        if self.name == "sqlite":
            each = func.json_each(bindparam("rows", type_=Text())).table_valued("value", name="each_row")
            source = each
            for index, name in enumerate(columns):
                picked.append(func.json_extract(each.c.value, literal_column(f"'$[{index}]'")).label(name))
        else:
            element = func.jsonb_array_elements(cast(bindparam("rows", type_=Text()), JSONB)).table_valued(
                "value", name="each_row"
            )
            source = element
            for index, (name, kind) in enumerate(columns.items()):
                taken = element.c.value.op("->>")(literal_column(str(index)))
                picked.append((cast(taken, BigInteger) if kind is int else cast(taken, Text)).label(name))
        return select(*picked).select_from(source).subquery("given")

    def locked(self, query: Select[Any], *, of: Any = None, skip: bool = False) -> Select[Any]:
        """Return the query with its rows locked until commit; SQLite's one writer needs no lock."""
        return query if self.name == "sqlite" else query.with_for_update(skip_locked=skip, of=of)


SQLITE: Final = Dialect("sqlite")
POSTGRESQL: Final = Dialect("postgresql")


@dataclass(frozen=True, slots=True)
class Compiled:
    """One statement's text for one driver: `sql`, its constants, and `as_json`, which gives all rows as one
    (SQLite).
    """

    sql: str
    constants: dict[str, Any]
    as_json: str | None


class Statement:
    """A statement of the message path, built on first use for each dialect and kept."""

    __slots__ = ("_build", "_compiled")

    def __init__(self, build: Callable[[Dialect], Any]) -> None:
        self._build = build
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: Dialect) -> Compiled:
        """Return the text for this dialect."""
        made = self._compiled.get(dialect.name)
        if made is None:
            made = self._compiled[dialect.name] = _compile(self._build(dialect), dialect)
        return made


def _compile(construct: ClauseElement, dialect: Dialect) -> Compiled:
    compiled = construct.compile(dialect=_COMPILERS[dialect.name])
    sql = str(compiled)
    as_json = None
    if isinstance(construct, Select) and dialect.name == "sqlite":
        names = [str(column.name) for column in construct.selected_columns]
        quoted = ", ".join(f'"{name}"' for name in names)
        # Each step of a SQLite cursor lets go of the interpreter lock and must win it back from a busy
        # trio thread; as one row, a hundred cost one wait.
        as_json = f"SELECT json_group_array(json_array({quoted})) FROM ({sql})"  # noqa: S608 - built from tables
    constants = {name: value for name, value in compiled.params.items() if value is not None}
    return Compiled(sql, constants, as_json)


@dataclass(frozen=True, slots=True)
class Move:
    """A guarded move of a batch: `UPDATE … FROM given WHERE state IN expected`, which knows its losers.

    `update` moves the rows and, on PostgreSQL, returns the ids moved; `winners` lists them beforehand on SQLite,
    where one writer holds the database from `BEGIN IMMEDIATE` on.
    """

    update: Statement
    winners: Statement
    kind: str = field(default="")


def move(
    moves: Moves,
    table: Any,
    *,
    expected: Sequence[str],
    to: str | None = None,
    given: dict[str, type[str] | type[int]],
    matched_on: Sequence[str] = ("id",),
    values: Callable[[Any, FromClause], dict[str, Any]] | None = None,
    also: Callable[[Any, FromClause], ColumnElement[bool]] | None = None,
) -> Move:
    """Build a guarded batch move of `table` out of the `expected` states.

    `to` is the new state, or None when each given row names its own in a column `to`. `given` lists the columns of a
    row of the batch; `matched_on` those that name the row to move. `values` gives the other columns to set. Raises
    `NotAllowed`, when the module is imported, if the table of moves does not list a move.
    """
    columns: Any = table.__table__.c
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
        query = table.__table__.update().where(*condition(rows)).values(changed)
        return query.returning(*[columns[name] for name in matched_on]) if dialect.name == "postgresql" else query

    def winners(dialect: Dialect) -> ClauseElement:
        rows = dialect.given(**given)
        return (
            select(*[columns[name] for name in matched_on])
            .select_from(rows)
            .join(table.__table__, _all(condition(rows)))
        )

    return Move(Statement(update), Statement(winners), table.__tablename__)


def insert(table: Any, **given: type[str] | type[int]) -> Statement:
    """Build the insert of a batch of whole rows: one statement, a JSON parameter `rows`."""

    def build(dialect: Dialect) -> Any:
        rows = dialect.given(**given)
        return table.__table__.insert().from_select(
            list(given), select(*[rows.c[name] for name in given]), include_defaults=False
        )

    return Statement(build)


def insert_new(table: Any, **given: type[str] | type[int]) -> Statement:
    """Build the insert of a batch whose rows may exist already: those stay as they are."""

    def build(dialect: Dialect) -> Any:
        rows = dialect.given(**given)
        make: Any = sqlite.insert if dialect.name == "sqlite" else postgresql.insert
        # SQLite's parser needs a WHERE between SELECT and ON CONFLICT.
        source = select(*[rows.c[name] for name in given]).where(literal_column("1") == literal_column("1"))
        return make(table.__table__).from_select(list(given), source, include_defaults=False).on_conflict_do_nothing()

    return Statement(build)


def is_one_of(column: ColumnElement[Any], names: Sequence[str]) -> ColumnElement[bool]:
    """Return `column IN (names)` with the names written out: constants of ours, so that the text needs no expansion."""
    return column.in_([literal_column(f"'{name}'") for name in names])


def _all(conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    joined = conditions[0]
    for condition in conditions[1:]:
        joined = joined & condition
    return joined


def column_kinds(table: type[Any]) -> dict[str, type[str] | type[int]]:
    """Return a table's columns and their kinds, in order, as `given` takes them."""
    kinds: dict[str, type[str | int]] = {}
    for column in table.__table__.c:
        kind: TypeEngine[Any] = column.type
        kinds[column.name] = int if isinstance(kind, BigInteger) else str
    return kinds
