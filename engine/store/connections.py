"""Connections to the two databases, set up for durability: SQLite in WAL with FULL, PostgreSQL with synchronous commit.

Opening, classifying a driver's errors, and nothing else; `doorway` and `writer` are the callers. PostgreSQL's driver is
imported when the first connection needs it: it takes 12 MB.
"""

import sqlite3
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from engine.errors import SettingsError
from engine.store.statements import POSTGRESQL, SQLITE, Dialect

try:  # The wheel's SQLite has the WAL-reset fix of 3.51.3, which Debian's interpreter lacks.
    import pysqlite3.dbapi2 as _sqlite
except ImportError:  # pragma: no cover - platforms without the wheel
    _sqlite = sqlite3

# The drivers look for a way to adapt each None before they bind it: finding none takes five times as long as this one.
for _driver in {sqlite3, _sqlite}:
    _driver.register_adapter(type(None), {None: None}.get)

WAL_RESET_FIXED: Final = (3, 51, 3)
_LOG_KEPT: Final = 128 << 20
_SQLITE_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA secure_delete = ON",
)
# Every statement of the message path seeks a batch of keys in an index. Without statistics the planner would rather
# hash
# whole tables, and a plan that was kept from when they were empty would read them whole; planning anew costs 0.1 ms.
_POSTGRESQL_SETTINGS: Final = (
    "SET synchronous_commit = on",
    "SET lock_timeout = '200ms'",
    "SET timezone = 'UTC'",
    "SET jit = off",
    "SET enable_seqscan = off",
    "SET enable_hashjoin = off",
    "SET enable_mergejoin = off",
    "SET plan_cache_mode = force_custom_plan",
)
_SQLITE_ERROR: Final = 1
_UNDEFINED_TABLE: Final = "42P01"
_WRITER_CACHE_KIB: Final = 32_768
_READER_CACHE_KIB: Final = 4_096
# Deadlock, serialisation failure, lock not available: the job runs again in the next group.
_RETRY_STATES: Final = frozenset({"40P01", "40001", "55P03"})


class Connection(Protocol):
    """What both drivers' connections offer."""

    def cursor(self) -> Any:
        """Return a cursor."""

    def close(self) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database's address, and how to open connections to it."""

    url: str
    dialect: Dialect

    @classmethod
    def at(cls, url: str) -> "Database":
        """Return the database of `sqlite:///path` or `postgresql://…`; raises `SettingsError` for anything else."""
        scheme = urlsplit(url).scheme
        if scheme == "sqlite":
            return cls(url, SQLITE)
        if scheme in {"postgresql", "postgres"}:
            return cls(url, POSTGRESQL)
        raise SettingsError("database_url must start with sqlite:/// or postgresql://")

    @property
    def path(self) -> str:
        """Return a SQLite database's file."""
        return self.url.removeprefix("sqlite:///")

    def connect(self, *, read_only: bool = False) -> Any:
        """Open a connection in autocommit; transactions are begun and ended in words."""
        return _open_sqlite(self.path, read_only=read_only) if self.dialect is SQLITE else _open_postgresql(self.url)

    def begin(self) -> str:
        """Return the words that open a writing transaction."""
        return "BEGIN IMMEDIATE" if self.dialect is SQLITE else "BEGIN"

    def is_retryable(self, error: BaseException) -> bool:
        """Tell whether a job that raised this may simply run again."""
        return self.dialect is POSTGRESQL and getattr(error, "sqlstate", None) in _RETRY_STATES

    def is_missing_table(self, error: BaseException) -> bool:
        """Tell whether a statement failed because its table is not there yet."""
        if self.dialect is POSTGRESQL:
            return getattr(error, "sqlstate", None) == _UNDEFINED_TABLE
        return "no such table" in str(error)

    def is_outage(self, error: BaseException) -> bool:
        """Tell whether this is the database failing (down, locked, disk full) rather than a statement being wrong."""
        if isinstance(error, _sqlite.OperationalError | sqlite3.OperationalError):
            # SQLite says "operational" of a mistake in a statement too; that is ours, and waiting mends nothing.
            return getattr(error, "sqlite_errorcode", None) != _SQLITE_ERROR
        if self.dialect is SQLITE:
            return False
        from psycopg import OperationalError  # not at the top: see the module

        return isinstance(error, OperationalError)


def sqlite_version() -> tuple[int, ...]:
    """Return the version of the SQLite library in use."""
    return tuple(int(piece) for piece in _sqlite.sqlite_version.split("."))


def sqlite_module() -> Any:
    """Return the driver module, for `create_engine(module=…)`."""
    return _sqlite


def _open_sqlite(path: str, *, read_only: bool) -> Any:
    if sqlite_version() < WAL_RESET_FIXED:
        warnings.warn(
            "this SQLite predates the WAL-reset fix of 3.51.3; install pysqlite3",
            RuntimeWarning,
            stacklevel=3,
        )
    if path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    connection = _sqlite.connect(path, isolation_level=None, check_same_thread=False, cached_statements=1024)
    for pragma in _SQLITE_PRAGMAS:
        connection.execute(pragma)
    if sqlite_version() >= WAL_RESET_FIXED:
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # `checkpoints` does it, beside the writer
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_KEPT}")  # of a log that a long reader made longer
    connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB if read_only else _WRITER_CACHE_KIB}")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
    return connection


def _open_postgresql(url: str) -> Any:
    import psycopg  # not at the top: see the module

    connection = psycopg.connect(url, autocommit=True, prepare_threshold=3, connect_timeout=5)
    for setting in _POSTGRESQL_SETTINGS:
        connection.execute(setting)
    return connection
