"""Lets a plan happen: lives of the engine one after another, one operator, callers, weather; then calm, then the end.

`simulate` is the whole of it. After the storm the engine is stopped as an operator would stop it, starts once more in
fair weather, is tried for the isolation of its lanes, and is looked at after everything's life and grace have passed.
"""

from __future__ import annotations

import io
import random
import ssl
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import trio
from trio.testing import MockClock

from engine import logs
from engine.clock import SECOND, VirtualClock
from engine.core import Core, open_core
from engine.errors import CommitUnknown, StoreUnavailable
from engine.keyring import KeyRing
from engine.settings import Settings
from engine.store.connections import Database
from engine.webhooks import endpoints
from engine.webhooks.dispatcher import Webhooks
from engine.webhooks.endpoints import EndpointSpec
from engine.webhooks.guard import GuardedBackend
from engine.webhooks.options import WebhookOptions
from smppsim.scenario import AccountSettings, Bounds, Scenario
from smppsim.simulator import Simulator
from tests.databases import fresh_sqlite
from tests.scheduling import schedule_by
from tests.shipped import shipped_templates
from tests.simulation import verdict
from tests.simulation.callers import Callers
from tests.simulation.life import Life
from tests.simulation.plan import APPS, OURS, AccountPlan, Crash, Plan, draw
from tests.simulation.store import SimulatedStore, StoreWeather
from tests.simulation.trace import Trace
from tests.simulation.weather import Weather
from tests.simulation.wire import Wire
from tests.webhook_rig import Receiver

_BEGAN_US = 1_767_225_600 * SECOND
_PASSWORD = "secret08"
_WEBHOOKS = WebhookOptions(
    allow_http=True, ports=(80,), timeout_s=10, retry_s=(0, 1, 2, 3, *([5] * 40)), look_s=5, workers=4
)
_CALM_S = 400
_SLOWER = 4  # duties look at rows that have not changed less often than they do in life: half of a seed's time


@dataclass
class Result:
    """What a seed came to: no breach, or every one of them in words."""

    plan: Plan
    trace: Trace
    breaches: list[str] = field(default_factory=list)
    passed: dict[str, int] = field(default_factory=dict)  # points of crashes, by passages
    crashes: list[str] = field(default_factory=list)  # that happened
    doubts: int = 0
    figures: dict[str, int] = field(default_factory=dict)


