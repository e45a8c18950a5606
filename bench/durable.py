"""The durable path: queued row → submit_sm → response → receipt stored, each state committed, one bind, the SMSC in
another process.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import process_time
from typing import Any

import trio
from sqlalchemy import func, select

from bench.operators import ACCOUNT, PASSWORD, operator
from engine.clock import SECOND, SystemClock
from engine.core import Core, open_core
from engine.keyring import KeyRing
from engine.settings import Settings
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.schema import migrate
from engine.store.statements import Statement
from engine.store.tables import Message
from engine.transit import queue
from engine.transit.backlog import QueueKey
from engine.transit.queue import NewMessage

_message: Any = Message.__table__  # type: ignore[attr-defined]
COUNTS = Statement(lambda _: select(_message.c.state, func.count()).group_by(_message.c.state))
TEXT = "Votre colis arrive demain entre 9 h et 12 h. Suivi sur votre espace client."


def settings(port: int, *, window: int = 100, rate: float | None = None) -> Settings:
    """Settings of one account with one TRX bind to the operator on `port`."""
    bind = {
        "host": "127.0.0.1",
        "port": port,
        "mode": "TRX",
        "system_id": ACCOUNT,
        "password": PASSWORD,
        "window": window,
    }
    return Settings(
        accounts={"sim": {"kind": "simulator", "binds": {"main": bind}, "rate": rate}},
        senders={"main": {"address": "Sceau", "accounts": ["sim"]}},
    )


def bulk(core: Core, count: int, *, category: str = "marketing", lane: int = 2) -> list[NewMessage]:
    """Return `count` messages to different numbers."""
    now = core.clock.now()
    plan = core.router.plan("main", "+33612345600", "FR", None, lane)
    assert isinstance(plan, str)
    return [
        NewMessage(
            id=core.clock.new_id("msg"), application_id="app_bench", case_id=None, category=category,
            message_class="marketing" if lane == 2 else "otp", lane=lane, route=plan,
            recipient=f"+3361234{number % 10_000:04}", country="FR", sender="main", created_at=now,
            expires_at=now + 3_600 * SECOND, body=TEXT,
        )
        for number in range(count)
    ]  # fmt: skip


async def fill(core: Core, count: int, slice_size: int = 1_000) -> None:
    """Queue `count` messages in slices; senders are not woken."""
    for start in range(0, count, slice_size):
        rows = bulk(core, min(slice_size, count - start))
        await core.store.write(lambda tx, rows=rows: queue.enqueue(tx, rows))


def wake(core: Core, lane: int = 2) -> None:
    """Tell the senders of the bench's queue."""
    plan = core.router.plan("main", "+33612345600", "FR", None, lane)
    assert isinstance(plan, str)
    core.backlog.add([QueueKey(lane, plan, "app_bench")])


async def drained(core: Core, count: int) -> None:
    """Return when the receipts of `count` messages have taken effect; asks the metric, since a query would cost."""
    told = core.metrics.receipts.labels("sim", "delivered")
    before = told._value.get()
    while told._value.get() - before < count:
        await trio.sleep(0.02)


async def run(url: str, count: int, response_delay_s: float) -> float:
    """Return delivered messages a second."""
    database = Database.at(url)
    migrate(database)
    sys.setswitchinterval(0.0001)
    with operator(response_delay_s) as (port, _control):
        store = Store(database)
        store.open()
        core = await open_core(settings(port), store, SystemClock(), KeyRing.generate())
        await fill(core, count)
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 50)
        async with trio.open_nursery() as nursery:
            await nursery.start(core.pool.run)
            while not core.pool.bound():
                await trio.sleep(0.01)
            started = trio.current_time()
            spent = process_time()
            wake(core)
            await drained(core, count)
            seconds = trio.current_time() - started
            print(f"CPU {(process_time() - spent) / count * 1e6:.0f} µs a message", os.times())
            await core.pool.drain(2)
            nursery.cancel_scope.cancel()
        await store.close()
    return count / seconds


def measure(count: int = 50_000, response_delay_s: float = 0.001, url: str | None = None) -> float:
    """Return the rate on a fresh SQLite database, or on the one named."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sceau-bench-"))
        return trio.run(run, url or f"sqlite:///{Path(folder) / 'bench.sqlite3'}", count, response_delay_s)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=30_000)
    parser.add_argument("--delay", type=float, default=0.001)
    parser.add_argument("--url")
    given = parser.parse_args()
    print(f"{measure(given.count, given.delay, given.url):,.0f} msg/s")
