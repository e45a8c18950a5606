"""Group commit: one thread owns the writing connection and commits together whatever waits together.

Each job resumes after the commit that holds it; a job that raises leaves nothing behind and takes no other with it. The
thread knows jobs and connections, never what the jobs do.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import outcome
import trio

from engine.errors import CommitUnknown, StoreUnavailable
from engine.store.checkpoints import Checkpointer
from engine.store.connections import Database
from engine.store.statements import POSTGRESQL
from engine.store.transaction import GuardLost, Tx

T = TypeVar("T")
Outcome = outcome.Value[Any] | outcome.Error
GroupEnded = Callable[[str, int, float], None]  # result, jobs, seconds; called in the writer's thread

# PostgreSQL's subtransaction cache overflows at 64; SQLite's groups end where the latency of a commit would show.
GROUP_LIMIT: Final = {"sqlite": 64, "postgresql": 32}
_RETRIES: Final = 8
_RECONNECT_PAUSE_S: Final = 0.2
_LINGER_S: Final = 0.003  # from an acceptance's commit to its claim: through trio's thread, which is busy too
_LINGER_SHARE: Final = 0.1


@dataclass(eq=False, slots=True)
class _Waiting:
    job: Callable[[Any], Any]
    task: trio.lowlevel.Task
    tries: int = 0
    result: Outcome = field(default_factory=lambda: outcome.Value(None))


class GroupWriter:
    """The thread, its three queues, and the hand-back to trio: one call per group.

    Urgent jobs come first, and after a group of them the thread waits an instant for the next: a code that was accepted
    is claimed at once, before a long group begins. Jobs that are committed apart take turns with all the rest: what
    they let go out is under way while the others are worked on, and neither can starve the other.
    """

    def __init__(self, database: Database, ended: GroupEnded | None = None) -> None:
        self._database = database
        self._ended = ended
        self._token = trio.lowlevel.current_trio_token()
        self._urgent: deque[_Waiting] = deque()
        self._apart: deque[_Waiting] = deque()
        self._normal: deque[_Waiting] = deque()
        self._was_apart = False
        self._was_urgent = False
        self._may_linger_at = 0.0
        self._bell = threading.Condition(threading.Lock())
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="sceau-writer", daemon=True)
        self._connection: Any = None
        self._checkpointer: Checkpointer | None = None

    def start(self) -> None:
        """Open the connection here, so that a wrong address raises in the caller, then start the thread."""
        self._connection = self._database.connect()
        if Checkpointer.is_needed(self._database):
            self._checkpointer = Checkpointer(self._database)
            self._checkpointer.start()
        self._thread.start()

    def stop(self) -> None:
        """Let the waiting jobs commit and end the thread; blocks."""
        with self._bell:
            self._stopping = True
            self._bell.notify()
        if self._checkpointer is not None:
            self._checkpointer.stop()
        self._thread.join()

    async def write(self, job: Callable[[Any], T], *, urgent: bool, apart: bool = False) -> T:
        """Queue `job` and return its value after its commit; not cancelled once queued, since it may be committing."""
        await trio.lowlevel.checkpoint_if_cancelled()
        waiting = _Waiting(job, trio.lowlevel.current_task())
        with self._bell:
            if self._stopping:
                raise StoreUnavailable("the store is closing")
            (self._urgent if urgent else self._apart if apart else self._normal).append(waiting)
            self._bell.notify()

        def refuse_cancel(_raise: object) -> trio.lowlevel.Abort:
            return trio.lowlevel.Abort.FAILED

        return await trio.lowlevel.wait_task_rescheduled(refuse_cancel)  # type: ignore[no-any-return]

    # The thread's side.

    def _run(self) -> None:
        limit = GROUP_LIMIT[self._database.dialect.name]
        while group := self._take(limit):
            began = time.perf_counter()
            outcomes, fate = self._commit(group)
            if self._ended is not None:
                self._ended(fate, len(group), time.perf_counter() - began)
            again: list[_Waiting] = []
            done: list[_Waiting] = []
            for waiting, result in zip(group, outcomes, strict=True):
                if isinstance(result, outcome.Error) and self._may_retry(waiting, result.error):
                    again.append(waiting)
                else:
                    waiting.result = result
                    done.append(waiting)
            if again:
                with self._bell:
                    self._urgent.extendleft(reversed(again))
            if done:
                self._hand_back(done)
            self._keep_log_short()
        if self._connection is not None:
            self._connection.close()

    def _keep_log_short(self) -> None:
        if self._checkpointer is not None and self._connection is not None:
            with suppress(Exception):  # a store that fails says so at the next group
                self._checkpointer.keep_log_short(self._connection)

    def _take(self, limit: int) -> list[_Waiting]:
        with self._bell:
            if self._was_urgent and (self._apart or self._normal):
                self._linger()
            while not (self._urgent or self._apart or self._normal or self._stopping):
                self._bell.wait()
            queue = self._urgent
            self._was_urgent = bool(queue)
            if not queue:
                queue = self._apart if self._apart and not (self._was_apart and self._normal) else self._normal
                self._was_apart = queue is self._apart
            return [queue.popleft() for _ in range(min(limit, len(queue)))]

    def _linger(self) -> None:
        """Wait an instant for an urgent job, while others wait; seldom enough to cost them a tenth of the time."""
        now = time.monotonic()
        if now >= self._may_linger_at:
            self._may_linger_at = now + _LINGER_S / _LINGER_SHARE
            self._bell.wait_for(lambda: self._urgent or self._stopping, _LINGER_S)

    def _may_retry(self, waiting: _Waiting, error: BaseException) -> bool:
        waiting.tries += 1
        return waiting.tries < _RETRIES and self._database.is_retryable(error)

    def _commit(self, group: list[_Waiting]) -> tuple[Sequence[Outcome], str]:
        try:
            if self._connection is None:
                self._connection = self._database.connect()
            return run_group(self._connection, self._database, [waiting.job for waiting in group]), "committed"
        except (StoreUnavailable, CommitUnknown) as error:
            self._drop_connection()
            result = "unknown" if isinstance(error, CommitUnknown) else "unavailable"
            return [outcome.Error(error) for _ in group], result
        except BaseException as error:
            if not self._database.is_outage(error):
                self._drop_connection()
                return [outcome.Error(error) for _ in group], "failed"
            self._drop_connection()
            unavailable = StoreUnavailable("the database cannot be reached")
            return [outcome.Error(unavailable) for _ in group], "unavailable"

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it is being thrown away because it failed
                connection.close()
        with self._bell:
            self._bell.wait(0 if self._stopping else _RECONNECT_PAUSE_S)

    def _hand_back(self, done: list[_Waiting]) -> None:
        def resume() -> None:
            for waiting in done:
                trio.lowlevel.reschedule(waiting.task, waiting.result)

        try:
            self._token.run_sync_soon(resume)
        except trio.RunFinishedError:  # the loop is gone; the rows tell what was done
            return


def run_group(connection: Any, database: Database, jobs: Sequence[Callable[[Any], Any]]) -> Sequence[Outcome]:
    """Run `jobs` in one transaction and commit it; return one outcome each.

    First all together; if one raises or loses a guard, all again, carefully and with a savepoint each, so that a
    failure stays alone. Raises `StoreUnavailable` when the transaction could not be committed for certain,
    `CommitUnknown` when nobody can tell.
    """
    try:
        return _attempt(connection, database, jobs, apart=False)
    except GuardLost:
        pass
    except _SplitGroupError as split:
        if len(jobs) == 1:
            return [outcome.Error(split.cause)]
    return _attempt(connection, database, jobs, apart=True)


class _SplitGroupError(Exception):
    """A job of a group raised: the group was rolled back and runs again, each job apart."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__()
        self.cause = cause


