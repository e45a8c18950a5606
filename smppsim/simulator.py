"""The composition: one operator, its shell, and every handle a test or the control API has on it.

Nothing is decided here. Tests hold a `Simulator` under either clock; `cli` serves one over TCP.
"""

from __future__ import annotations

import math
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

import trio

from engine.smpp.pdu import DataSm, DeliverSm, Outbind
from smppsim.accounts import Account
from smppsim.answers import Response
from smppsim.behaviour import Behaviour
from smppsim.delivery import Delivery
from smppsim.faults import AnyFault, Drop, RefuseConnections
from smppsim.injection import inject
from smppsim.messages import Message
from smppsim.outcomes import Outcome
from smppsim.pdulog import LoggedPdu
from smppsim.people import Person
from smppsim.phone import Handset
from smppsim.receipts import write_receipt
from smppsim.replies import Reply
from smppsim.rules import Rule
from smppsim.scenario import Scenario
from smppsim.schedule import Schedule
from smppsim.server import Server
from smppsim.session import Session
from smppsim.smsc import Smsc
from smppsim.stats import Stats
from smppsim.subscribers import PhoneState

_MICROSECONDS: Final = 1_000_000
_START_US: Final = 1_767_225_600_000_000  # 2026-01-01: where the wall clock of a run without one begins


def wall_clock() -> int:
    """The machine's own time, UTC microseconds: `wall` of a simulator that runs in real time."""
    return time.time_ns() // 1000  # noqa: TID251 - the simulator's own clock


