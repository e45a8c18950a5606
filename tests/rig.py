"""An engine and a simulator in one process, on virtual time, over streams in memory: what most scenarios are played on.

The store is inline, nothing runs in a thread, and an hour takes milliseconds. `rig` is an async context manager; what
a test does with it reads like the scenario's row in the catalogue.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import trio
from sqlalchemy import bindparam, select

from engine.cases.following import Follower, Followers
from engine.cases.outcomes import Outcome
from engine.cases.verifications import StartVerification
from engine.clock import SECOND, VirtualClock
from engine.core import Core, open_core
from engine.keyring import KeyRing
from engine.settings import Settings
from engine.smpp.text import preview
from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables import Event, Message, Part, ReceiptRow, Reply
from engine.transit import queue
from engine.transit.backlog import QueueKey
from engine.transit.classes import CATEGORIES, CLASSES
from engine.transit.queue import NewMessage
from smppsim.scenario import AccountSettings, Bounds, Scenario
from smppsim.simulator import Simulator
from tests.databases import hurry
from tests.invariants import check_rows
from tests.scheduling import schedule_by
from tests.shipped import shipped_templates

PHONE = "+33612345678"
APP = "app_test"
_LONGEST_S = 30_000.0  # of virtual time


def settings(**changed: Any) -> Settings:
    """Settings with one TRX account `sim`, window 10, sender `Sceau`; `account` changes its figures."""
    account = {"kind": "simulator", "binds": {"main": bind_settings()}}
    account |= changed.pop("account", {})
    tree: dict[str, Any] = {
        "accounts": {"sim": account},
        "senders": {"main": {"address": "Sceau", "accounts": ["sim"]}},
    }
    return Settings(**{**tree, **changed})


def simulator(seed: int = 0, *, others: tuple[str, ...] = (), **account: Any) -> Simulator:
    """A simulator with the account that `bind_settings` names, and `others` with the same password."""
    given = {"system_id": "sceau", "password": "secret08", "numbers": ("38123", "+33937000001"), **account}
    more = [AccountSettings(system_id=name, password="secret08") for name in others]
    accounts = (AccountSettings(**given), *more)
    # Whatever reached a handset stays there: the invariants count all of it.
    bounds = Bounds(messages=200_000, handset_parts=200_000, pdus=50_000)
    return Simulator(Scenario(accounts=accounts, bounds=bounds), seed=seed)


def accounts(*names: str, routes: bool = True, **changed: Any) -> dict[str, Any]:
    """Settings of several accounts, best first, all carrying the sender; `changed` maps an account to its figures."""
    tree: dict[str, Any] = {
        "accounts": {
            name: {"kind": "simulator", "binds": {"main": bind_settings(system_id=name)}, **changed.get(name, {})}
            for name in names
        },
        "senders": {"main": {"address": "Sceau", "accounts": list(names)}},
    }
    return tree


def bind_settings(**changed: Any) -> dict[str, Any]:
    """One bind to the simulator's first account."""
    given = {"host": "127.0.0.1", "mode": "TRX", "system_id": "sceau", "password": "secret08", "window": 10}
    return {**given, **changed}


_message: Any = Message.__table__  # type: ignore[attr-defined]
_part: Any = Part.__table__  # type: ignore[attr-defined]
_event: Any = Event.__table__  # type: ignore[attr-defined]
_receipt: Any = ReceiptRow.__table__  # type: ignore[attr-defined]
_reply: Any = Reply.__table__  # type: ignore[attr-defined]
MESSAGES = Statement(lambda _: select(_message).order_by(_message.c.id))
PARTS = Statement(lambda _: select(_part).order_by(_part.c.message_id, _part.c.number, _part.c.attempt))
EVENTS = Statement(lambda _: select(_event).order_by(_event.c.application_id, _event.c.position))
RECEIPTS = Statement(lambda _: select(_receipt).order_by(_receipt.c.id))
REPLIES = Statement(lambda _: select(_reply).order_by(_reply.c.id))
STATE = Statement(lambda _: select(_message.c.state).where(_message.c.id == bindparam("id")))