def _attempt(
    connection: Any, database: Database, jobs: Sequence[Callable[[Any], Any]], *, apart: bool
) -> list[Outcome]:
    outcomes: list[Outcome] = []
    tx = Tx(connection, database.dialect, careful=apart)
    _say(connection, database, database.begin())
    try:
        for job in jobs:
            if not apart:
                try:
                    outcomes.append(outcome.Value(job(tx)))
                    if job is jobs[-1]:
                        tx.flush()
                except Exception as error:
                    if _connection_is_broken(connection, database):
                        raise StoreUnavailable("the database connection broke") from error
                    if database.is_outage(error) and not database.is_retryable(error):
                        raise StoreUnavailable("the database refused") from error
                    raise _SplitGroupError(error) from error
            else:
                outcomes.append(_alone(connection, database, tx, job))
    except BaseException:
        _roll_back(connection)
        raise
    _commit(connection, database)
    for tell in tx.after_commit:
        with suppress(Exception):  # what is committed is, whatever becomes of telling it
            tell()
    return outcomes


def _alone(connection: Any, database: Database, tx: Any, job: Callable[[Any], Any]) -> Outcome:
    told = len(tx.after_commit)
    connection.execute("SAVEPOINT job")
    try:
        value = job(tx)
        tx.flush()
    except Exception as error:
        del tx.after_commit[told:]
        if _connection_is_broken(connection, database):
            raise StoreUnavailable("the database connection broke") from error
        connection.execute("ROLLBACK TO job")
        connection.execute("RELEASE job")
        return outcome.Error(error)
    connection.execute("RELEASE job")
    return outcome.Value(value)


def _say(connection: Any, database: Database, words: str) -> None:
    try:
        connection.execute(words)
    except Exception as error:
        if database.is_outage(error):
            raise StoreUnavailable("the database is locked or gone") from error
        raise


def _commit(connection: Any, database: Database) -> None:
    try:
        connection.execute("COMMIT")
    except Exception as error:
        if database.dialect is POSTGRESQL and _connection_is_broken(connection, database):
            # The server may have committed before the line broke: nobody may act as if it had, nor as if it had not.
            raise CommitUnknown("the answer to COMMIT was lost") from error
        _roll_back(connection)
        raise StoreUnavailable("the commit was refused") from error


def _connection_is_broken(connection: Any, database: Database) -> bool:
    return database.dialect is POSTGRESQL and bool(connection.closed or connection.broken)


def _roll_back(connection: Any) -> None:
    with suppress(Exception):  # a broken connection has rolled back already
        connection.execute("ROLLBACK")
