"""A receiver of webhooks in memory, and an application that owes it events: what the webhook tests are built on."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import h11
import trio
import trio.testing
from sqlalchemy import select

from engine.clock import SECOND, Clock, VirtualClock
from engine.events import NewEvent, record
from engine.keyring import KeyRing
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables_tenancy import WebhookDelivery
from engine.transit.backlog import Bell
from engine.webhooks import endpoints, signing
from engine.webhooks.dispatcher import Webhooks
from engine.webhooks.endpoints import EndpointSpec, EndpointView
from engine.webhooks.feeder import Posted
from engine.webhooks.guard import GuardedBackend
from engine.webhooks.options import WebhookOptions

PUBLIC = "93.184.215.14"
URL = "http://hooks.example.com/in?from=sceau"
OPTIONS = WebhookOptions(allow_http=True, ports=(80, 443))

_delivery: Any = WebhookDelivery.__table__  # type: ignore[attr-defined]
DELIVERIES = Statement(
    lambda _: select(
        _delivery.c.endpoint_id, _delivery.c.position, _delivery.c.state, _delivery.c.attempts, _delivery.c.last_status
    ).order_by(_delivery.c.endpoint_id, _delivery.c.position)
)


@dataclass(frozen=True)
class Got:
    """One post as the receiver saw it."""

    at: float
    headers: dict[str, str]
    body: bytes
    connection: int
    target: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def events(self) -> list[dict[str, Any]]:
        message = json.loads(self.body)
        found: list[dict[str, Any]] = message["data"]["events"] if message["type"] == "batch" else [message]
        return found


@dataclass(frozen=True)
class Reply:
    """What the receiver answers: after `delay` seconds, its body in `chunks` with `pause` seconds before each."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0
    chunks: tuple[bytes, ...] = ()
    pause: float = 0
    close: bool = False


@dataclass
class Receiver:
    """A web server in memory. `answer` decides each reply; `down` refuses connections."""

    nursery: trio.Nursery
    answer: Callable[[Got], Reply] = lambda _got: Reply()
    down: bool = False
    got: list[Got] = field(default_factory=list)
    dialled: list[tuple[str, int]] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)
    addresses: Callable[[str], Sequence[str]] = lambda _host: [PUBLIC]
    _arrived: Bell = field(default_factory=Bell)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        self.resolved.append(host)
        return self.addresses(host)

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dialled.append((address, port))
        if self.down:
            raise ConnectionRefusedError
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self._serve, theirs, len(self.dialled))
        return ours

    @property
    def event_ids(self) -> list[str]:
        return [event["id"] for got in self.got for event in got.events]

    async def until(self, posts: int) -> None:
        """Wait until so many posts have come."""
        with trio.fail_after(10 * 86_400):
            while len(self.got) < posts:
                await self._arrived.wait()

    async def _serve(self, stream: trio.abc.Stream, number: int) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while await self._converse(h11.Connection(h11.SERVER), stream, number):
                pass
        await trio.aclose_forcefully(stream)

    async def _converse(self, wire: h11.Connection, stream: trio.abc.Stream, number: int) -> bool:
        request, body = None, b""
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                octets = await stream.receive_some(65536)
                if not octets and request is None:
                    return False
                wire.receive_data(bytes(octets))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
            else:
                break
        assert request is not None
        headers = {name.decode(): value.decode() for name, value in request.headers}
        got = Got(trio.current_time(), headers, body, number, request.target.decode())
        self.got.append(got)
        self._arrived.ring()
        reply = self.answer(got)
        await trio.sleep(reply.delay)
        length = str(sum(len(chunk) for chunk in reply.chunks))
        start = h11.Response(status_code=reply.status, headers=[*reply.headers, ("content-length", length)])
        await stream.send_all(wire.send(start) or b"")
        for chunk in reply.chunks:
            await trio.sleep(reply.pause)
            await stream.send_all(wire.send(h11.Data(data=chunk)) or b"")
        return not reply.close


@dataclass
class Desk:
    """An application with endpoints on a store, its webhooks and a receiver."""

    store: Store
    receiver: Receiver
    options: WebhookOptions = OPTIONS
    clock: Clock = field(default_factory=VirtualClock)
    keyring: KeyRing = field(default_factory=KeyRing.generate)
    posted: list[Posted] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)

    def webhooks(self, store: Store | None = None, **changes: Any) -> Webhooks:
        """Return the webhooks of one process life."""
        backend = GuardedBackend(self.options.allow_loopback, self.receiver.resolve, self.receiver.connect)
        options = replace(self.options, **changes)
        return Webhooks(store or self.store, self.clock, self.keyring, options, self.posted.append, backend=backend)

    async def endpoint(self, **spec: Any) -> EndpointView:
        """Create an endpoint."""
        drafted = endpoints.draft("app", EndpointSpec(**{"url": URL, **spec}), self.keyring, self.clock)
        view = await self.store.write(lambda tx: endpoints.create(tx, drafted))
        self.secrets[view.id] = drafted.secret
        return view

    async def owe(self, *subjects: str, size: int = 0) -> list[tuple[str, str]]:
        """Record one event for each subject named, in order; return the bells."""
        now = self.clock.now()

        def job(tx: Any) -> list[tuple[str, str]]:
            news = []
            for subject in subjects:
                number = _sequences[self.store, subject] = _sequences.get((self.store, subject), 0) + 1
                data = json.dumps({"message_id": subject, "pad": "x" * size})
                news.append(NewEvent("app", "message.accepted", subject, number, data))
            return record(tx, news, self.clock.new_ids, now)

        return await self.store.write(job)

    async def rows(self) -> list[tuple[Any, ...]]:
        """Return every delivery: (endpoint, position, state, attempts, last status)."""
        return await self.store.read(lambda tx: tx.all(DELIVERIES))

    async def states(self) -> list[str]:
        """Return the states of every delivery, by endpoint and position."""
        return [row[2] for row in await self.rows()]

    def check_signature(self, endpoint_id: str, got: Got) -> None:
        """Verify a post as its receiver would at the instant at which it came."""
        key = signing.receiver_key(self.secrets[endpoint_id])
        assert signing.verify([key], got.headers, got.body, self.clock.now() // SECOND, 10**9) == got.id


_sequences: dict[tuple[Store, str], int] = {}


def in_order(got: Sequence[Got]) -> bool:
    """Tell whether the first sight of each event comes in the order of its subject's sequence."""
    seen: dict[str, int] = {}
    known: set[str] = set()
    for post in got:
        for event in post.events:
            if event["id"] in known:
                continue
            known.add(event["id"])
            if event["sequence"] != seen.get(event["subject_id"], 0) + 1:
                return False
            seen[event["subject_id"]] = event["sequence"]
    return True