def simulate(seed: int) -> Result:
    """Play one seed, in this process; whatever goes wrong is in the result."""
    with tempfile.TemporaryDirectory(prefix="sceau-simulation-") as folder:
        world = World(draw(seed), Database.at(fresh_sqlite(Path(folder))))
        logs.configure(clock=world.clock, style="json", level="debug", stream=world.log, strict=True)
        try:
            trio.run(world.run, clock=MockClock(autojump_threshold=0))
        except BaseException as error:
            world.result.breaches.append(f"the simulation ended by {logs.described(error)}")
            raise
        finally:
            logs.silence()
    return world.result


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class World:
    """Everything of one seed. The clock, the keys, the operator and the receiver outlive the engine's lives."""

    def __init__(self, plan: Plan, database: Database) -> None:
        self.plan = plan
        self.database = database
        self.trace = Trace()
        self.result = Result(plan, self.trace)
        self.clock = VirtualClock(seed=plan.seed)
        self.keyring = KeyRing.generate(self.clock.entropy)
        self.log = io.StringIO()
        self.accounts = {account.name: account for account in plan.accounts}
        self.settings = _settings(plan)
        self.store_weather = StoreWeather(random.Random(f"store {plan.seed}"), plan.commit_s)
        self.sim = Simulator(_operator(plan), seed=plan.seed, wall=_wall)
        self.wire = Wire(self.trace, self.clock, plan.deadlines_s)
        self.callers = Callers(self.sim, tuple(self.accounts), self.trace, random.Random(f"callers {plan.seed}"))
        self.life: Life | None = None
        self.store: SimulatedStore | None = None
        self.receiver: Receiver
        self.nursery: trio.Nursery
        self.heard: set[str] = set()  # events that the receiver took and said so
        self.steps: list[float] = []  # when the clock was set
        self._offsets = [0.0]  # of the clock, in seconds, after each step
        self._reader: Any = None

    async def run(self) -> None:
        """From the first bind to the verdict."""
        schedule_by(self.plan.seed)
        with trio.fail_after(7_200):
            async with trio.open_nursery() as self.nursery:
                self.receiver = Receiver(self.nursery)
                backend = self.receiver.connect
                self.backend = GuardedBackend(False, self.receiver.resolve, backend)
                weather = self._weather()
                await self.nursery.start(self.sim.run)
                await self._found()
                weather.begin()
                await self._storm(weather)
                weather.heal()
                await self._calm()
                await self._aftermath()
                self.result.breaches += self.wire.breaches
                self.result.breaches += verdict.judge(self, honest=not weather.lied)
                self.nursery.cancel_scope.cancel()

    def _weather(self) -> Weather:
        return Weather(
            self.sim, self.accounts, self.database, self.store_weather, lambda: self.store, self.receiver,
            self.trace, random.Random(f"weather {self.plan.seed}"), self._step,
        )  # fmt: skip

    async def _found(self) -> None:
        """Before the first life: endpoints that listen, and a database that notes every move of state."""
        connection = self.database.connect()
        for statement in verdict.NOTE_MOVES:
            connection.execute(statement)
        connection.close()
        store = self._open_store(Life(self.trace))
        for app, mode in self.plan.endpoints:
            spec = EndpointSpec(url=f"http://hooks.example.com/{app}", mode=mode)
            drafted = endpoints.draft(app, spec, self.keyring, self.clock)
            store.write_inline(lambda tx: endpoints.create(tx, drafted))  # noqa: B023
        await store.close()

    # The storm.

    async def _storm(self, weather: Weather) -> None:
        ended = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._lives, ended)
            async with trio.open_nursery() as busy:
                for fault in self.plan.faults:
                    busy.start_soon(weather.strike, fault)
                for errand in self.plan.errands:
                    busy.start_soon(self.callers.run, errand)
                await trio.sleep(self.plan.storm_s)
            weather.heal()
            ended.set()

    async def _lives(self, ended: trio.Event) -> None:
        """One life after another, until the storm is over and the last one has been stopped cleanly."""
        crashes = list(self.plan.crashes)
        while not ended.is_set():
            crash = crashes.pop(0) if crashes else None
            await self._live(crash, ended)
            if not ended.is_set():
                await trio.sleep(1.5 if crash is None else crash.down_s)

    async def _live(self, crash: Crash | None, ended: trio.Event, during: Callable[[Core], Any] | None = None) -> None:
        life = self.life = Life(self.trace, crash)
        store = self.store = self._open_store(life)
        self.receiver.answer, answer = self._posted(life, self.receiver.answer), self.receiver.answer
        self.trace.note("process", "starts")
        try:
            await self._serve(life, store, ended, during)
        finally:
            self.callers.serve(None)
            life.dead = True
            life.over.set()
            self.receiver.answer = answer
            self.store = None
            await store.close()
            for point, count in life.passed.items():
                self.result.passed[point] = self.result.passed.get(point, 0) + count
        if crash is not None and life.passed[crash.point] >= crash.passage:
            self.result.crashes.append(crash.point)

    def _open_store(self, life: Life) -> SimulatedStore:
        store = SimulatedStore(self.database, self.store_weather, life)
        store.open()
        return store

    def _posted(self, life: Life, answer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def posted(got: Any) -> Any:
            life.passes("webhook posted, not settled")
            reply = answer(got)
            if reply.status == 200 and reply.delay < _WEBHOOKS.timeout_s:
                self.heard |= {event["id"] for event in got.events}
            return reply

        return posted

    async def _serve(
        self, life: Life, store: SimulatedStore, ended: trio.Event, during: Callable[[Core], Any] | None
    ) -> None:
        connect = self.wire.connector(life, self.accounts, self.sim, self.nursery)
        try:
            core = await open_core(
                self.settings, store, self.clock, self.keyring, templates=shipped_templates(), connect=connect
            )
            core.rounds.duties = [duty._replace(every_s=duty.every_s * _SLOWER) for duty in core.rounds.duties]
            webhooks = Webhooks(store, self.clock, self.keyring, _WEBHOOKS, backend=self.backend, tls=_tls())
            core.ring.append(webhooks.ring)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_with, life, nursery.cancel_scope)
                await nursery.start(webhooks.run)
                await nursery.start(core.run)
                self.callers.serve(core)
                await (ended.wait() if during is None else during(core))
                self.callers.serve(None)
                await core.stop(15.0)
                self.trace.note("process", "stopped")
                nursery.cancel_scope.cancel()
        except* (StoreUnavailable, CommitUnknown):
            self.trace.note("process", "could not start or end: no database")
        except* trio.BrokenResourceError:
            if not life.dead:
                raise

    # The calm.

    async def _calm(self) -> None:
        await self._live(None, trio.Event(), self._trial)

    async def _trial(self, core: Core) -> None:
        """All is well: binds come up, doubts are resolved, codes pass beside a campaign, everything ends."""
        lines = sum(bind.sessions for account in self.plan.accounts for bind in account.binds)
        if not await self._comes_true(lambda: core.pool.bound() >= lines, 150):
            self.wire.breach(f"{core.pool.bound()} of {lines} lines bound in fair weather")
        # The clock is as late as it ever was, and the hold of every doubt is over.
        self._step(max(0.0, *self._offsets) - self._offsets[-1] + 200)
        await trio.sleep(5)
        await self._comes_true(lambda: not self._count("state IN ('queued', 'waiting', 'on_wire')"), _CALM_S)
        await verdict.try_lanes(self, core)
        if not await self._comes_true(
            lambda: not self._count("state IN ('queued', 'waiting', 'on_wire') AND expires_at > 0"), _CALM_S
        ):
            self.wire.breach("messages in queues do not move in fair weather")
        if not await self._comes_true(lambda: not self._owed(), _CALM_S):
            self.wire.breach(f"{self._owed()} webhooks are owed to endpoints that are well")
        await trio.sleep(25)  # what an operator delivers once more, it delivers within its timeout and pause

    async def _aftermath(self) -> None:
        """When every life and its grace are over."""
        self._step(9_000)
        await self._live(None, trio.Event(), self._settle)

    async def _settle(self, _core: Core) -> None:
        await trio.sleep(12)
        await self._comes_true(lambda: not self._owed(), _CALM_S)

    def _step(self, seconds: float) -> None:
        self.clock.step(seconds)
        self.steps.append(trio.current_time())
        self._offsets.append(self._offsets[-1] + seconds)

    async def _comes_true(self, what: Callable[[], bool], within_s: float) -> bool:
        with trio.move_on_after(within_s):
            while not what():
                await trio.sleep(1)
            return True
        return False

    def rows(self, query: str) -> list[dict[str, Any]]:
        """Rows of the database as it is now, by a reader of its own."""
        if self._reader is None:
            self._reader = self.database.connect(read_only=True)
        cursor = self._reader.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def _count(self, where: str) -> int:
        return int(self.rows(f"SELECT count(*) AS n FROM message WHERE {where}")[0]["n"])

    def _owed(self) -> int:
        return int(self.rows("SELECT count(*) AS n FROM webhook_delivery WHERE state = 'pending'")[0]["n"])


