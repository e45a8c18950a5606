"""Brings a database up to date at a start, and spares a server the schema tools when there is nothing to do.

Alembic and what it needs are a tenth of a server's memory: they are imported only to migrate. Called by `serve`,
`init` and every command that reads rows.
"""

from typing import Final

from sqlalchemy.exc import DBAPIError

from engine.errors import StoreUnavailable
from engine.store.connections import Database

NEWEST: Final = "0008"  # the head of `migrations/versions`


def bring_up_to_date(database: Database) -> None:
    """Migrate if need be; raises `StoreUnavailable` if the database is down, locked or not to be opened."""
    try:
        if not is_up_to_date(database):
            from engine.store.schema import migrate  # not at the top: see the module

            migrate(database)
    except Exception as error:
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        if not database.is_outage(cause):
            raise
        raise StoreUnavailable(f"the database cannot be opened ({type(cause).__name__})") from None


def is_up_to_date(database: Database) -> bool:
    """Tell whether a database has this version's schema."""
    return _revision(database) == NEWEST


def _revision(database: Database) -> str | None:
    connection = database.connect()
    try:
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except Exception as error:
        if database.is_missing_table(error):
            return None
        raise
    finally:
        connection.close()
    return None if row is None else str(row[0])
