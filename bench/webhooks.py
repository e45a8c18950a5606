"""How many events a second reach one webhook endpoint on loopback, one a post and in batches.

The receiver is another process that reads, counts and answers 200, no more. Events are owed beforehand; the clock runs
from the first look at the rows to the commit that settles the last of them. SQLite, FULL.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import trio

from engine.clock import SystemClock
from engine.keyring import KeyRing
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.schema import migrate
from engine.store.statements import column_kinds, insert
from engine.store.tables import Event
from engine.store.tables_tenancy import WebhookDelivery
from engine.store.transaction import Tx
from engine.webhooks import endpoints, replays
from engine.webhooks.dispatcher import Webhooks
from engine.webhooks.feeder import Posted
from engine.webhooks.options import WebhookOptions

SINGLE_EVENTS = 20_000
BATCH_EVENTS = 100_000
CONCURRENCY = 8
_DATA = (
    '{"message_id":"%s","category":"transactional","state":"delivered","to":"+336••••••78","reference":"order-4711",'
    '"parts":1,"account":"alpha","reason":null,"status":0,"simulated":true}'
)
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
_INSERT_EVENTS = insert(Event, column_kinds(Event))
_INSERT_DELIVERIES = insert(
    WebhookDelivery, column_kinds(WebhookDelivery, "endpoint_id", "position", "application_id", "subject_id", "next_at")
)


def measure() -> dict[str, float]:
    """Return events per second: `webhook_single_per_s`, `webhook_batch_per_s`."""
    switch = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    gc.collect()
    gc.freeze()
    try:
        with _sink() as port:
            return {
                "webhook_single_per_s": trio.run(_rate, port, "single", SINGLE_EVENTS),
                "webhook_batch_per_s": trio.run(_rate, port, "batch", BATCH_EVENTS),
            }
    finally:
        sys.setswitchinterval(switch)
        gc.unfreeze()


async def _rate(port: int, mode: str, events: int) -> float:
    with tempfile.TemporaryDirectory(prefix="sceau-bench-") as folder:
        database = Database.at(f"sqlite:///{Path(folder) / 'bench.sqlite3'}")
        migrate(database)
        store = Store(database)
        store.open()
        clock, keyring = SystemClock(), KeyRing.generate()
        spec = endpoints.EndpointSpec(f"http://127.0.0.1:{port}/", mode=mode, concurrency=CONCURRENCY)
        view = await store.write(lambda tx: endpoints.create(tx, endpoints.draft("app", spec, keyring, clock)))
        for first in range(0, events, 1000):
            await store.write(partial(_owe, endpoint_id=view.id, numbers=range(first, first + 1000), clock=clock))
        done, posted = trio.Event(), 0

        def told(post: Posted) -> None:
            nonlocal posted
            posted += post.events
            if posted >= events:
                done.set()

        webhooks = Webhooks(store, clock, keyring, WebhookOptions(allow_loopback=True), told)
        async with trio.open_nursery() as nursery:
            began = trio.current_time()
            await nursery.start(webhooks.run)
            await done.wait()
            while await store.read(replays.waiting):
                await trio.sleep(0.001)
            elapsed = trio.current_time() - began
            nursery.cancel_scope.cancel()
        await store.close()
        assert posted == events, f"{posted} events were posted for {events}"
        return events / elapsed


def _owe(tx: Tx, endpoint_id: str, numbers: range, clock: SystemClock) -> None:
    now = clock.now()
    events, owed = [], []
    for number in numbers:
        subject = f"msg_{number // 2:032x}"  # each subject has two events
        data = _DATA % subject
        events.append(("app", number, f"evt_{number:032x}", "message.delivered", subject, number % 2, data, now))
        owed.append((endpoint_id, number, "app", subject, now))
    tx.batch(_INSERT_EVENTS, events)
    tx.batch(_INSERT_DELIVERIES, owed)


@contextmanager
def _sink() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, __file__, "sink"], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


async def _serve() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(listeners[0].socket.getsockname()[1], flush=True)
    await trio.serve_listeners(_receive, listeners)


async def _receive(stream: Any) -> None:
    buffer = b""
    while True:
        octets = await stream.receive_some(1 << 18)
        if not octets:
            return
        buffer += octets
        while (end := buffer.find(b"\r\n\r\n")) >= 0:
            at = buffer.index(b"content-length: ") + 16
            whole = end + 4 + int(buffer[at : buffer.index(b"\r\n", at)])
            if len(buffer) < whole:
                break
            buffer = buffer[whole:]
            await stream.send_all(_ANSWER)


def main() -> None:
    """Print the figures."""
    for name, value in measure().items():
        print(f"{name:24} {value:10,.0f}")


if __name__ == "__main__":
    if sys.argv[1:] == ["sink"]:
        trio.run(_serve)
    else:
        main()