class Simulator:
    """An SMSC on a leash. `await nursery.start(simulator.run)` first, then connect or listen.

    `wall` gives UTC microseconds; without one, it starts at a fixed instant and follows trio's clock. LookupError if
    the scenario is not complete.
    """

    def __init__(
        self,
        scenario: Scenario | None = None,
        *,
        seed: int = 0,
        wall: Callable[[], int] | None = None,
    ) -> None:
        self._origin: float | None = None
        self.smsc = Smsc((scenario or Scenario()).complete(), seed, wall or self._own_wall)
        self.server = Server(self.smsc)
        self._nursery: trio.Nursery | None = None
        self._refusals = trio.lowlevel.ParkingLot()
        self._following = trio.CancelScope()

    def _own_wall(self) -> int:
        if self._origin is None:
            self._origin = trio.current_time()
        return _START_US + round((trio.current_time() - self._origin) * 1_000_000)

    # -- running --------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        try:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                self.smsc.populate(trio.current_time())
                self._plan()
                task_status.started()
                await self.server.tick()
        finally:
            self._nursery = None

    def _plan(self) -> None:
        """Follow the scenario's schedule from now on, and no other."""
        self._following.cancel()
        self._following = trio.CancelScope()
        schedule = Schedule(self.smsc.scenario.schedule, self.smsc.seed)
        self._running.start_soon(self._follow, schedule, trio.current_time(), self._following)

    async def _follow(self, schedule: Schedule, start: float, scope: trio.CancelScope) -> None:
        with scope:
            while schedule.next_due < math.inf:
                await trio.sleep_until(start + schedule.next_due)
                self.cause(schedule.take())

    @property
    def _running(self) -> trio.Nursery:
        if self._nursery is None:
            raise RuntimeError("the simulator is not running")
        return self._nursery

    @property
    def refuses_connections(self) -> bool:
        """Whether clients are turned away by TCP."""
        return trio.current_time() < self.smsc.refuses_connections_until

    def connect(self) -> trio.abc.HalfCloseableStream:
        """A client's end of a new connection in memory; ConnectionRefusedError while they are refused."""
        if self.refuses_connections:
            raise ConnectionRefusedError("the simulator refuses connections")
        from trio.testing import memory_stream_pair  # only runs in memory need it

        client, ours = memory_stream_pair()
        self._running.start_soon(self.serve_stream, ours)
        return client

    async def dial(self) -> trio.abc.HalfCloseableStream:
        """`connect` in the form that a bind takes."""
        await trio.lowlevel.checkpoint()
        return self.connect()

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Be the operator on any stream."""
        await self.server.serve_stream(stream)

    async def listen(self, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> int:
        """Listen on TCP, under TLS if told so; the port. OSError if it is taken."""
        bound: int = await self._running.start(self._listen, host, port, tls)
        return bound

    async def _listen(
        self, host: str, port: int, tls: ssl.SSLContext | None, *, task_status: trio.TaskStatus[int]
    ) -> None:
        while True:
            listeners = await trio.open_tcp_listeners(port, host=host)
            port = listeners[0].socket.getsockname()[1]
            task_status.started(port)
            task_status = trio.TASK_STATUS_IGNORED
            async with trio.open_nursery() as accepting:
                accepting.start_soon(
                    partial(trio.serve_listeners, handler_nursery=self._running),
                    partial(self.server.serve_socket, tls=tls),
                    listeners,
                )
                while not self.refuses_connections:
                    await self._refusals.park()
                accepting.cancel_scope.cancel()
            while self.refuses_connections:
                with trio.move_on_at(self.smsc.refuses_connections_until):
                    await self._refusals.park()

    async def outbind(self, host: str, port: int, system_id: str = "SMPPSIM", password: str = "") -> None:
        """Call a client that listens and ask it to bind as a receiver. OSError if nobody answers."""
        stream = await trio.open_tcp_stream(host, port)
        said = Outbind(system_id.encode(), password.encode())
        self._running.start_soon(partial(self.server.serve_socket, stream, outbind=said))

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until `condition()` holds; it is asked again whenever anything has happened."""
        while not condition():
            await self.server.change()

    # -- looking --------------------------------------------------------------------------------------------

    @property
    def stats(self) -> Stats:
        """Counters."""
        return self.smsc.stats

    @property
    def sessions(self) -> list[Session]:
        """Every connection, bound or not."""
        return list(self.smsc.sessions.values())

    def instant(self, at: float) -> int:
        """UTC microseconds of an instant of trio's clock."""
        return self.smsc.wall() - round((trio.current_time() - at) * _MICROSECONDS)

    @property
    def pdus(self) -> list[LoggedPdu]:
        """The PDU log, oldest first."""
        return list(self.smsc.log)

    def account(self, system_id: str) -> Account:
        """KeyError for an unknown one."""
        return self.smsc.accounts[system_id]

    def handset(self, number: str) -> Handset:
        """The phone with this number, in any usual spelling of E.164."""
        return Handset(self, number)

    def deliveries(self) -> Counter[tuple[str, str]]:
        """How often each (number, text) really reached a handset."""
        return self.smsc.handsets.deliveries()

    # -- changing behaviour ---------------------------------------------------------------------------------

    def behave(self, account: str | None = None, destination: str | None = None, **changes: Any) -> None:
        """Change fields of Behaviour from now on, for one account or all, for one destination pattern or all."""
        rule = None if destination is None else Rule(destination=destination, behaviour=Behaviour().changed(changes))
        for each in self._accounts(account):
            if rule is None:
                each.change(changes, None)
            else:
                each.add_rule(rule)

    def link(self, account: str | None = None, **changes: Any) -> None:
        """Change fields of Link from now on."""
        for each in self._accounts(account):
            each.change(None, changes)
            self.smsc.handsets.alphabets[each.system_id] = each.link.alphabet

    def _accounts(self, system_id: str | None) -> Iterable[Account]:
        return list(self.smsc.accounts.values()) if system_id is None else [self.account(system_id)]

    # -- held responses -------------------------------------------------------------------------------------

    @property
    def held(self) -> list[Response]:
        """Responses of `response="hold"`, oldest first."""
        return list(self.smsc.submissions.answers.held)

    def release(self, *responses: Response, status: int | None = None) -> None:
        """Give these held responses in this order, or all; with another status, the messages were refused."""
        for response in responses or self.held:
            self.smsc.submissions.release(response, trio.current_time(), status)
        self.server.stir()

    # -- faults ---------------------------------------------------------------------------------------------

    def cause(self, fault: AnyFault) -> int:
        """Cause a fault; how many links or accounts it hits now. KeyError for an unknown account."""
        hit = inject(self.smsc, fault, trio.current_time())
        if isinstance(fault, RefuseConnections):
            self._refusals.unpark_all()
        self.server.stir()
        return hit

    def reset(self) -> None:
        """Back to the scenario: links closed, inboxes, log and counters empty, faults over; ids and schedule go on."""
        smsc = self.smsc
        self.cause(Drop())
        self.cause(RefuseConnections(for_s=0))
        smsc.mangling.clear()
        smsc.requests.broadcasts.clear()
        smsc.binding.guessing.clear()
        smsc.agenda.clear()
        smsc.submissions.clear()
        smsc.messages.clear()
        smsc.handsets.clear()
        smsc.log.clear()
        for name in Stats.__slots__:
            setattr(smsc.stats, name, 0)
        for settings in smsc.scenario.customers():
            self.account(settings.system_id).reset(settings)
            smsc.handsets.alphabets[settings.system_id] = settings.link.alphabet
        smsc.populate(trio.current_time())
        self.server.stir()

    def load(self, scenario: Scenario) -> None:
        """Begin anew with another scenario, its schedule from now on; bounds stay. One that names no accounts keeps
        those there are: their names, passwords and numbers, with the behaviour of the scenario."""
        smsc = self.smsc
        if "accounts" not in scenario.model_fields_set:
            kept = {"system_id", "password", "numbers", "distribution_lists"}
            accounts = [account.model_dump(include=kept) for account in smsc.scenario.accounts]
            scenario = scenario.changed({"accounts": accounts})
        self.cause(Drop())
        smsc.engage(scenario)
        self.reset()
        self._plan()

    # -- from the handsets ----------------------------------------------------------------------------------

    def send(self, account: str, pdu: DeliverSm | DataSm, session: int | None = None) -> None:
        """Send any deliver_sm or data_sm to an account; `session` is preferred."""
        origin = None if session is None else self.smsc.sessions.get(session)
        delivery = Delivery(self.account(account), pdu, origin=origin, bind="same")
        self.smsc.deliveries.send(delivery, trio.current_time())
        self.server.stir()

    def receipt(self, message: Message | str, state: str, **said: Any) -> None:
        """Send one more receipt for an accepted message, whatever was said before. Keywords: `write_receipt`."""
        if isinstance(message, str):
            message = next(each for each in self.smsc.messages if each.message_id == message.encode())
        pdu = write_receipt(message, wall=self.smsc.wall(), state=state, **said)
        bind = message.behaviour.receipt_bind
        delivery = Delivery(message.account, pdu, origin=message.origin, bind=bind, receipt=True)
        self.smsc.deliveries.send(delivery, trio.current_time())
        self.server.stir()

    def settle(self, message: Message, state: str, **outcome: Any) -> None:
        """Give an undelivered message its final state now. Keywords: `Outcome`."""
        settled = Outcome.model_validate({"state": state, **outcome})
        self.smsc.submissions.settle(message, settled, trio.current_time())
        self.server.stir()

    def reply(self, number: str, reply: Reply) -> list[DeliverSm]:
        """Let a handset write; the deliver_sm that were queued. NoRoute, TooManyParts."""
        pdus = self.smsc.replies.send(number, reply, trio.current_time())
        self.server.stir()
        return pdus

    def place(self, *people: Person) -> None:
        """Give the handsets that their patterns match to these persons, before all who were there."""
        self.smsc.crowd.place(*people)

    def switch(self, number: str, state: PhoneState | str, for_s: float | None = None) -> None:
        """Put a phone, or all of a pattern, into a state, for a while or until switched again."""
        self.smsc.switch(number, PhoneState(state), trio.current_time(), for_s)
        self.server.stir()
