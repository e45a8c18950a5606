"""The platforms that call the engine and the people at the handsets, and what was promised to them.

A call is made as the API makes it: one transaction, then bells. What came back as accepted is written down; whoever
gets no answer or a 503 tries again a little later, as something new.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import trio

from engine.cases.outcomes import Outcome
from engine.cases.verifications import StartVerification
from engine.clock import SECOND
from engine.core import Core
from engine.errors import CommitUnknown, StoreUnavailable
from engine.smpp.pdu import DeliverSm
from engine.smpp.text import preview
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.backlog import QueueKey
from engine.transit.classes import CATEGORIES, CLASSES
from engine.transit.queue import NewMessage
from smppsim.replies import Reply
from smppsim.simulator import Simulator
from tests.simulation.plan import OURS, Errand
from tests.simulation.trace import Trace

T = TypeVar("T")

_CATEGORY = {"notice": "transactional", "campaign": "marketing", "code": "otp"}
_TRIES = 4
_PATIENCE_S = 40
_LONG = "Votre colis est en route. " * 11
_UNICODE = "Доставка сегодня 📦 — "


class NoAnswer(Exception):
    """A call that was not answered with success: nobody promised anything."""


class Said(NamedTuple):
    """What a handset said, as the operator will deliver it; `times` it may be stored."""

    text: str
    number: str
    account: str
    pdus: tuple[DeliverSm, ...]
    most: int


@dataclass
class Callers:
    """`core` is the engine that answers now, None while there is none."""

    sim: Simulator
    names: tuple[str, ...]  # of the accounts
    trace: Trace
    dice: random.Random
    core: Core | None = None
    up: trio.Event = field(default_factory=trio.Event)
    accepted: dict[str, str] = field(default_factory=dict)  # id → kind: what got a 2xx
    approvals: Counter[str] = field(default_factory=Counter)
    said: list[Said] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)  # codes that somebody read
    _count: int = 0

    def serve(self, core: Core | None) -> None:
        """From now on calls reach this engine, or nobody."""
        self.core = core
        if core is not None:
            self.up.set()
        elif self.up.is_set():
            self.up = trio.Event()

    async def run(self, errand: Errand) -> None:
        """One errand, from its instant to its end."""
        await trio.sleep_until(errand.at)
        if errand.kind == "verify":
            await self._verify(errand)
        elif errand.kind == "reply":
            await self._reply(errand)
        else:
            await self.send(errand)

    async def ask(self, job: Callable[[Core, Tx, int], T]) -> tuple[Core, T]:
        """Make a call that one transaction answers; raises `NoAnswer`."""
        await self.up.wait()
        core = self.core
        if core is None:
            raise NoAnswer
        now = core.clock.now()
        try:
            value = await core.store.write(lambda tx: job(core, tx, now))
        except (StoreUnavailable, CommitUnknown):
            raise NoAnswer from None
        return core, value

    async def send(self, errand: Errand) -> list[str]:
        """Send a batch; its ids once it was accepted, none if it never was."""
        for _ in range(_TRIES):
            bodies = [self._text(errand.how) for _ in range(errand.count)]
            try:
                core, rows = await self.ask(lambda core, tx, now: self._enqueue(core, tx, now, errand, bodies))  # noqa: B023
            except NoAnswer:
                await trio.sleep(self.dice.uniform(0.5, 3))
                continue
            self.accepted |= dict.fromkeys([row.id for row in rows], errand.kind)
            self.trace.note("caller", f"{len(rows)} {errand.kind} accepted")
            core.backlog.add({QueueKey(row.lane, row.route, row.application_id) for row in rows})
            return [row.id for row in rows]
        return []

    def _text(self, how: str) -> str:
        self._count += 1
        text = {"long": _LONG, "unicode": _UNICODE * self.dice.choice((1, 4, 9))}.get(how, "Bonjour")
        return f"{self._count}: {text}".strip()

    @staticmethod
    def _enqueue(core: Core, tx: Tx, now: int, errand: Errand, bodies: list[str]) -> list[NewMessage]:
        category = _CATEGORY[errand.kind]
        kind = CLASSES[CATEGORIES[category]]
        plan = core.router.plan("main", errand.number, "FR", None, int(kind.lane))
        assert isinstance(plan, str)
        life_s = 30 if errand.how == "short life" else 600
        rows = []
        for body in bodies:
            message_id = core.clock.new_id("msg")
            rows.append(
                NewMessage(
                    id=message_id, application_id=errand.app, case_id=None, category=category,
                    message_class=kind.name, lane=int(kind.lane), route=plan, recipient=errand.number, country="FR",
                    sender="main", created_at=now, expires_at=now + life_s * SECOND,
                    body=None if kind.is_code else body,
                    body_sealed=core.keyring.seal(body.encode(), message_id) if kind.is_code else None,
                    parts=preview(body).parts,
                )
            )  # fmt: skip
        queue.enqueue(tx, rows)
        return rows

    # A person who proves a number.

    async def _verify(self, errand: Errand) -> None:
        case_id = await self._start(errand)
        if case_id is None:
            return
        how = errand.how
        if how == "start again":
            await trio.sleep(self.dice.uniform(0, 8))
            case_id = await self._start(errand) or case_id
        elif how == "resend":
            await trio.sleep(self.dice.uniform(5, 20))
            await self._call("resend", case_id, errand)
        elif how == "cancel":
            await trio.sleep(self.dice.uniform(0, 10))
            await self._call("cancel", case_id, errand)
        if how in {"wrong first", "all wrong"}:
            for _ in range(1 if how == "wrong first" else 6):
                await self._check(case_id, "000000", errand)
        if how == "ignore" or (code := await self._read_code(errand.number)) is None:
            return
        async with trio.open_nursery() as nursery:
            for _ in range(2 if how == "twice at once" else 1):
                nursery.start_soon(self._check, case_id, code, errand)

    async def _start(self, errand: Errand) -> str | None:
        request = StartVerification(to=errand.number, country="US", session="browser")
        for _ in range(_TRIES):
            outcome = await self._answered(
                lambda core, tx, now: core.verifications.start(tx, errand.app, "key_test", request, now)
            )
            if outcome is not None:
                case_id = outcome.body.get("id")
                if isinstance(case_id, str):
                    self.accepted[case_id] = "verification"
                return case_id
        return None

    async def _call(self, what: str, case_id: str, errand: Errand) -> None:
        await self._answered(
            lambda core, tx, now: getattr(core.verifications, what)(tx, errand.app, case_id, "key_test", now)
        )

    async def _check(self, case_id: str, entry: str, errand: Errand) -> None:
        outcome = await self._answered(
            lambda core, tx, now: core.verifications.check(tx, errand.app, case_id, entry, None, "key_test", now)
        )
        if outcome is not None and outcome.code == "approved":
            self.approvals[case_id] += 1

    async def _answered(self, job: Callable[[Core, Tx, int], Outcome]) -> Outcome | None:
        try:
            core, outcome = await self.ask(job)
        except NoAnswer:
            await trio.sleep(self.dice.uniform(0.5, 3))
            return None
        self.trace.note("caller", f"verification: {outcome.code}")
        core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        return outcome

    async def _read_code(self, number: str) -> str | None:
        for _ in range(_PATIENCE_S):
            code = self.sim.handset(number).code
            if code is not None:
                self.secrets.add(code)
                return code
            await trio.sleep(1)
        return None

    # A person who writes to us.

    async def _reply(self, errand: Errand) -> None:
        self._count += 1
        text = {"long": f"R{self._count} {_LONG}", "emoji": f"R{self._count} {_UNICODE * 5}"}.get(
            errand.how, f"R{self._count} oui"
        )
        account = self.dice.choice(self.names)
        reply = Reply(text.strip(), OURS, account)
        pdus = tuple(self.sim.reply(errand.number, reply))
        if errand.how == "twice":
            await trio.sleep(self.dice.uniform(0, 5))
            self.sim.reply(errand.number, reply)
        elif errand.how == "repeated by the operator":
            await trio.sleep(self.dice.uniform(0, 5))
            for pdu in pdus:
                self.sim.send(account, pdu)
        most = 2 if errand.how in {"twice", "repeated by the operator"} else 1
        self.said.append(Said(text.strip(), errand.number, account, pdus, most))
        self.trace.note("handset", f"wrote {len(pdus)} parts to {account}, {errand.how}")
