"""Brings a database's schema up to date through alembic, and tells whether it is.

Called once at start, by `sceau` commands and by tests; the message path never comes here.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlmodel import SQLModel

from engine.store import (
    tables,
    tables_cases,
    tables_evidence,
    tables_handover,
    tables_leads,
    tables_signing,
    tables_tenancy,
)
from engine.store.connections import Database, sqlite_module
from engine.store.statements import SQLITE

# Imported for their metadata.
_TABLES = (tables, tables_cases, tables_evidence, tables_handover, tables_leads, tables_signing, tables_tenancy)


def migrate(database: Database, to: str = "head") -> None:
    """Apply every revision that the database lacks, up to the one that is named."""
    with _connected(database) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def current(database: Database) -> tuple[str | None, str | None]:
    """Return the database's revision and the newest one."""
    with _connected(database) as connection:
        return MigrationContext.configure(connection).get_current_revision(), ScriptDirectory.from_config(
            _config()
        ).get_current_head()


def differences(database: Database) -> list[Any]:
    """Return what a migrated database lacks of the tables' metadata; empty when revisions and tables agree."""
    with _connected(database) as connection:
        return list(compare_metadata(MigrationContext.configure(connection), SQLModel.metadata))


def write_revision(database: Database, message: str, revision: str) -> None:
    """Write the revision that leads from the database to the tables' metadata; for developers."""
    with _connected(database) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.revision(config, message=message, autogenerate=True, rev_id=revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "engine.store:migrations")
    config.set_main_option("path_separator", "os")
    return config


@contextmanager
def _connected(database: Database) -> Iterator[Connection]:
    if database.dialect is SQLITE:
        database.connect().close()  # makes the folder and sets WAL
        engine = create_engine(f"sqlite:///{database.path}", module=sqlite_module())
    else:
        engine = create_engine(database.url.replace("postgresql://", "postgresql+psycopg://", 1))
    try:
        with engine.connect() as connection:
            yield connection
            connection.commit()
    finally:
        engine.dispose()
