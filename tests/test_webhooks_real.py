"""Webhooks over real sockets: TLS with the host's own name, threads in the store, proxies in the environment."""

from __future__ import annotations

import ssl

import pytest
import trio
import trustme

from engine.clock import SystemClock
from engine.store.doorway import Store
from engine.webhooks import replays
from engine.webhooks.dispatcher import Webhooks
from engine.webhooks.guard import GuardedBackend, connect
from engine.webhooks.options import WebhookOptions
from tests.webhook_rig import PUBLIC, Desk, Receiver, in_order

pytestmark = pytest.mark.real


async def all_settled(store: Store) -> None:
    with trio.fail_after(60):
        while await store.read(replays.waiting):
            await trio.sleep(0.02)


async def serve(receiver: Receiver, nursery: trio.Nursery, tls: ssl.SSLContext | None = None) -> int:
    """Serve a receiver on loopback; return its port."""

    async def handle(stream: trio.abc.Stream) -> None:
        await receiver._serve(stream if tls is None else trio.SSLStream(stream, tls, server_side=True), 1)

    listeners: list[trio.SocketListener] = await nursery.start(trio.serve_tcp, handle, 0)
    return int(listeners[0].socket.getsockname()[1])


async def test_many_events_cross_real_sockets_in_order_whatever_proxies_the_environment_names(
    threaded_store: Store, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S18: proxy variables are ignored."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    receiver = Receiver(nursery)
    port = await serve(receiver, nursery)
    options = WebhookOptions(allow_loopback=True)
    desk = Desk(threaded_store, receiver, options, SystemClock())
    single = await desk.endpoint(url=f"http://127.0.0.1:{port}/single")
    await desk.endpoint(url=f"http://localhost:{port}/batch", mode="batch")
    webhooks = Webhooks(threaded_store, desk.clock, desk.keyring, options)
    async with trio.open_nursery() as running:
        await running.start(webhooks.run)
        for step in range(30):
            webhooks.ring(await desk.owe(*[f"s{(step * 20 + number) // 3}" for number in range(20)]))
        await all_settled(threaded_store)
        running.cancel_scope.cancel()
    by_target = {target: [got for got in receiver.got if got.target == target] for target in ("/single", "/batch")}
    assert len(by_target["/single"]) == 600
    assert len(by_target["/batch"]) < 600
    for posts in by_target.values():
        assert sorted({event["id"] for got in posts for event in got.events}) == sorted(set(receiver.event_ids))
        assert in_order(posts)
    desk.check_signature(single.id, by_target["/single"][0])


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def client_context(authority: trustme.CA | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority is not None:
        authority.configure_trust(context)
    return context


@pytest.mark.parametrize(
    ("certified", "trusted", "problem"),
    [
        ("hooks.example.com", True, ""),
        ("other.example.com", True, "unreachable"),
        ("hooks.example.com", False, "unreachable"),
    ],
)
async def test_tls_is_verified_for_the_host_s_name_at_the_address_that_was_checked(
    sqlite_database: object,
    nursery: trio.Nursery,
    authority: trustme.CA,
    certified: str,
    trusted: bool,
    problem: str,
) -> None:
    """S18: Host and SNI are the endpoint's own, the connection goes to the pinned address."""
    store = Store(sqlite_database, inline=True)  # type: ignore[arg-type]
    store.open()
    named: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(certified).configure_cert(server)
    server.sni_callback = lambda _socket, name, _context: named.append(name)
    receiver = Receiver(nursery)
    port = await serve(receiver, nursery, server)
    dialled: list[tuple[str, int]] = []

    async def elsewhere(address: str, asked: int) -> trio.abc.Stream:
        dialled.append((address, asked))
        return await connect("127.0.0.1", port)

    desk = Desk(store, receiver, WebhookOptions(), SystemClock())
    await desk.endpoint(url="https://hooks.example.com/in")
    backend = GuardedBackend(allow_loopback=False, resolve=receiver.resolve, connect=elsewhere)
    tls = client_context(authority if trusted else None)
    answered = trio.Event()
    posts = []

    def told(post: object) -> None:
        posts.append(post)
        answered.set()

    webhooks = Webhooks(store, desk.clock, desk.keyring, WebhookOptions(), told, backend=backend, tls=tls)
    with trio.fail_after(30):
        async with trio.open_nursery() as running:
            await running.start(webhooks.run)
            webhooks.ring(await desk.owe("a"))
            await answered.wait()
            running.cancel_scope.cancel()
    [post] = posts
    assert (post.problem, post.status) == (problem, 0 if problem else 200)  # type: ignore[attr-defined]
    assert dialled[0] == (PUBLIC, 443)
    assert named[0] == "hooks.example.com"
    if not problem:
        assert receiver.got[0].headers["host"] == "hooks.example.com"
    await store.close()
