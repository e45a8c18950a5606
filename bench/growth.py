"""What a message costs when a million lie in the database already, against ten thousand: inserts included.

A lap queues messages and waits until all are delivered. The first ten thousand are really sent; the rest of the
million are copies of their rows under older ids, made offline: how they came there does not matter, that they are
there does.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, NamedTuple

import trio
from sqlalchemy import select
from sqlmodel import SQLModel

from bench import durable
from bench.operators import operator
from engine.clock import SystemClock
from engine.core import open_core
from engine.keyring import KeyRing
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.schema import migrate
from engine.store.statements import Statement
from engine.store.tables import Event, Message, Part, ReceiptKey, ReceiptRow

SMALL = 10_000
LARGE = 1_000_000
LAP = 10_000
_LAPS = 2
_LOOK_S = 0.02
_BOUND_S = 20.0
_OLDER_MS = 3_600_000  # an hour: retention must find nothing to do
_message: Any = Message.__table__  # type: ignore[attr-defined]
_ANY_OPEN = Statement(lambda _: select(_message.c.id).where(_message.c.final_at.is_(None)).limit(1))


_COPIED: dict[type[SQLModel], tuple[str, ...]] = {
    Message: ("id",),
    Part: ("message_id",),
    ReceiptKey: ("message_id",),
    ReceiptRow: ("id", "message_id"),
    Event: ("id", "subject_id"),
}
"""The tables that grow with messages, and their columns that hold ids."""


class Lap(NamedTuple):
    """Microseconds a message: by the clock, and of this process's CPU."""

    clock_us: float
    cpu_us: float


def measure(small: int = SMALL, large: int = LARGE, lap: int = LAP) -> dict[str, float]:
    """Return the costs at both sizes and their ratios, `ratio` by the clock."""
    switch = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    # One operator for all laps: another would give the same message ids again.
    try:
        with tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder, operator(0.001) as (port, _control):
            database = Database.at(f"sqlite:///{Path(folder) / 'bench.sqlite3'}")
            migrate(database)
            trio.run(_lap, database, port, small)
            few = [trio.run(_lap, database, port, lap) for _ in range(_LAPS)]
            stored = _multiply(database, large)
            many = [trio.run(_lap, database, port, lap) for _ in range(_LAPS)]
    finally:
        sys.setswitchinterval(switch)
    small_us, large_us = min(one.clock_us for one in few), min(one.clock_us for one in many)
    return {
        "ratio": large_us / small_us,
        "cpu_ratio": min(one.cpu_us for one in many) / min(one.cpu_us for one in few),
        "small_us": small_us,
        "large_us": large_us,
        "stored": stored,
    }


async def _lap(database: Database, port: int, messages: int) -> Lap:
    store = Store(database)
    store.open()
    core = await open_core(durable.settings(port), store, SystemClock(), KeyRing.generate())
    seconds = cpu = 0.0
    async with trio.open_nursery() as nursery:
        await nursery.start(core.run)
        with trio.fail_after(_BOUND_S):
            while not core.pool.bound():
                await trio.sleep(_LOOK_S)
        began, spent = perf_counter(), process_time()
        await durable.fill(core, messages)
        durable.wake(core)
        while await store.read(lambda tx: tx.one(_ANY_OPEN)):
            await trio.sleep(_LOOK_S)
        seconds, cpu = perf_counter() - began, process_time() - spent
        await core.stop(2.0)
        nursery.cancel_scope.cancel()
    await store.close()
    return Lap(seconds / messages * 1e6, cpu / messages * 1e6)


def _multiply(database: Database, wanted: int) -> int:
    """Copy every message with its parts, receipts and events until there are `wanted`; return how many there are."""
    connection = database.connect()
    connection.execute("PRAGMA synchronous = OFF")
    [have] = connection.execute("SELECT count(*) FROM message").fetchone()
    [last] = connection.execute("SELECT max(position) FROM event").fetchone()
    for table in _COPIED:
        connection.execute(f"CREATE TEMP TABLE original_{_name(table)} AS SELECT * FROM {_name(table)}")
    copies = wanted // max(have, 1)
    base = SystemClock().now() // 1000 - _OLDER_MS
    for copy in range(1, copies):
        connection.execute("BEGIN IMMEDIATE")
        for table, ids in _COPIED.items():
            # The first twelve digits of an id are its millisecond: copies are older than what comes, and in order.
            changed = {name: f"substr({name}, 1, 4) || '{base + copy:012x}' || substr({name}, 17)" for name in ids}
            if table is ReceiptKey:
                changed["key"] = f"key || '-{copy}'"
            elif table is Event:
                changed["position"] = f"position + {copy * last}"
            _copy(connection, table, changed)
        connection.execute("COMMIT")
    connection.execute("UPDATE feed SET position = (SELECT max(position) FROM event)")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    [stored] = connection.execute("SELECT count(*) FROM message").fetchone()
    connection.close()
    return int(stored)


def _copy(connection: Any, table: type[SQLModel], changed: dict[str, str]) -> None:
    names = [column.name for column in table.__table__.c]  # type: ignore[attr-defined]
    values = ", ".join(changed.get(name, name) for name in names)
    connection.execute(f"INSERT INTO {_name(table)} ({', '.join(names)}) SELECT {values} FROM original_{_name(table)}")


def _name(table: type[SQLModel]) -> str:
    return str(table.__tablename__)
