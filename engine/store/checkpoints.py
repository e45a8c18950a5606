"""Moves SQLite's write-ahead log into the database file beside the writer, so that no commit pays for a checkpoint.

A thread with a connection of its own, passive: it never makes the writer wait. Where SQLite predates the WAL-reset fix
(3.51.3), nothing of this runs and the writer checkpoints by itself, one after the other.
"""

import threading
from pathlib import Path
from typing import Final

from engine.store.connections import WAL_RESET_FIXED, Database, sqlite_version

_EVERY_S: Final = 0.25
_FROM_OCTETS: Final = 4 << 20
# A log that a passive checkpoint cannot start anew, because writes never pause, is cut by the writer itself.
LONGEST_LOG: Final = 512 << 20


class Checkpointer:
    """The thread of one database. `start` it with the writer, `stop` it before the writer's connection closes."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = Path(f"{database.path}-wal")
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

    @property
    def log_size(self) -> int:
        """Return the octets of the write-ahead log."""
        try:
            return self._log.stat().st_size
        except FileNotFoundError:
            return 0

    def _run(self) -> None:
        connection = self._database.connect()
        connection.execute("PRAGMA cache_size = -256")  # it copies pages, and reads none twice
        checkpointed = 0
        while not self._stopping.wait(_EVERY_S):
            size = self.log_size
            if size >= _FROM_OCTETS or size < checkpointed:
                connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                checkpointed = size
        connection.close()
