"""The one doorway to the database: a store function takes a `Tx` and runs in one transaction.

`Store.write` returns after the commit, `Store.read` reads beside it; a function that raises leaves nothing behind and
one that must refuse returns its refusal as a value. Functions touch nothing but their `Tx` and may run twice.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import trio

from engine.store.connections import Database
from engine.store.statements import SQLITE, Dialect
from engine.store.transaction import Tx
from engine.store.writer import GroupEnded, GroupWriter, run_group

T = TypeVar("T")
_LOG_WAIT_MS = 200


class Store:
    """The doorway. `inline=True` runs every job in the caller's task, for tests on a virtual clock; `ended` hears of
    each group of the writer's thread.
    """

    def __init__(
        self, database: Database, *, inline: bool = False, readers: int = 4, ended: GroupEnded | None = None
    ) -> None:
        self.database = database
        self.inline = inline
        self._ended = ended
        self._readers: deque[Any] = deque()
        self._reader_limit = trio.CapacityLimiter(readers)
        self._connection: Any = None
        self._writer: GroupWriter | None = None

    @property
    def dialect(self) -> Dialect:
        """Return which database this is."""
        return self.database.dialect

    def open(self) -> None:
        """Open the writing connection (inline) or start the writer's thread; call within trio."""
        if self.inline:
            self._connection = self.database.connect()
        else:
            self._writer = GroupWriter(self.database, self._ended)
            self._writer.start()

    async def close(self) -> None:
        """Let the jobs that wait commit, then close every connection."""
        if self._writer is not None:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(self._writer.stop)
            self._writer = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        while self._readers:
            self._readers.pop().close()

    async def write(self, job: Callable[[Tx], T], *, urgent: bool = False, apart: bool = False) -> T:
        """Run `job` in a transaction and return its value after the commit; `urgent` goes before all others, `apart`
        is not committed together with them.

        Raises what the job raised (then nothing of it happened), `StoreUnavailable` if the database is down, locked or
        full, `CommitUnknown` if the answer to COMMIT was lost.
        """
        if self._writer is not None:
            return await self._writer.write(job, urgent=urgent, apart=apart)
        await trio.lowlevel.checkpoint()
        return self.write_inline(job)

    def write_inline(self, job: Callable[[Tx], T]) -> T:
        """Run `job` in a transaction on the inline connection; for commands and tests without a running loop."""
        if self._connection is None:
            self._connection = self.database.connect()
        [outcome] = run_group(self._connection, self.database, [job])
        return outcome.unwrap()  # type: ignore[no-any-return]

    async def read(self, job: Callable[[Tx], T]) -> T:
        """Run a reading `job` on a connection of its own; it sees what was committed before."""
        if self._writer is None:
            await trio.lowlevel.checkpoint()
            return job(Tx(self._connection, self.dialect))
        return await trio.to_thread.run_sync(self._read, job, limiter=self._reader_limit)

    async def forget_log(self) -> bool:
        """Have the octets of the write-ahead log gone too, as far as readers let go of it at once; tell if they are.

        What SQLite deletes it overwrites, but the log still has it until it is written over; PostgreSQL's log is the
        operator's own.
        """
        if self.dialect is not SQLITE:
            return False
        if self._writer is None:
            return _truncate_log(self._connection)
        return await trio.to_thread.run_sync(self._truncate_log)

    def _truncate_log(self) -> bool:
        connection = self.database.connect()
        try:
            connection.execute(f"PRAGMA busy_timeout = {_LOG_WAIT_MS}")  # the writer waits for it
            return _truncate_log(connection)
        finally:
            connection.close()

    def _read(self, job: Callable[[Tx], T]) -> T:
        try:
            connection = self._readers.pop()
        except IndexError:
            connection = self.database.connect(read_only=True)
        try:
            result = job(Tx(connection, self.dialect))
        except BaseException:
            connection.close()
            raise
        self._readers.append(connection)
        return result


def _truncate_log(connection: Any) -> bool:
    [(busy, *_)] = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return int(busy) == 0
