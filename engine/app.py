"""The composition root of a server: database, keys, core, webhooks and HTTP, started in order and ended in order.

`sceau serve` runs it. It decides nothing about messages; it says when the process is ready, and how it ends: no more
HTTP, no more claims, the answers that are due, unbind, and the rest is cancelled.
"""

import gc
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from engine import watching
from engine.api.app import build_app
from engine.api.auth import keep_last_used
from engine.api.context import Context
from engine.api.limits import App
from engine.api.operations import build_operations
from engine.api.server import Address, Listener, api_listener, serve
from engine.clock import Clock, SystemClock
from engine.core import Core, open_core
from engine.errors import EngineError, SettingsError
from engine.gauges import Gauges
from engine.instance import Started, occupied
from engine.keyring import KeyRing
from engine.logs import configure, logger
from engine.metrics import Metrics
from engine.phones import OfflineResolver
from engine.settings import Settings
from engine.settings_service import Webhooks as WebhookSettings
from engine.settings_warnings import start_warnings
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.revision import bring_up_to_date
from engine.webhooks.dispatcher import Webhooks
from engine.webhooks.feeder import Posted
from engine.webhooks.options import WebhookOptions

# A busy trio thread must not starve the writer, nor a collection of garbage hold up a code (engineering notes).
_SWITCH_S: Final = 0.0001
_GC_THRESHOLDS: Final = (50_000, 50, 50)
_UNBIND_S: Final = 15.0  # beyond the grace for answers: unbinding, and committing what came in

log = logger("app")
Announce = Callable[[Started], None]


def run(settings: Settings, announce: Announce) -> bool:
    """Serve until SIGTERM or SIGINT; return whether the end was graceful (a second signal cuts it short).

    `announce` is called once everything listens. Raises `EngineError` for what keeps it from starting.
    """
    clock = SystemClock()
    configure(clock=clock, style=settings.logs.format, level=settings.logs.level)
    keyring = KeyRing.load(settings.keyring_file)
    database = Database.at(settings.store_url)
    with occupied(settings.data_dir, settings.node) as leave_note:
        bring_up_to_date(database)
        for warning in start_warnings(settings):
            log.warning("settings.warned", hint=warning)
        sys.setswitchinterval(_SWITCH_S)

        def ready(started: Started) -> None:
            leave_note(started)
            announce(started)

        try:
            return trio.run(_serve, settings, database, keyring, clock, ready)
        except BaseExceptionGroup as group:
            if (told := _our_own(group)) is not None:
                raise told from None
            log.error("app.crashed", exc=group)
            raise


def webhook_options(given: WebhookSettings) -> WebhookOptions:
    """Return the section `[webhooks]` as the dispatcher takes it."""
    return WebhookOptions(
        timeout_s=given.timeout_s,
        connect_timeout_s=given.connect_timeout_s,
        retry_s=given.retry_s,
        jitter=given.jitter,
        ports=given.ports,
        allow_http=given.allow_http,
        allow_loopback=given.allow_loopback,
        response_limit=given.response_limit,
        workers=given.workers,
        batch_events=given.batch_events,
        batch_octets=given.batch_octets,
    )


async def _serve(settings: Settings, database: Database, keyring: KeyRing, clock: Clock, ready: Announce) -> bool:
    metrics = Metrics.create()
    store = Store(database, ended=watching.group_ended(metrics))
    store.open()
    try:
        core = await open_core(settings, store, clock, keyring, metrics=metrics)
        return await Server(core).run(ready)
    finally:
        await store.close()


@dataclass(slots=True)
class Server:
    """One life of the server around an opened core."""

    core: Core
    stop: trio.Event = field(default_factory=trio.Event)
    _api_ended: trio.Event = field(default_factory=trio.Event)

    async def run(self, ready: Announce) -> bool:
        """Start everything, tell `ready`, and end at the first signal; False if a second one cut the end short."""
        core = self.core
        context = Context.of(core, OfflineResolver())
        gate = build_app(context)
        webhooks = self._webhooks()
        graceful = False
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                # Listening comes first: a port that is taken is found out before anything is bound.
                operations = await self._open_operations(nursery, build_operations(context, self.stop))
                listener = api_listener(core.settings.http, gate.trusts)
                api = await _listen(nursery, listener, partial(self._hold_api, gate, listener))
                await nursery.start(webhooks.run)
                nursery.start_soon(keep_last_used, context.door, core.store)
                nursery.start_soon(Gauges(core).run)
                await nursery.start(core.run)
                _settle_memory()
                ready(self._started(api, operations))
                received = await anext(signals)
                nursery.start_soon(_cut_short, signals, nursery.cancel_scope)
                log.info("app.stopping", signal=signal.Signals(received).name)
                await self._end()
                graceful = True
                nursery.cancel_scope.cancel()
        log.info("app.stopped", cause="graceful" if graceful else "cut short")
        return graceful

    async def _end(self) -> None:
        self.stop.set()
        await self._api_ended.wait()
        grace_s = max((account.timers.drain_s for account in self.core.settings.accounts), default=0.0)
        with trio.move_on_after(grace_s + _UNBIND_S):
            await self.core.stop(grace_s)

    async def _hold_api(self, app: App, listener: Listener, task_status: trio.TaskStatus[list[Address]]) -> None:
        await serve(app, listener, self.stop, task_status)
        self._api_ended.set()

    async def _open_operations(self, nursery: trio.Nursery, app: App) -> Address:
        settings = self.core.settings
        given = settings.operations
        listener = Listener(given.host, given.port, settings.http, exposed=given.exposed)
        never = trio.Event()  # health and metrics answer until the process ends
        return await _listen(nursery, listener, partial(serve, app, listener, never))

    def _started(self, api: Address, operations: Address) -> Started:
        scheme = "https" if self.core.settings.http.tls else "http"
        return Started(_url(scheme, api), _url("http", operations), os.getpid())

    def _webhooks(self) -> Webhooks:
        core = self.core
        options = webhook_options(core.settings.webhooks)
        webhooks = Webhooks(core.store, core.clock, core.keyring, options, partial(_posted, core.metrics))
        core.ring.append(webhooks.ring)
        return webhooks


async def _listen(nursery: trio.Nursery, listener: Listener, hold: Callable[..., Awaitable[None]]) -> Address:
    """Start a listener's task and return its address; raises `SettingsError` if the address cannot be had."""
    try:
        addresses: list[Address] = await nursery.start(hold)
    except OSError as error:
        raise _no_address(listener, error) from None
    except BaseExceptionGroup as group:
        refused = next((one for one in _leaves(group) if isinstance(one, OSError)), None)
        if refused is None:
            raise
        raise _no_address(listener, refused) from None
    log.info("app.listening", host=addresses[0].host, port=addresses[0].port)
    return addresses[0]


async def _cut_short(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


def _settle_memory() -> None:
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def _posted(metrics: Metrics, posted: Posted) -> None:
    metrics.webhooks.labels(posted.result).inc()
    metrics.webhook_time.observe(posted.seconds)


def _no_address(listener: Listener, error: OSError) -> SettingsError:
    return SettingsError(f"cannot listen on {listener.host}:{listener.port}: {error.strerror or error}")


def _url(scheme: str, address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{scheme}://{host}:{address.port}"


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _our_own(group: BaseExceptionGroup[BaseException]) -> EngineError | None:
    """Return the one error of ours that ended everything, or None if it was something else."""
    leaves = list(_leaves(group))
    return leaves[0] if len(leaves) == 1 and isinstance(leaves[0], EngineError) else None
