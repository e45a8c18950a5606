"""The server on real sockets (S29): caps, idle and slow clients, HTTP/2, a graceful end; the operations listener."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.lowlevel

from engine.api.operations import build_operations
from engine.api.server import Address, Listener, api_listener, serve
from engine.errors import SettingsError
from engine.settings_service import Http
from engine.store.connections import Database
from engine.store.doorway import Store
from tests.api_client import open_api

pytestmark = pytest.mark.real
WITHIN_S = 20


@asynccontextmanager
async def serving(app: Any, **http: Any) -> AsyncIterator[tuple[Address, trio.Event, Callable[[], bool]]]:
    """Serve an application on a free port; yields the address, the event that ends it, and whether it has ended."""
    stop = trio.Event()
    ended = False

    async def run(task_status: trio.TaskStatus[list[Address]]) -> None:
        nonlocal ended
        await serve(app, Listener("127.0.0.1", 0, Http(**http)), stop, task_status)
        ended = True

    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            [address] = await nursery.start(run)
            yield address, stop, lambda: ended
            stop.set()


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def connect(address: Address) -> trio.SocketStream:
    return await trio.open_tcp_stream(address.host, address.port)


async def read_all(stream: trio.SocketStream) -> bytes:
    """Return everything until the server closes."""
    found = b""
    try:
        while piece := await stream.receive_some(65_536):
            found += bytes(piece)
    except trio.BrokenResourceError:
        pass
    return found


async def drip(stream: trio.SocketStream) -> None:
    """Send an octet twenty times a second, for ever."""
    while True:
        await stream.send_all(b"G")
        await trio.sleep(0.05)


REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def test_requests_of_one_connection_are_answered_in_turn_each_with_one_write() -> None:
    async with serving(hello) as (address, _, _), await connect(address) as stream:
        for _ in range(3):
            await stream.send_all(REQUEST)
            answer = bytes(await stream.receive_some(65_536))
            assert answer.startswith(b"HTTP/1.1 200")
            assert answer.endswith(b"\r\n\r\nhello")


async def test_pipelined_requests_are_all_answered() -> None:
    async with serving(hello, keep_alive_s=0.2) as (address, _, _), await connect(address) as stream:
        await stream.send_all(REQUEST * 5)
        assert (await read_all(stream)).count(b"hello") == 5


async def test_an_idle_connection_is_closed() -> None:
    async with serving(hello, keep_alive_s=0.2) as (address, _, _), await connect(address) as stream:
        assert await read_all(stream) == b""


async def test_a_head_that_never_ends_is_cut_off_however_it_drips() -> None:
    async with serving(hello, keep_alive_s=0.5) as (address, _, _), await connect(address) as stream:
        with pytest.raises(trio.BrokenResourceError):
            await drip(stream)


async def test_headers_beyond_the_limit_are_refused() -> None:
    async with serving(hello) as (address, _, _), await connect(address) as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000)
        assert (await read_all(stream)).startswith(b"HTTP/1.1 431")


async def test_connections_beyond_the_caps_are_closed_at_once() -> None:
    async with (
        serving(hello, max_connections_per_ip=2) as (address, _, _),
        await connect(address) as one,
        await connect(address) as two,
        await connect(address) as three,
    ):
        assert await read_all(three) == b""
        for stream in (one, two):
            await stream.send_all(REQUEST)
            assert bytes(await stream.receive_some(65_536)).startswith(b"HTTP/1.1 200")


async def test_a_running_request_ends_before_the_server_does() -> None:
    entered, leave = trio.Event(), trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        entered.set()
        await leave.wait()
        await hello(scope, receive, send)

    async with (
        serving(slow) as (address, stop, ended),
        await connect(address) as stream,
        await connect(address) as idle,
    ):
        await stream.send_all(REQUEST)
        await entered.wait()
        stop.set()
        assert await read_all(idle) == b""
        with pytest.raises(OSError, match="connect"):
            await connect(address)
        assert not ended()
        leave.set()
        assert b"hello" in await read_all(stream)


async def test_a_request_that_does_not_end_is_cut_off_after_the_grace() -> None:
    entered = trio.Event()

    async def stuck(*_: Any) -> None:
        entered.set()
        await trio.sleep_forever()

    async with serving(stuck, shutdown_grace_s=0.2) as (address, stop, _), await connect(address) as stream:
        await stream.send_all(REQUEST)
        await entered.wait()
        stop.set()
        await read_all(stream)


async def test_a_client_that_leaves_leaves_nothing_behind() -> None:
    async with serving(hello, max_connections_per_ip=1) as (address, _, _):
        for _ in range(20):
            async with await connect(address) as stream:
                await stream.send_all(REQUEST)
                while not await stream.receive_some(65_536):
                    pass
            await trio.sleep(0.01)  # the server must see the end before the next may come


async def test_http2_by_prior_knowledge_is_answered() -> None:
    async with serving(hello) as (address, _, _), await connect(address) as stream:
        await stream.send_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        frame = bytes(await stream.receive_some(9))
        assert frame[3] == 0x04  # SETTINGS


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::"])
def test_nothing_listens_beyond_loopback_without_tls_or_a_proxy(host: str) -> None:
    with pytest.raises(SettingsError):
        Listener(host, 0, Http())
    assert api_listener(Http(host=host, behind_proxy=True), lambda _: False).exposed


async def test_the_operations_listener_tells_life_readiness_and_figures(sqlite_database: Database) -> None:
    store = Store(sqlite_database, inline=True)
    store.open()
    async with open_api(store) as api:
        draining = trio.Event()
        app = build_operations(api.context, draining)

        async def get(path: str, method: str = "GET") -> tuple[int, bytes]:
            sent: list[Any] = []

            async def send(message: Any) -> None:
                await trio.lowlevel.checkpoint()
                sent.append(message)

            await app({"type": "http", "path": path, "method": method}, trio.sleep_forever, send)
            return sent[0]["status"], sent[1]["body"]

        assert (await get("/healthz"))[0] == 200
        status, body = await get("/readyz")
        assert (status, json.loads(body)["missing"]) == (503, ["binds"])
        draining.set()
        assert json.loads((await get("/readyz"))[1])["missing"] == ["draining", "binds"]
        await api.alice.get("/v1/applications")
        status, body = await get("/metrics")
        assert status == 200
        assert b'sceau_requests_total{method="GET",route="/v1/applications",status="200"} 1.0' in body
        assert ((await get("/nothing"))[0], (await get("/metrics", "POST"))[0]) == (404, 405)
    await store.close()
