"""Faults begin and end: what the plan calls a fault is done to the operator, the database, the clock or the receiver.

Several may last at once; when one ends, what the others change still holds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import trio

from engine.smpp.pdu import commands
from engine.store.connections import Database
from smppsim import faults
from smppsim.behaviour import Behaviour, Cut, Link
from smppsim.data import Data
from smppsim.pdulog import OUT
from smppsim.simulator import Simulator
from tests.simulation.plan import AccountPlan, Fault
from tests.simulation.store import SimulatedStore, StoreWeather
from tests.simulation.trace import Trace
from tests.webhook_rig import Receiver, Reply

_SUBMIT_SM_RESP: Final = commands.SUBMIT_SM_RESP.to_bytes(4, "big")
_OVER: Final = (
    faults.RefuseBinds(for_s=0),
    faults.RefuseConnections(for_s=0),
    faults.Throttle(for_s=0),
    faults.IgnoreEnquireLinks(for_s=0),
    faults.Mute(for_s=0),
    faults.StopReading(for_s=0),
)


@dataclass
class Weather:
    """What is wrong now. `store_of` gives the living process's store, if one lives."""

    sim: Simulator
    accounts: dict[str, AccountPlan]
    database: Database
    store: StoreWeather
    store_of: Callable[[], SimulatedStore | None]
    receiver: Receiver
    trace: Trace
    dice: random.Random
    step_clock: Callable[[float], None]
    lied: bool = False  # a receipt contradicted another
    _changes: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)  # account, kind, fields
    _touched: set[tuple[str, str, str]] = field(default_factory=set)
    _replies: list[dict[str, Any]] = field(default_factory=list)

    def begin(self) -> None:
        """The operator's and the receiver's usual ways."""
        for account in self.accounts.values():
            self.sim.behave(account.name, **account.behaviour)
            self.sim.link(account.name, **account.link)
        self.receiver.answer = lambda _got: Reply(**self._replies[-1]) if self._replies else Reply()

    async def strike(self, fault: Fault) -> None:
        """One fault, from its instant to its end."""
        await trio.sleep_until(fault.at)
        self.trace.note("fault", f"{fault.kind} on {fault.account or 'all'} for {fault.for_s:.1f} s")
        if isinstance(fault.what, Data):
            self.sim.cause(fault.what)
        elif isinstance(fault.what, dict):
            await self._behaviour(fault)
        else:
            await getattr(self, "_" + fault.kind.replace(" ", "_"))(fault)

    def heal(self) -> None:

        self._changes.clear()
        for name in self.accounts:
            self._apply(name)
        for over in _OVER:
            self.sim.cause(over)
        self.sim.smsc.mangling.clear()
        for session in self.sim.sessions:
            if session.cut is Cut.stall:
                self.sim.cause(faults.Drop(session=session.number))
        self._replies.clear()
        self.receiver.down = False
        if self.store.blocker is not None:
            self.store.blocker.close()
        self.store.blocker, self.store.full = None, False
        self.store.down, self.store.unknown, self.store.commit_s = 0, 0.0, 0.0
        self._feel()
        self.trace.note("weather", "calm")

    # Of the operator's ways.

    def _names(self, fault: Fault) -> list[str]:
        return list(self.accounts) if fault.account is None else [fault.account]

    async def _behaviour(self, fault: Fault) -> None:
        # A receipt under another id may be taken for that of a message in doubt of the same number.
        self.lied |= fault.kind == "receipts of nobody"
        changes = [(name, kind, fields) for name in self._names(fault) for kind, fields in fault.what.items()]
        self._changes += changes
        for name in self._names(fault):
            self._apply(name)
        await trio.sleep(fault.for_s)
        for change in changes:
            if change in self._changes:
                self._changes.remove(change)
        for name in self._names(fault):
            self._apply(name)

    def _apply(self, name: str) -> None:
        """Set every field that any fault has ever touched: to what a fault wants now, else to the account's usual."""
        usual = {"behaviour": self.accounts[name].behaviour, "link": self.accounts[name].link}
        wanted: dict[str, dict[str, Any]] = {"behaviour": {}, "link": {}}
        for account, kind, fields in self._changes:
            if account == name:
                wanted[kind] |= fields
                self._touched |= {(name, kind, one) for one in fields}
        defaults = {"behaviour": Behaviour().model_dump(), "link": Link().model_dump()}
        for kind, values in wanted.items():
            for account, touched, one in sorted(self._touched):
                if account == name and touched == kind and one not in values:
                    values[one] = usual[kind].get(one, defaults[kind][one])
        self.sim.behave(name, **wanted["behaviour"])
        self.sim.link(name, **wanted["link"])

    async def _answers_again(self, fault: Fault) -> None:
        """Give the latest answer of each session once more, again and again."""
        for _ in range(int(fault.for_s)):
            await trio.sleep(1)
            latest: dict[int, bytes] = {}
            for row in self.sim.pdus[-200:]:
                if row.direction == OUT and row.frame[4:8] == _SUBMIT_SM_RESP:
                    latest[row.session] = row.frame
            for session, frame in latest.items():
                other = fault.what == "another id" and len(frame) > 18
                again = frame[:-2] + b"7\0" if other else frame
                self.sim.cause(faults.Raw(hex=again.hex(), session=session))

    async def _contradictions(self, fault: Fault) -> None:
        """Say something else of a message that was told of already."""
        self.lied = True
        for _ in range(int(fault.for_s)):
            await trio.sleep(1)
            done = [one for one in self.sim.smsc.messages if one.done and one.account.system_id in self._names(fault)]
            if done:
                self.sim.receipt(self.dice.choice(done[-30:]), fault.what)

    # Of ours.

    async def _clock(self, fault: Fault) -> None:
        self.step_clock(fault.what)

    async def _database_down(self, fault: Fault) -> None:
        self.store.down += 1
        await trio.sleep(fault.for_s)
        self.store.down = max(0, self.store.down - 1)

    async def _database_busy(self, fault: Fault) -> None:
        if self.store.blocker is not None or self.store.full:
            return
        self.store.blocker = blocker = self.database.connect()
        blocker.execute("BEGIN IMMEDIATE")
        await trio.sleep(fault.for_s)
        if self.store.blocker is blocker:
            self.store.blocker = None
            blocker.close()

    async def _disk_full(self, fault: Fault) -> None:
        self.store.full = True
        self._feel()
        await trio.sleep(fault.for_s)
        self.store.full = False
        self._feel()

    def _feel(self) -> None:
        store = self.store_of()
        if store is not None:
            store.feel()

    async def _commits_unknown(self, fault: Fault) -> None:
        self.store.unknown = fault.what
        await trio.sleep(fault.for_s)
        self.store.unknown = 0.0

    async def _database_slow(self, fault: Fault) -> None:
        self.store.commit_s = fault.what
        await trio.sleep(fault.for_s)
        self.store.commit_s = 0.0

    # Of the receiver of webhooks.

    async def _endpoint_failing(self, fault: Fault) -> None:
        await self._reply({"status": fault.what}, fault.for_s)

    async def _endpoint_slow(self, fault: Fault) -> None:
        await self._reply({"delay": fault.what}, fault.for_s)

    async def _reply(self, reply: dict[str, Any], for_s: float) -> None:
        self._replies.append(reply)
        await trio.sleep(for_s)
        if reply in self._replies:
            self._replies.remove(reply)

    async def _endpoint_down(self, fault: Fault) -> None:
        self.receiver.down = True
        await trio.sleep(fault.for_s)
        self.receiver.down = False
