"""Moves SQLite's write-ahead log into the database file beside the writer, so that commits do not pay for checkpoints.

A thread with a connection of its own, passive: it never makes the writer wait. The writer has the log begin anew in
the same file (`begin_anew`), for octets written over old ones are on disk in a third of the time that a growing file
takes. Where SQLite predates the WAL-reset fix (3.51.3), nothing of this runs and the writer checkpoints by itself.
"""

import threading
from pathlib import Path
from typing import Any, Final

from engine.store.connections import WAL_RESET_FIXED, Database, sqlite_version

_EVERY_S: Final = 0.25
_FROM_OCTETS: Final = 4 << 20
# A log that a passive checkpoint cannot start anew, because writes never pause, is begun anew by the writer itself.
_LONGEST_LOG: Final = 64 << 20
_READERS_WAIT_MS: Final = 20


def begin_anew(connection: Any) -> bool:
    """Copy what is left of the log and begin it anew in the same file; tell whether readers let go of it in time."""
    [(wait,)] = connection.execute("PRAGMA busy_timeout").fetchall()
    connection.execute(f"PRAGMA busy_timeout = {_READERS_WAIT_MS}")
    try:
        [(busy, *_)] = connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {wait}")
    return int(busy) == 0


class Checkpointer:
    """The thread of one database. `start` it with the writer, `stop` it before the writer's connection closes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = Path(f"{database.path}-wal")
        self._logged = 0  # octets of the log in use when this thread last looked
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sceau-checkpointer", daemon=True)

    @staticmethod
    def is_needed(database: Database) -> bool:
        """Tell whether the writer leaves checkpoints to this thread."""
        return database.dialect.name == "sqlite" and sqlite_version() >= WAL_RESET_FIXED

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; blocks until a checkpoint under way is done."""
        self._stopping.set()
        self._thread.join()

    def keep_log_short(self, writer: Any) -> None:
        """Begin a long log anew, on the writer's own connection and between its groups; readers may put it off."""
        if self._logged > _LONGEST_LOG:
            self._logged = 0  # until this thread has looked once more
            begin_anew(writer)

    def look(self, connection: Any) -> None:
        """Copy what can be copied without making anybody wait, and note how long the log is."""
        [(_, pages, _)] = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        [(page_size,)] = connection.execute("PRAGMA page_size").fetchall()
        self._logged = pages * page_size

    def _size(self) -> int:
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _run(self) -> None:
        connection = self._database.connect()
        connection.execute("PRAGMA cache_size = -256")  # it copies pages, and reads none twice
        while not self._stopping.wait(_EVERY_S):
            if self._size() >= _FROM_OCTETS:
                self.look(connection)
        connection.close()
