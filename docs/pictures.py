"""The generated parts of docs/ARCHITECTURE.md: modules with their one job, tables, diagrams of the state moves."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sqlmodel import SQLModel

from engine.store import moves, schema
from engine.store.moves import Moves
from engine.webhooks.endpoints import ENDPOINT

ROOT: Final = Path(__file__).resolve().parent.parent
_PACKAGES: Final = ("engine", "workflows", "smppsim", "bench", "docs")
_TELLING: Final = (schema,)  # imported so that every table is known

# Where no row is yet.
_BORN: Final = {
    "message": ("queued",),
    "part": ("on_wire",),
    "verification": ("pending", "blocked"),
    "timer": ("armed",),
    "webhook delivery": ("pending",),
    "parked message": ("parked",),
    "webhook endpoint": ("enabled",),
}

# Who owns a phone number in clear, or may: every other column holds masks, fingerprints, sealed or our own values.
PHONE_COLUMNS: Final = {
    "message.recipient": "the destination, E.164; goes with the row",
    "message.body": "a notice's text as the caller wrote it; purged after `retention.bodies_days`",
    "message.params": "values of a template; a caller may have put a number into `payee`",
    "message.reference": "the caller's own word, whatever it holds",
    "cases.phone": "the number under verification; goes with the row",
    "cases.data": "the masked number; `payee`, as the caller wrote it",
    "reply.source": "who wrote, canonical form; goes with the row",
    "reply.source_raw": "the same as it came",
    "event.data": "masked numbers; `reference`, as the caller wrote it",
    "idempotency.body": "masked numbers; `reference`, as the caller wrote it; at most 24 h as a rule",
}


def modules_block() -> str:
    """Return every package with its modules and their first sentence."""
    lines: list[str] = []
    for package in _packages():
        where = package.relative_to(ROOT)
        lines += [
            f"### `{where}/`",
            "",
            _first_sentence(package / "__init__.py"),
            "",
            "| module | its one job |",
            "|---|---|",
        ]
        for path in sorted(package.glob("*.py")):
            if path.name != "__init__.py":
                lines.append(f"| `{path.name}` | {_first_sentence(path)} |")
        lines.append("")
    return "\n".join(lines)


def _packages() -> Iterator[Path]:
    for top in _PACKAGES:
        for path in sorted((ROOT / top).rglob("__init__.py")):
            if (
                any(other.name != "__init__.py" for other in path.parent.glob("*.py"))
                and path.parent.name != "versions"
            ):
                yield path.parent


def _first_sentence(path: Path) -> str:
    said = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    found = re.match(r"(.+?[.])(?:\s[A-Z`]|$)", said)
    return (found[1] if found else said).replace("|", "\\|")


def tables_block() -> str:
    """Return every table with what a row of it is, its key and its partial indexes."""
    lines = ["| table | a row is | key | indexes |", "|---|---|---|---|"]
    for model in _models():
        table: Any = model.__table__  # type: ignore[attr-defined]
        said = " ".join((model.__doc__ or "").split())
        key = ", ".join(column.name for column in table.primary_key)
        indexes = "; ".join(sorted(_index(index) for index in table.indexes)) or "–"
        lines.append(f"| `{table.name}` | {said} | {key} | {indexes} |")
    return "\n".join(lines)


def _models() -> list[type[SQLModel]]:
    return sorted(_below(SQLModel), key=lambda model: str(model.__table__.name))  # type: ignore[attr-defined]


def _below(model: type[SQLModel]) -> Iterator[type[SQLModel]]:
    for one in model.__subclasses__():
        if hasattr(one, "__table__"):
            yield one
        yield from _below(one)


def _index(index: Any) -> str:
    where = index.dialect_options["sqlite"].get("where")
    columns = ", ".join(column.name for column in index.columns)
    return f"({columns})" + (f" where {where.text}" if where is not None else "")


def columns() -> set[str]:
    """Return every column as `table.column`."""
    return {f"{model.__table__.name}.{column.name}" for model in _models() for column in model.__table__.columns}  # type: ignore[attr-defined]


def moves_block() -> str:
    """Return one state diagram for each kind of row."""
    tables = [*(value for value in vars(moves).values() if isinstance(value, Moves)), ENDPOINT]
    return "\n".join(f"#### A {table.kind}\n\n{diagram(table)}" for table in tables)


def diagram(table: Moves) -> str:
    """Return the Mermaid diagram of one table of moves."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {state}" for state in _BORN[table.kind]]
    for state, nexts in table.table.items():
        lines += [f"    {state} --> {after}" for after in sorted(nexts)]
        if not nexts:
            lines.append(f"    {state} --> [*]")
    return "\n".join([*lines, "```", ""])


def phones_block() -> str:
    """Return the columns in which a phone number may stand in clear."""
    rows = [f"| `{column}` | {what} |" for column, what in PHONE_COLUMNS.items()]
    return "\n".join(["| column | what stands there |", "|---|---|", *rows])
