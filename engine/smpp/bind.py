"""One bind kept up for as long as it is wanted: connect, TLS, session, and again after a fitting wait.

It speaks through `link` and decides with `reconnect`; what a lost message means is not its business. The
composition root runs one for each bind of an operator account.
"""

from __future__ import annotations

import random
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

import trio

from engine.smpp.connect import TlsRefused, secure
from engine.smpp.events import Event, Lost
from engine.smpp.link import Link, LinkHandler, LinkOptions
from engine.smpp.options import SessionOptions
from engine.smpp.pdu import encode, status_name
from engine.smpp.reconnect import Backoff, ConnectLimiter, Failure, failure_of
from engine.smpp.session import Session

_SECOND: Final = 1_000_000
_ALARM_AGAIN_S: Final = 900.0  # a fault that lasts is not told a thousand times (row A13)

Connect = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens the raw stream; called for every attempt, so that names are resolved anew (row B29)."""


class Handler(LinkHandler, Protocol):
    """Who is told of the sessions of a bind and of what keeps it from having one."""

    def refused(self, status: int, next_try: int) -> None:
        """The peer refused the bind; `next_try` is a UTC instant in microseconds."""

    def alarm(self, kind: str, detail: str) -> None:
        """A person should look: the class of failure and what is known of it, without secrets."""


class Clock(Protocol):
    """What a bind needs of the injected clock; deadlines are trio's."""

    random: random.Random

    def now(self) -> int:
        """UTC, microseconds."""


class BindPhase(StrEnum):
    """What a bind is doing."""

    IDLE = "idle"
    CONNECTING = "connecting"
    BINDING = "binding"
    BOUND = "bound"
    DRAINING = "draining"
    WAITING = "waiting"
    STOPPED = "stopped"


class BindStatus(NamedTuple):
    """A snapshot for the API; instants are UTC microseconds. `attempts` counts failures in a row."""

    phase: BindPhase
    since: int
    failure: Failure | None
    last_error: str
    attempts: int
    next_try: int | None


@dataclass(frozen=True, slots=True)
class BindOptions:
    """How to reach the SMSC. `host` names it for the connect limiter and, with `tls`, in its certificate."""

    session: SessionOptions
    host: str = ""
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    server_hostname: str | None = None
    connect_timeout_s: float = 10.0
    stable_after_s: float = 60.0  # bound for so long: earlier failures are forgotten
    link: LinkOptions = field(default_factory=LinkOptions)


class _Failed(NamedTuple):
    failure: Failure
    detail: str
    status: int | None = None


