"""Hypercorn on trio, run from listeners of our own: caps on connections, socket options, read timeouts, a graceful end.

It knows ASGI applications and sockets, no routes. The composition root starts one for the API and one for operations.
"""

import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState, LifespanState

from engine.api.connection import Connection
from engine.api.limits import App
from engine.errors import SettingsError
from engine.settings_service import Http
from engine.settings_tree import is_loopback

# A peer that acknowledges nothing, or never reads, is dropped after this; hypercorn's writes have no deadline.
_USER_TIMEOUT_MS: Final = 15_000
_BACKLOG: Final = 1_024
_FILES_USED_UP: Final = 0.1

Trusts = Callable[[str], bool]


class Address(NamedTuple):
    """Where a server listens, once it does."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Listener:
    """Where to listen and with what limits; `exposed` allows more than loopback without TLS (behind a proxy, say).

    `trusts` tells the proxies, whose addresses are not capped.
    """

    host: str
    port: int
    http: Http
    exposed: bool = False
    tls: bool = False
    trusts: Trusts = field(default=lambda _: False)

    def __post_init__(self) -> None:
        if not (is_loopback(self.host) or self.tls or self.exposed):
            raise SettingsError(f"{self.host}:{self.port} is open to the network without TLS")


async def serve(
    app: App,
    listener: Listener,
    stop: trio.Event,
    task_status: trio.TaskStatus[list[Address]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop` is set: then accept no more, let requests end within the grace time, and close the rest.

    Reports the addresses it listens on (port 0 as the port it became). Raises `OSError` if an address is taken.
    """
    config = _config(listener)
    context = WorkerContext(None)
    sockets = await trio.open_tcp_listeners(listener.port, host=listener.host, backlog=_BACKLOG)
    connections = _Connections(app, config, context, listener)
    context_tls = config.create_ssl_context() if listener.tls else None
    listeners: list[Any] = [
        bound if context_tls is None else trio.SSLListener(bound, context_tls, https_compatible=True)
        for bound in sockets
    ]
    async with trio.open_nursery() as handlers:
        try:
            async with trio.open_nursery() as accepting:
                for bound in listeners:
                    accepting.start_soon(_accept, bound, connections.handle, handlers)
                task_status.started([Address(*bound.socket.getsockname()[:2]) for bound in sockets])
                await stop.wait()
                accepting.cancel_scope.cancel()
        finally:
            for bound in listeners:
                with trio.CancelScope(shield=True):
                    await bound.aclose()
        await context.terminated.set()
        handlers.cancel_scope.deadline = trio.current_time() + listener.http.shutdown_grace_s


async def _accept(listener: Any, handle: Callable[[Any], Awaitable[None]], handlers: trio.Nursery) -> None:
    while True:
        try:
            stream = await listener.accept()
        except OSError:
            # Out of file descriptors: those that are open must end first.
            await trio.sleep(_FILES_USED_UP)
        else:
            handlers.start_soon(handle, stream)


@dataclass(slots=True)
class _Connections:
    """The open connections, counted in all and by address."""

    app: App
    config: Config
    context: WorkerContext
    listener: Listener
    open: int = 0
    by_peer: Counter[str] = field(default_factory=Counter)

    async def handle(self, stream: Any) -> None:
        transport: trio.SocketStream = getattr(stream, "transport_stream", stream)
        try:
            peer = str(transport.socket.getpeername()[0])
            _prepare(transport)
        except OSError:
            await trio.aclose_forcefully(transport)
            return
        http = self.listener.http
        capped = not self.listener.trusts(peer)
        if self.open >= http.max_connections or (capped and self.by_peer[peer] >= http.max_connections_per_ip):
            await trio.aclose_forcefully(transport)
            return
        self.open += 1
        self.by_peer[peer] += 1
        try:
            state: ConnectionState = ConnectionState(LifespanState({}))
            await Connection(ASGIWrapper(self.app), self.config, self.context, state, stream)  # type: ignore[arg-type]
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
            pass  # the peer left; nobody is there to tell
        finally:
            # Cancelled in the midst of a request, hypercorn leaves the socket open.
            await trio.aclose_forcefully(transport)
            self.open -= 1
            self.by_peer[peer] -= 1
            if not self.by_peer[peer]:
                del self.by_peer[peer]


def _prepare(stream: trio.SocketStream) -> None:
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with suppress(AttributeError, OSError):  # Linux only
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)


def _config(listener: Listener) -> Config:
    http = listener.http
    config = Config()
    config.accesslog = None
    config.errorlog = None  # the gate logs, without values
    config.include_server_header = False
    config.keep_alive_timeout = http.keep_alive_s
    config.h11_max_incomplete_size = http.header_limit
    config.h2_max_header_list_size = http.header_limit
    config.h2_max_concurrent_streams = 32
    config.ssl_handshake_timeout = 10.0
    config.graceful_timeout = http.shutdown_grace_s
    if listener.tls:
        config.certfile = str(http.tls_cert_file)
        config.keyfile = str(http.tls_key_file)
    return config


def api_listener(http: Http, trusts: Trusts) -> Listener:
    """Return the API's listener as the settings want it."""
    return Listener(http.host, http.port, http, exposed=http.behind_proxy, tls=http.tls, trusts=trusts)
