"""The database as the commands use it: opened by the settings, checked to be of this version, read or written at once.

A server may be running on it at the same time; nothing is kept open. Not for the message path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from engine.clock import Clock, SystemClock
from engine.errors import Conflict, StoreUnavailable
from engine.settings import Settings, load
from engine.store.connections import Database
from engine.store.revision import is_up_to_date
from engine.store.transaction import Tx
from engine.store.writer import run_group

T = TypeVar("T")

SettingsFile = Annotated[Path | None, typer.Option("--file", "-f", help="The settings file (sceau.toml).")]


def write(database: Database, job: Callable[[Tx], T]) -> T:
    """Run a store function in a transaction of its own, on a connection of its own."""
    connection = database.connect()
    try:
        [outcome] = run_group(connection, database, [job])
    finally:
        connection.close()
    value: T = outcome.unwrap()
    return value


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an installation."""

    settings: Settings
    database: Database
    clock: Clock

    @classmethod
    def of(cls, file: Path | None) -> "Rows":
        """Open the database that the settings name; raises `Conflict` if its schema is not this version's."""
        settings = load(file)
        rows = cls(settings, Database.at(settings.store_url), SystemClock())
        if not rows._outage_told(lambda: is_up_to_date(rows.database)):
            raise Conflict("the database's schema is not of this version: `sceau serve` brings it up to date")
        return rows

    def read(self, job: Callable[[Tx], T]) -> T:
        """Run a reading store function."""

        def run() -> T:
            connection = self.database.connect(read_only=True)
            try:
                return job(Tx(connection, self.database.dialect))
            finally:
                connection.close()

        return self._outage_told(run)

    def write(self, job: Callable[[Tx], T]) -> T:
        """Run a store function in a transaction of its own."""
        return self._outage_told(lambda: write(self.database, job))

    def _outage_told(self, job: Callable[[], T]) -> T:
        try:
            return job()
        except Exception as error:
            cause = getattr(error, "orig", None) or error
            if not self.database.is_outage(cause):
                raise
            raise StoreUnavailable(f"the database cannot be used ({type(cause).__name__})") from None