@dataclass
class Rig:
    """The running pair. `core` is the engine, `sim` the operator; rows are read as dictionaries."""

    core: Core
    sim: Simulator
    clock: VirtualClock
    erased: set[str] = field(default_factory=set)  # numbers of whom no row is left to account for what reached them

    async def send(
        self,
        text: str = "Bonjour",
        to: str = PHONE,
        *,
        category: str = "transactional",
        ttl_s: int = 3_600,
        app: str = APP,
        sender: str = "main",
    ) -> str:
        """Queue a notice as the API would; return its id."""
        return (await self.send_many([text], to, category=category, ttl_s=ttl_s, app=app, sender=sender))[0]

    async def send_many(
        self,
        texts: list[str],
        to: str | list[str] = PHONE,
        *,
        category: str = "transactional",
        ttl_s: int = 3_600,
        app: str = APP,
        sender: str = "main",
    ) -> list[str]:
        """Queue notices in one transaction; return their ids."""
        kind = CLASSES[CATEGORIES[category]]
        now = self.clock.now()
        recipients = [to] * len(texts) if isinstance(to, str) else to
        rows = []
        for text, recipient in zip(texts, recipients, strict=True):
            plan = self.core.router.plan(sender, recipient, "FR", None, int(kind.lane))
            assert isinstance(plan, str), plan
            rows.append(
                NewMessage(
                    id=self.clock.new_id("msg"), application_id=app, case_id=None, category=category,
                    message_class=kind.name, lane=int(kind.lane), route=plan, recipient=recipient, country="FR",
                    sender=sender, created_at=now, expires_at=now + ttl_s * SECOND, body=text,
                    parts=preview(text).parts,
                )
            )  # fmt: skip
        await self.core.store.write(lambda tx: queue.enqueue(tx, rows))
        self.core.backlog.add({QueueKey(row.lane, row.route, row.application_id) for row in rows})
        return [row.id for row in rows]

    async def verify(self, to: str = PHONE, *, app: str = APP, **asked: Any) -> Outcome:
        """Start a verification as the API would."""
        request = StartVerification(to=to, country="FR", **asked)
        now = self.clock.now()
        outcome = await self.core.store.write(
            lambda tx: self.core.verifications.start(tx, app, "key_test", request, now)
        )
        self.core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        return outcome

    async def check(
        self, case_id: str, entry: str, binding: Mapping[str, str] | None = None, *, app: str = APP
    ) -> Outcome:
        """Check a code as the API would."""
        now = self.clock.now()
        outcome = await self.core.store.write(
            lambda tx: self.core.verifications.check(tx, app, case_id, entry, binding, "key_test", now)
        )
        self.core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        return outcome

    async def call(self, what: str, case_id: str, *, app: str = APP) -> Outcome:
        """Resend or cancel as the API would."""
        method = getattr(self.core.verifications, what)
        now = self.clock.now()
        outcome: Outcome = await self.core.store.write(lambda tx: method(tx, app, case_id, "key_test", now))
        self.core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        return outcome

    async def until(self, message_id: str, *states: str, within_s: float = 7_200) -> str:
        """Wait until a message is in one of the states; return it. Fails after `within_s` of virtual time."""
        with trio.fail_after(within_s):
            while (state := await self.state(message_id)) not in states:
                await trio.sleep(0.05)
        return state

    async def state(self, message_id: str) -> str:
        """Return a message's state."""
        row = await self.core.store.read(lambda tx: tx.one(STATE, id=message_id))
        assert row is not None
        return str(row[0])

    async def rows(self, statement: Statement) -> list[dict[str, Any]]:
        """Return a statement's rows as dictionaries."""
        table = {MESSAGES: _message, PARTS: _part, EVENTS: _event, RECEIPTS: _receipt, REPLIES: _reply}[statement]
        names = [column.name for column in table.c]
        return [dict(zip(names, row, strict=True)) for row in await self.core.store.read(lambda tx: tx.all(statement))]

    async def message(self, message_id: str) -> dict[str, Any]:
        """Return a message's row."""
        return next(row for row in await self.rows(MESSAGES) if row["id"] == message_id)

    async def events_of(self, subject_id: str) -> list[str]:
        """Return the types of a subject's events in order."""
        return [row["type"] for row in await self.rows(EVENTS) if row["subject_id"] == subject_id]

    async def ended(self, within_s: float) -> list[dict[str, Any]]:
        """Wait until every message has ended; return their rows. Fails after `within_s` of virtual time."""
        with trio.fail_after(within_s):
            while any(row["final_at"] is None for row in await self.rows(MESSAGES)):
                await trio.sleep(10)
        return await self.rows(MESSAGES)

    async def settled(self, seconds: float = 1.0) -> None:
        """Let virtual time pass."""
        await trio.sleep(seconds)


