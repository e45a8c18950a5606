"""`sceau serve` with a stop-watch at both ends of a code's way: the read of its request and the write of its submit_sm.

It replaces two seams of the server (the HTTP connection's class, the binds' `connect`) by ones that look at the octets
passing, and can keep a bulk queue from running dry. Run as `python -m bench.probe SETTINGS OUTPUT KEEP_QUEUED QUEUED`;
at the end it writes what it saw to OUTPUT as JSON. `otp_latency` starts it.
"""

from __future__ import annotations

import json
import re
import sys
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import trio

from bench.installation import BULK, bulk
from engine import app
from engine.api import server as http_server
from engine.api.connection import Connection
from engine.clock import DAY, SystemClock
from engine.core import Core, open_core
from engine.settings import load
from engine.store.transaction import Tx
from engine.tenancy import DEFAULT_APPLICATION
from engine.transit import queue
from engine.transit.backlog import QueueKey
from engine.transit.binding import connector

CODE_PREFIX = "33612340"
"""What the numbers of codes begin with, and no other number of a benchmark."""
_CODE = re.compile(rb"33612340\d{3}")
_BULK = b"336123456"
_SAMPLE_S = 0.25
_REFILL = 100  # more in one transaction would make codes wait for the refilling
_REFILL_LOOK_S = 0.01


class Seen:
    """When each code's request was read whole and its submit_sm handed to the socket; and how much bulk left, when."""

    def __init__(self) -> None:
        self.read: dict[str, float] = {}
        self.written: dict[str, float] = {}
        self.bulk = 0
        self.samples: list[tuple[float, int]] = []

    def request(self, octets: bytes) -> None:
        """Look at what a socket of the API gave."""
        now = perf_counter()
        if (found := _CODE.search(octets)) is not None:
            self.read[found[0].decode()] = now

    def submits(self, octets: bytes) -> None:
        """Look at what is about to be handed to a bind's socket, in the same step as the system call that takes it."""
        self.bulk += octets.count(_BULK)
        now = perf_counter()
        for number in _CODE.findall(octets):
            self.written.setdefault(number.decode(), now)

    async def sample(self) -> None:
        """Note how much bulk has left, now and then."""
        while True:
            self.samples.append((perf_counter(), self.bulk))
            await trio.sleep(_SAMPLE_S)


class _Watched:
    """A stream that shows what passes."""

    def __init__(self, stream: Any, seen: Seen) -> None:
        self._stream = stream
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _WatchedReads(_Watched):
    async def receive_some(self, most: int | None = None) -> bytes:
        octets = bytes(await self._stream.receive_some(most))
        self._seen.request(octets)
        return octets


class _WatchedWrites(_Watched, trio.abc.Stream):
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: Any) -> None:
        self._seen.submits(bytes(data))
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def _connect(seen: Seen, bind: Any, account: Any) -> Any:
    open_stream = connector(bind, account)

    async def connect() -> Any:
        return _WatchedWrites(await open_stream(), seen)

    return connect


async def _keep_queued(core: Core, seen: Seen, most: int, queued: int) -> None:
    """Queue more whenever fewer than `most` wait, in small transactions."""
    clock = SystemClock()
    [pattern] = bulk(core.settings, clock, 1)
    key = QueueKey(BULK, pattern.route, DEFAULT_APPLICATION)

    def refill(tx: Tx) -> None:
        now = clock.now()
        queue.enqueue(
            tx,
            [
                pattern._replace(
                    id=clock.new_id("msg"),
                    recipient=f"+{_BULK.decode()}{number:02}",
                    created_at=now,
                    expires_at=now + DAY,
                )
                for number in range(_REFILL)
            ],
        )

    while True:
        if queued - seen.bulk < most:
            await core.store.write(refill)
            queued += _REFILL
            core.backlog.add([key])
        else:
            await trio.sleep(_REFILL_LOOK_S)


def main() -> None:
    """Serve until SIGTERM, then write what was seen."""
    file, output, keep, queued = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    seen = Seen()

    class WatchedConnection(Connection):
        def __init__(self, asgi: Any, config: Any, context: Any, state: Any, stream: Any) -> None:
            super().__init__(asgi, config, context, state, _WatchedReads(stream, seen))

    async def opened(*given: Any, **named: Any) -> Core:
        core = await open_core(*given, **named, connect=partial(_connect, seen))
        trio.lowlevel.spawn_system_task(seen.sample)
        if keep:
            trio.lowlevel.spawn_system_task(_keep_queued, core, seen, keep, queued)
        return core

    http_server.Connection = WatchedConnection  # type: ignore[attr-defined]
    app.open_core = opened  # type: ignore[attr-defined]
    app.run(load(file), lambda started: print(started.as_json(), flush=True))
    output.write_text(json.dumps({"read": seen.read, "written": seen.written, "samples": seen.samples}))


if __name__ == "__main__":
    main()