class Bind:
    """See the module. `limiter` is shared by all binds of the process."""

    def __init__(
        self,
        options: BindOptions,
        connect: Connect,
        clock: Clock,
        *,
        limiter: ConnectLimiter | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        encode(options.session.bind_pdu(), 1)  # a bind that can never be said is refused here
        self.options = options
        self._connect = connect
        self._clock = clock
        self._limiter = limiter or ConnectLimiter()
        self._backoff = backoff or Backoff()
        self._handler: Handler | None = None
        self._link: Link | None = None
        self._dialling: trio.CancelScope | None = None
        self._stopping = False
        self._stopped = trio.Event()
        self._nudge = trio.Event()
        self._phase = BindPhase.IDLE
        self._since = clock.now()
        self._last: _Failed | None = None
        self._next_try: int | None = None
        self._alarmed_at: dict[Failure, float] = {}

    @property
    def status(self) -> BindStatus:
        """What it is doing and what last went wrong; `failure` is None while bound."""
        last = self._last
        failure = None if last is None or self._phase is BindPhase.BOUND else last.failure
        error = "" if last is None else last.detail
        return BindStatus(self._phase, self._since, failure, error, self._backoff.attempts, self._next_try)

    # Running.

    async def run(self, handler: Handler, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep the bind up until `drain`. Started once it can be watched and drained, bound or not."""
        self._handler = handler
        try:
            task_status.started()
            while not self._stopping:
                failed = await self._attempt(handler)
                if failed is not None and not self._stopping:
                    await self._pause(failed, handler)
        finally:
            self._move(BindPhase.STOPPED)
            self._stopped.set()

    async def drain(self, grace_s: float) -> None:
        """Stop for good: wait for answers up to `grace_s`, unbind, close (row B26). Returns when `run` is over."""
        self._stopping = True
        self._nudge.set()
        if self._dialling is not None:
            self._dialling.cancel()
        if self._link is not None:
            self._move(BindPhase.DRAINING)
            self._link.drain(grace_s)
        if self._handler is not None:
            await self._stopped.wait()

    def retry_now(self) -> None:
        """End the wait for the next attempt; nothing if there is none."""
        self._nudge.set()

    async def _attempt(self, handler: Handler) -> _Failed | None:
        """One connection from dialling to its end; None if it was cancelled by `drain`."""
        stream: trio.abc.Stream | _Failed | None = None
        with trio.CancelScope() as self._dialling:
            stream = await self._dial()
        self._dialling = None
        if stream is None or isinstance(stream, _Failed):
            return stream
        session = Session(self.options.session, now=trio.current_time())
        self._link = link = Link(stream, session, self, self.options.link)
        self._move(BindPhase.BINDING)
        try:
            lost = await link.run()
        finally:
            self._link = None
        if link.bound_at is not None and trio.current_time() - link.bound_at >= self.options.stable_after_s:
            self._backoff.forget()
        if link.refused_status is not None:
            status = link.refused_status
            return _Failed(failure_of(status), status_name(status), status)
        return _Failed(Failure.TLS if link.tls_refused else Failure.NETWORK, lost.reason.value)

    async def _dial(self) -> trio.abc.Stream | _Failed:
        options = self.options
        self._move(BindPhase.CONNECTING)
        await trio.sleep_until(self._limiter.reserve(options.host, trio.current_time()))
        try:
            with trio.fail_after(options.connect_timeout_s):
                stream = await self._connect()
            if options.tls is None:
                return stream
            with trio.fail_after(options.connect_timeout_s):
                return await secure(stream, options.tls, options.server_hostname or options.host)
        except TlsRefused as error:
            return _Failed(Failure.TLS, str(error))
        except (OSError, trio.TooSlowError, trio.BrokenResourceError) as error:
            return _Failed(Failure.NETWORK, f"connect: {type(error).__name__}")

    async def _pause(self, failed: _Failed, handler: Handler) -> None:
        wait_s, alarm = self._backoff.failed(failed.failure, self._clock.random.random())
        self._nudge = trio.Event()
        self._last = failed
        self._next_try = self._clock.now() + int(wait_s * _SECOND)
        self._move(BindPhase.WAITING)
        if failed.status is not None:
            handler.refused(failed.status, self._next_try)
        if alarm:
            self._alarm(failed, handler)
        with trio.move_on_after(wait_s):
            await self._nudge.wait()
        self._next_try = None

    def _alarm(self, failed: _Failed, handler: Handler) -> None:
        now = trio.current_time()
        if now - self._alarmed_at.get(failed.failure, -_ALARM_AGAIN_S) >= _ALARM_AGAIN_S:
            self._alarmed_at[failed.failure] = now
            handler.alarm(failed.failure.value, failed.detail)

    def _move(self, phase: BindPhase) -> None:
        if phase is not self._phase:
            self._phase = phase
            self._since = self._clock.now()

    # What the link tells, passed on.

    def bound(self, link: Link) -> None:
        """As `LinkHandler`."""
        self._move(BindPhase.BOUND)
        self._told.bound(link)

    def events(self, events: list[Event]) -> None:
        """As `LinkHandler`."""
        self._told.events(events)

    def lost(self, lost: Lost) -> None:
        """As `LinkHandler`."""
        self._told.lost(lost)

    @property
    def _told(self) -> Handler:
        assert self._handler is not None
        return self._handler
