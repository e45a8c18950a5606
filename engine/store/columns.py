"""The five column shapes of every table, so that SQLite and PostgreSQL hold the same values.

Instants are integer microseconds UTC, flags are 0 or 1, JSON and sealed values are text. Tables import these; nothing
else does.
"""

from typing import Any

from sqlalchemy import BigInteger, Text
from sqlmodel import Field


def key() -> Any:
    """Return a text primary-key column (time-ordered `prefix_uuid7` ids, or names)."""
    return Field(primary_key=True, sa_type=Text)


def text(default: Any = ...) -> Any:
    """Return a text column; with a default of None it is nullable."""
    return Field(default=default, sa_type=Text, nullable=default is None, sa_column_kwargs=_constant(default))


def number(default: Any = ..., *, primary_key: bool = False) -> Any:
    """Return a 64-bit integer column: counters, flags (0 or 1), codes."""
    constant = _constant(default)
    if primary_key:
        constant["autoincrement"] = False
    return Field(
        default=default,
        sa_type=BigInteger,
        nullable=default is None,
        primary_key=primary_key,
        sa_column_kwargs=constant,
    )


def instant(default: Any = ...) -> Any:
    """Return an instant column: microseconds since 1970 UTC."""
    return Field(default=default, sa_type=BigInteger, nullable=default is None)


def _constant(default: Any) -> dict[str, Any]:
    # A batch insert names only the columns it fills; the database knows the constants of the rest.
    return {} if default is ... or default is None else {"server_default": str(default)}