def followers_of(core: Core) -> dict[str, Follower]:
    """Return who follows the cases of each workflow; a test may put somebody else in their place."""
    look = next(duty.look for duty in core.rounds.duties if duty.name == "timers")
    registry: Any = getattr(look, "__self__")  # noqa: B009
    assert isinstance(registry, Followers)
    assert isinstance(registry.by_workflow, dict)
    return registry.by_workflow


@dataclass
class World:
    """What survives an engine: its clock and keys, and the operator; a scenario that restarts hands it to two rigs."""

    clock: VirtualClock
    keyring: KeyRing
    sim: Simulator
    began: int

    @classmethod
    def new(cls, sim: Simulator | None = None, seed: int = 0) -> World:
        """A world of its own."""
        clock = VirtualClock(seed=seed)
        return cls(clock, KeyRing.generate(clock.entropy), sim or simulator(seed), clock.now())


OpenStream = Callable[[], Awaitable[trio.abc.Stream]]


@asynccontextmanager
async def rig(
    database: Database,
    *,
    sim: Simulator | None = None,
    seed: int = 0,
    bound: int = 1,
    world: World | None = None,
    store: Store | None = None,
    dial: Callable[[Any, Simulator], OpenStream] | None = None,
    grace_s: float = 5.0,
    honest: bool = True,
    authority: httpx2.AsyncBaseTransport | None = None,
    crm_transport: httpx2.AsyncBaseTransport | None = None,
    **changed: Any,
) -> AsyncIterator[Rig]:
    """Run an engine on `database` against a simulator; leave by draining both, and check the invariants.

    It begins when `bound` lines are bound. `world` is what a restart shares; `dial` makes a bind's stream of its own
    (settings of the bind, simulator); an operator that is not `honest` calls delivered what is not.
    `authority` answers for the time-stamp authorities of the settings, `crm_transport` for their CRMs.
    """
    schedule_by(seed)
    shared = world is not None
    world = world or World.new(sim, seed)
    clock, operator = world.clock, world.sim
    store = store or Store(database, inline=True)
    store.open()
    hurry(store)

    def connect(bind: Any, _account: Any) -> OpenStream:
        async def open_stream() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            return operator.connect()

        return open_stream if dial is None else dial(bind, operator)

    try:
        core = await open_core(
            settings(**changed),
            store,
            clock,
            world.keyring,
            templates=shipped_templates(),
            connect=connect,
            authority_transport=authority,
            crm_transport=crm_transport,
        )
        # Who waits for what never comes fails in the end, instead of living for ever in no time.
        with trio.fail_after(_LONGEST_S):
            async with trio.open_nursery() as nursery:
                if not shared:
                    await nursery.start(operator.run)
                await nursery.start(core.run)
                pair = Rig(core, operator, clock)
                if bound:
                    with trio.fail_after(600):
                        while core.pool.bound() < bound:
                            await trio.sleep(0.01)
                yield pair
                await core.stop(grace_s)
                await check_invariants(pair, honest=honest, since=world.began)
                nursery.cancel_scope.cancel()
    finally:
        await store.close()


async def check_invariants(pair: Rig, *, honest: bool = True, stopped: bool = True, since: int = 0) -> None:
    """Fail with every breach of the promises that the rows show now, of messages of this operator's time."""
    messages = [row for row in await pair.rows(MESSAGES) if row["created_at"] >= since]
    known = {row["id"] for row in messages}
    breaches = check_rows(
        messages,
        [row for row in await pair.rows(PARTS) if row["message_id"] in known],
        await pair.rows(EVENTS),
        {key: count for key, count in pair.sim.deliveries().items() if key[0] not in pair.erased},
        now=pair.clock.now(),
        stopped=stopped,
        honest=honest,
    )
    assert not breaches, "\n".join(breaches[:20])
