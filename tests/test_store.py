"""The doorway, the group-commit writer and the statements, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import bindparam, select
from trio.testing import wait_all_tasks_blocked

from engine.errors import NotAllowed, StoreUnavailable
from engine.store import schema
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.moves import MESSAGE, TIMER, Moves
from engine.store.revision import NEWEST, bring_up_to_date
from engine.store.statements import Statement, column_kinds, insert, insert_new, move
from engine.store.tables_cases import Timer
from engine.store.transaction import Tx
from engine.store.writer import GroupWriter

_timer: Any = Timer.__table__  # type: ignore[attr-defined]
INSERT = insert(Timer, column_kinds(Timer))
INSERT_NEW = insert_new(Timer, column_kinds(Timer))
ALL = Statement(lambda _: select(_timer.c.id, _timer.c.state, _timer.c.due_at).order_by(_timer.c.id))
ONE = Statement(lambda _: select(_timer.c.state).where(_timer.c.id == bindparam("id")))
FIRE = move(
    TIMER,
    Timer,
    expected=("armed",),
    to="fired",
    given={"id": str, "fired_at": int},
    values=lambda _, given: {"fired_at": given.c.fired_at},
)


def timer(name: str, state: str = "armed", due_at: int = 1) -> tuple[Any, ...]:
    return (name, "app", "case", "expiry", state, due_at, None)


async def test_a_batch_is_inserted_and_read_back_in_one_statement_each(store: Store) -> None:
    rows = [timer("t1", due_at=2**62), timer("t2", state="fired"), timer('t3 "quoté" \n€😀')]
    await store.write(lambda tx: tx.batch(INSERT, rows))
    found = await store.read(lambda tx: tx.all(ALL))
    assert found == sorted([("t1", "armed", 2**62), ("t2", "fired", 1), ('t3 "quoté" \n€😀', "armed", 1)])


async def test_a_guarded_move_returns_only_the_rows_that_it_moved(store: Store) -> None:
    await store.write(lambda tx: tx.batch(INSERT, [timer("t1"), timer("t2", state="disarmed"), timer("t3")]))
    moved = await store.write(lambda tx: tx.move(FIRE, [("t1", 7), ("t2", 7), ("absent", 7)]))
    assert moved == {"t1"}
    assert await store.write(lambda tx: tx.move(FIRE, [("t1", 8), ("t3", 8)])) == {"t3"}
    assert await store.read(lambda tx: tx.one(ONE, id="t2")) == ("disarmed",)


async def test_an_insert_of_new_rows_leaves_those_that_exist(store: Store) -> None:
    await store.write(lambda tx: tx.batch(INSERT, [timer("t1", due_at=5)]))
    await store.write(lambda tx: tx.batch(INSERT_NEW, [timer("t1", due_at=9), timer("t2")]))
    assert [(row[0], row[2]) for row in await store.read(lambda tx: tx.all(ALL))] == [("t1", 5), ("t2", 1)]


async def test_what_is_put_is_there_for_whoever_asks_next_and_in_the_order_in_which_it_was_put(store: Store) -> None:
    def job(tx: Tx) -> Any:
        tx.put(INSERT, [timer("t1"), timer("t2")])
        tx.put(INSERT_NEW, [timer("t2", due_at=9), timer("t3")])
        tx.put(INSERT, [])
        return tx.all(ALL)

    assert await store.write(job) == [("t1", "armed", 1), ("t2", "armed", 1), ("t3", "armed", 1)]
    await store.write(lambda tx: tx.put(INSERT, [timer("t4")]))
    assert len(await store.read(lambda tx: tx.all(ALL))) == 4


async def test_a_put_that_the_database_refuses_fails_its_own_job_and_no_other_of_the_group(
    threaded_store: Store,
) -> None:
    results: dict[str, bool] = {}

    async def put(name: str, rows: list[tuple[Any, ...]]) -> None:
        try:
            await threaded_store.write(lambda tx: tx.put(INSERT, rows))
            results[name] = True
        except Exception:
            results[name] = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(put, "first", [timer("t1")])
        nursery.start_soon(put, "twice", [timer("t2"), timer("t2")])
        nursery.start_soon(put, "last", [timer("t3")])
    assert results == {"first": True, "twice": False, "last": True}
    assert [row[0] for row in await threaded_store.read(lambda tx: tx.all(ALL))] == ["t1", "t3"]


async def test_a_put_within_a_piece_of_a_job_fails_with_that_piece_alone(store: Store) -> None:
    def job(tx: Tx) -> None:
        tx.put(INSERT, [timer("before")])
        with pytest.raises(Exception, match="timer"):
            tx.apart(lambda: tx.put(INSERT, [timer("t1"), timer("before")]))
        tx.put(INSERT, [timer("behind")])

    await store.write(job)
    assert [row[0] for row in await store.read(lambda tx: tx.all(ALL))] == ["before", "behind"]


async def test_a_batch_that_must_touch_each_of_its_rows_has_its_job_run_again_carefully_if_it_does_not(
    threaded_store: Store,
) -> None:
    fired: list[set[Any]] = []

    def job(tx: Tx) -> None:
        rows = [("t1", 7), ("absent", 7)]
        if tx.careful:
            fired.append(tx.move(FIRE, rows))
        else:
            tx.exactly(FIRE.update, rows)

    await threaded_store.write(lambda tx: tx.put(INSERT, [timer("t1")]))
    await threaded_store.write(job)
    assert fired == [{"t1"}]
    assert await threaded_store.read(lambda tx: tx.one(ONE, id="t1")) == ("fired",)


async def test_a_job_that_raises_leaves_nothing_behind(store: Store) -> None:
    def job(tx: Tx) -> None:
        tx.batch(INSERT, [timer("t1")])
        raise ValueError

    with pytest.raises(ValueError):
        await store.write(job)
    assert await store.read(lambda tx: tx.all(ALL)) == []


def test_a_move_that_the_table_does_not_list_raises_when_it_is_built() -> None:
    with pytest.raises(NotAllowed, match="delivered"):
        move(MESSAGE, Timer, expected=("delivered",), to="queued", given={"id": str})


def test_every_state_that_a_move_leads_to_is_a_row_of_its_table() -> None:
    import engine.store.moves as module

    tables = [value for value in vars(module).values() if isinstance(value, Moves)]
    assert tables
    for table in tables:
        assert all(to in table.table for nexts in table.table.values() for to in nexts), table.kind


def test_the_migrations_lead_to_the_tables(database: Database) -> None:
    schema.migrate(database)  # again: nothing to do
    assert schema.differences(database) == []
    assert schema.current(database) == (NEWEST, NEWEST)
    bring_up_to_date(database)


def test_a_start_migrates_an_empty_database(tmp_path: Path) -> None:
    database = Database.at(f"sqlite:///{tmp_path / 'new.sqlite3'}")
    bring_up_to_date(database)
    assert schema.current(database) == (NEWEST, NEWEST)


@pytest.mark.real
async def test_callers_that_wait_together_commit_together_and_a_failure_stays_alone(threaded_store: Store) -> None:
    failures = []

    async def write(number: int) -> None:
        def job(tx: Tx) -> int:
            tx.batch(INSERT, [timer(f"t{number:03}")])
            if number % 10 == 3:
                raise KeyError(number)
            return number

        try:
            assert await threaded_store.write(job, urgent=number % 2 == 0) == number
        except KeyError:
            failures.append(number)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(write, number)
    kept = await threaded_store.read(lambda tx: tx.all(ALL))
    assert len(failures) == 10
    assert len(kept) == 90


@pytest.mark.real
async def test_a_store_that_closes_refuses_new_work_after_the_old_is_committed(sqlite_database: Database) -> None:
    store = Store(sqlite_database)
    store.open()
    await store.write(lambda tx: tx.batch(INSERT, [timer("t1")]))
    writer = store._writer
    assert writer is not None
    await store.close()
    with pytest.raises(StoreUnavailable):
        await writer.write(lambda tx: None, urgent=False)
    again = Store(sqlite_database, inline=True)
    again.open()
    assert len(await again.read(lambda tx: tx.all(ALL))) == 1
    await again.close()


@pytest.mark.real
async def test_a_locked_database_refuses_and_work_resumes_unaided(sqlite_database: Database) -> None:
    """D16: the refusal is an error of the store, nothing is half done, and the next job commits."""
    blocker = sqlite_database.connect()
    store = Store(sqlite_database)
    store.open()
    with trio.fail_after(30):
        await store.write(lambda tx: tx.run(Statement(lambda _: select(1))))
        blocker.execute("BEGIN IMMEDIATE")
        assert store._writer is not None
        store._writer._connection.execute("PRAGMA busy_timeout = 10")
        with pytest.raises(StoreUnavailable):
            await store.write(lambda tx: tx.batch(INSERT, [timer("t1")]))
        blocker.execute("ROLLBACK")
        await store.write(lambda tx: tx.batch(INSERT, [timer("t2")]))
        assert [row[0] for row in await store.read(lambda tx: tx.all(ALL))] == ["t2"]
        await store.close()
    blocker.close()


@pytest.mark.parametrize("count", [0, 1, 5, 49, 50, 51, 199, 200, 201, 457])
async def test_a_batch_of_any_size_has_its_own_rows_and_no_other(store: Store, count: int) -> None:
    rows = [timer(f"t{number:04}") for number in range(count)]
    assert await store.write(lambda tx: tx.batch(INSERT, rows)) == count
    assert [row[0] for row in await store.read(lambda tx: tx.all(ALL))] == [row[0] for row in rows]
    assert await store.write(lambda tx: tx.move(FIRE, [(row[0], 7) for row in rows])) == {row[0] for row in rows}


async def test_what_a_batch_shares_is_given_once(store: Store) -> None:
    shared = insert(
        Timer,
        column_kinds(Timer, "id", "due_at"),
        same=("application_id", "case_id"),
        words={"kind": "expiry", "state": "armed"},
    )
    rows = [("t1", 5), ("t2", 6)]
    await store.write(lambda tx: tx.batch(shared, rows, same_application_id="app", same_case_id="case"))
    assert await store.read(lambda tx: tx.all(ALL)) == [("t1", "armed", 5), ("t2", "armed", 6)]


async def test_urgent_jobs_go_first_and_those_apart_take_turns_with_the_rest(sqlite_database: Database) -> None:
    """C1: neither claims nor what intake commits can starve the other, and a code waits for neither."""
    writer = GroupWriter(sqlite_database)
    order: list[str] = []

    def job(name: str) -> Callable[[Tx], None]:
        return lambda _tx: order.append(name)

    async with trio.open_nursery() as nursery:
        for name in ("rest 1", "rest 2", "apart 1", "apart 2", "code"):
            how = {"urgent": name == "code", "apart": name.startswith("apart")}
            nursery.start_soon(partial(writer.write, job(name), **how))
            await wait_all_tasks_blocked()
        groups = [[waiting.job for waiting in writer._take(2)] for _ in range(3)]
        for group in groups:
            for run in group:
                run(None)
        assert order == ["code", "apart 1", "apart 2", "rest 1", "rest 2"]
        nursery.start_soon(partial(writer.write, job("rest 3"), urgent=False))
        nursery.start_soon(partial(writer.write, job("apart 3"), urgent=False, apart=True))
        nursery.start_soon(partial(writer.write, job("apart 4"), urgent=False, apart=True))
        await wait_all_tasks_blocked()
        order.clear()
        for _ in range(3):
            for waiting in writer._take(1):
                waiting.job(None)
        assert order[1] == "rest 3"
        writer.start()
        nursery.cancel_scope.cancel()
        for task in list(nursery.child_tasks):
            trio.lowlevel.reschedule(task)
    writer.stop()


async def test_a_code_that_was_accepted_is_claimed_before_what_waited_longer(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.store.writer._LINGER_S", 30.0)  # as long as this machine may need
    schema.migrate(sqlite_database)
    writer, order = GroupWriter(sqlite_database), []
    bulk_waits = threading.Event()

    def accept(_tx: Tx) -> None:
        bulk_waits.wait(30)
        order.append("acceptance")

    async def code() -> None:
        await writer.write(accept, urgent=True)
        await writer.write(lambda _tx: order.append("claim"), urgent=True)

    writer.start()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(code)
        nursery.start_soon(partial(writer.write, lambda _tx: order.append("bulk"), urgent=False))
        await wait_all_tasks_blocked()
        bulk_waits.set()
    await trio.to_thread.run_sync(writer.stop)
    assert order == ["acceptance", "claim", "bulk"]


async def test_a_lost_guard_in_one_job_undoes_no_other_job_of_its_group(threaded_store: Store) -> None:
    store = threaded_store
    await store.write(lambda tx: tx.batch(INSERT, [timer("t1"), timer("t2", state="disarmed")]))
    moved: dict[str, set[str]] = {}

    async def fire(*names: str) -> None:
        moved[names[0]] = await store.write(lambda tx: tx.move(FIRE, [(name, 7) for name in names]))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(fire, "t1")
        nursery.start_soon(fire, "t2", "absent")
    assert moved == {"t1": {"t1"}, "t2": set()}
