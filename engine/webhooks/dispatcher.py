"""Starts a feeder for each endpoint that is owed something, and gives up what deleted endpoints were owed.

Woken by `ring` after commits that owe deliveries, healed by a look at the rows at start and every `look_s`. The
composition root makes one `Webhooks` and runs it; one endpoint's trouble stays with its feeder.
"""

import ssl
from collections.abc import Callable, Sequence

import trio

from engine.clock import SECOND, Clock
from engine.errors import CommitUnknown, StoreUnavailable
from engine.keyring import KeyRing
from engine.logs import logger
from engine.store.doorway import Store
from engine.webhooks import claims
from engine.webhooks.feeder import Desk, Feeder, Posted
from engine.webhooks.guard import GuardedBackend
from engine.webhooks.line import Dialer
from engine.webhooks.options import WebhookOptions

_ABANDONED_AT_ONCE = 500

log = logger("webhooks")


def _unheard(posted: Posted) -> None:
    del posted


class Webhooks:
    """The webhooks of one process. `told` hears of every post; `backend` and `tls` are for tests and the demo."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        keyring: KeyRing,
        options: WebhookOptions,
        told: Callable[[Posted], None] = _unheard,
        *,
        backend: GuardedBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        guarded = GuardedBackend(options.allow_loopback) if backend is None else backend
        dialer = Dialer(guarded, ssl.create_default_context() if tls is None else tls, options)
        self._desk = Desk(store, clock, keyring, options, dialer, told)
        self._feeders: dict[str, Feeder] = {}
        self._nursery: trio.Nursery | None = None

    def ring(self, bells: Sequence[tuple[str, str]]) -> None:
        """Wake the feeders of (application, endpoint) pairs; call after the commit, also of a changed endpoint."""
        for _, endpoint_id in bells:
            self._wake(endpoint_id)

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Feed every endpoint that is owed something, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            try:
                while True:
                    await self._look()
                    await trio.sleep(self._desk.options.look_s)
            finally:
                self._nursery = None

    async def _look(self) -> None:
        soon = self._desk.clock.now() + round(self._desk.options.look_s * SECOND)
        try:
            for endpoint_id, state in await self._desk.read(lambda tx: claims.endpoints_with_work(tx, soon)):
                if state == "enabled" and endpoint_id not in self._feeders:
                    self._wake(endpoint_id)
                elif state == "deleted":
                    await self._abandon(endpoint_id)
        except (StoreUnavailable, CommitUnknown):
            log.warning("webhook.store_unavailable")

    async def _abandon(self, endpoint_id: str) -> None:
        now = self._desk.clock.now()
        while await self._desk.store.write(lambda tx: claims.abandon(tx, endpoint_id, _ABANDONED_AT_ONCE, now)):
            pass

    def _wake(self, endpoint_id: str) -> None:
        feeder = self._feeders.get(endpoint_id)
        if feeder is None:
            if self._nursery is None:
                return  # not running: the first look finds the rows
            feeder = self._feeders[endpoint_id] = Feeder(self._desk, endpoint_id)
            self._nursery.start_soon(self._feed, endpoint_id, feeder, name=f"webhooks {endpoint_id}")
        feeder.ring()

    async def _feed(self, endpoint_id: str, feeder: Feeder) -> None:
        try:
            await feeder.run()
        except Exception as error:  # one endpoint's failure stays its own; the next look tries again
            log.error("webhook.feeder_failed", endpoint_id=endpoint_id, exc=error)
            feeder.rung = False
        finally:
            del self._feeders[endpoint_id]
        if feeder.rung:  # while it was ending
            self._wake(endpoint_id)