async def _end_with(life: Life, scope: trio.CancelScope) -> None:
    await life.over.wait()
    scope.cancel()


def _wall() -> int:
    """The operator's clock, which nobody sets."""
    return _BEGAN_US + round(trio.current_time() * SECOND)


def _operator(plan: Plan) -> Scenario:
    accounts = tuple(AccountSettings(system_id=one.name, password=_PASSWORD) for one in plan.accounts)
    return Scenario(accounts=accounts, bounds=Bounds(messages=200_000, handset_parts=200_000, pdus=20_000))


def _settings(plan: Plan) -> Settings:
    codes_s, others_s = plan.deadlines_s
    names = [account.name for account in plan.accounts]
    return Settings(
        accounts={account.name: _account(account) for account in plan.accounts},
        senders={"main": {"address": OURS, "accounts": names}},
        numbers={"ours": {"address": OURS, "application": APPS[0], "accounts": names}},
        lanes={"otp_response_s": codes_s, "transactional_response_s": others_s, "bulk_response_s": others_s},
        verification=plan.profile,
    )


def _account(plan: AccountPlan) -> dict[str, Any]:
    return {
        "kind": "simulator",
        "binds": {
            bind.name: {
                "host": "127.0.0.1", "mode": bind.mode, "system_id": plan.name, "password": _PASSWORD,
                "window": bind.window, "sessions": bind.sessions,
                **({} if bind.lane is None else {"dedicated_lane": bind.lane}),
            }
            for bind in plan.binds
        },
        "rate": plan.rate,
        "rate_per": plan.rate_per,
        "id_style": plan.id_style,
        "concatenation": plan.concatenation,
        "validity": plan.validity,
        "cancel_sm": plan.cancels,
        "timers": {
            "enquire_idle_s": 10, "reconnect_most_s": 10, "refused_first_s": 10, "refused_most_s": 20,
        },
    }  # fmt: skip
