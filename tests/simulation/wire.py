"""The engine's end of every connection to the operator: what leaves and what comes is noted, counted against window,
rate and sessions, and cut off when the process dies.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import trio

from engine.clock import VirtualClock
from engine.smpp.errors import CodecError, FramingError
from engine.smpp.pdu import DataSm, DeliverSm, FrameBuffer, SubmitSm, command_name, commands, decode, peek
from smppsim.simulator import Simulator
from tests.simulation.life import Life
from tests.simulation.plan import AccountPlan, BindPlan, is_for_codes
from tests.simulation.trace import Trace

_A_SECOND = 0.9999
_DELIVERIES = {commands.DELIVER_SM, commands.DATA_SM}


class Submitted(NamedTuple):
    """A submit_sm at the moment at which the engine handed it to the socket; `wall` in µs of the engine's clock."""

    at: float
    wall: int
    account: str
    session: int
    sequence: int
    pdu: SubmitSm


class Acknowledged(NamedTuple):
    """A delivery to which the engine answered ROK."""

    account: str
    frame: bytes
    pdu: DeliverSm | DataSm


@dataclass
class Wire:
    """All connections of all lives, and every breach of the operator's limits."""

    trace: Trace
    clock: VirtualClock
    deadlines_s: tuple[float, float]
    submits: list[Submitted] = field(default_factory=list)
    answers: dict[tuple[int, int], int] = field(default_factory=dict)  # (session, sequence) → status, the first
    acknowledged: list[Acknowledged] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    sessions: int = 0
    open: Counter[tuple[str, str]] = field(default_factory=Counter)
    rates: dict[str, deque[float]] = field(default_factory=dict)

    def connector(
        self, life: Life, accounts: dict[str, AccountPlan], sim: Simulator, nursery: trio.Nursery
    ) -> Callable[[Any, Any], Callable[[], Awaitable[trio.abc.Stream]]]:
        """What a core of this life connects with."""

        def connect(bind: Any, account: Any) -> Callable[[], Awaitable[trio.abc.Stream]]:
            plan = accounts[account.name]
            mine = next(one for one in plan.binds if one.name == bind.name)

            async def dial() -> trio.abc.Stream:
                await trio.lowlevel.checkpoint()
                if life.dead:
                    raise ConnectionRefusedError
                return Tap(sim.connect(), self, life, plan, mine, nursery)

            return dial

        return connect

    def opened(self, tap: Tap) -> None:
        """Count a connection of a bind: promise 5."""
        slot = tap.account.name, tap.bind.name
        self.open[slot] += 1
        if self.open[slot] > tap.bind.sessions:
            self.breach(f"{self.open[slot]} connections of {slot}, {tap.bind.sessions} sessions are set")

    def closed(self, tap: Tap) -> None:
        """Count it no longer."""
        self.open[tap.account.name, tap.bind.name] -= 1

    def breach(self, what: str) -> None:
        """Note a broken promise, when it is broken."""
        self.trace.note("BREACH", what)
        self.breaches.append(what)

    def paced(self, tap: Tap) -> None:
        """Count a PDU that the rate limits: never more in any second than agreed."""
        if tap.account.rate is None:
            return
        name = tap.account.name
        if tap.account.rate_per == "bind":
            name = f"{name} {tap.number}"
        now = trio.current_time()
        recent = self.rates.setdefault(name, deque())
        recent.append(now)
        while recent[0] <= now - _A_SECOND:
            recent.popleft()
        if len(recent) > tap.account.rate:
            self.breach(f"{len(recent)} PDUs in one second on {name}, {tap.account.rate} are agreed")


class Tap(trio.abc.Stream):
    """One connection, as the engine holds it."""

    def __init__(
        self,
        inner: trio.abc.HalfCloseableStream,
        wire: Wire,
        life: Life,
        account: AccountPlan,
        bind: BindPlan,
        nursery: trio.Nursery,
    ) -> None:
        self._inner: Any = inner
        self._wire = wire
        self._life = life
        self.account = account
        self.bind = bind
        wire.sessions += 1
        self.number = wire.sessions
        self._out, self._in = FrameBuffer(), FrameBuffer()
        self._waiting: dict[int, tuple[float, SubmitSm | None]] = {}
        self._deliveries: dict[int, tuple[bytes, DeliverSm | DataSm]] = {}
        self._open, self._nonsense = True, False
        wire.opened(self)
        nursery.start_soon(self._die_with_the_process)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """As a socket; the process may end before, in the middle of, or after it."""
        if self._life.dead:
            raise trio.BrokenResourceError
        octets = bytes(data)
        frames = [(peek(frame), frame) for frame in self._out.feed(octets)]
        submits = any(header.command_id == commands.SUBMIT_SM for header, _ in frames)
        for header, frame in frames:
            self._leaves(header, frame)
        if submits and self._life.passes("submit half written"):
            octets = octets[: len(octets) // 2]
        await self._inner.send_all(octets)
        if (submits and self._life.passes("submit written, not answered")) or (
            any(header.command_id == commands.DELIVER_SM_RESP for header, _ in frames)
            and self._life.passes("delivery acknowledged")
        ):
            raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        """As a socket."""
        await self._inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """As a socket; the process may end with what was read in its hands."""
        data = bytes(await self._inner.receive_some(max_bytes))
        for frame in self._frames(data):
            if self._comes(frame) and self._life.passes("answer read, not committed"):
                raise trio.BrokenResourceError
        if self._life.dead:
            raise trio.BrokenResourceError
        return data

    def _frames(self, data: bytes) -> Sequence[bytes]:
        if self._nonsense:
            return []
        try:
            return self._in.feed(data)
        except FramingError as error:
            self._nonsense = True  # nothing after it can be told apart
            return error.frames

    async def aclose(self) -> None:
        """As a socket."""
        self._close()
        await self._inner.aclose()

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._wire.closed(self)

    async def _die_with_the_process(self) -> None:
        await self._life.over.wait()
        if not self._open:
            return
        self._close()
        crash = self._life.crash
        if crash is not None and crash.power:
            await trio.sleep(30)  # until the operator gives the link up
        self._inner.send_stream.close()
        self._inner.receive_stream.close()

    def _leaves(self, header: Any, frame: bytes) -> None:
        name, sequence = command_name(header.command_id), header.sequence_number
        self._wire.trace.note(f"wire {self.number}", f"→ {name} {sequence} {header.command_status:#x}")
        if header.command_id in {commands.SUBMIT_SM, commands.CANCEL_SM}:
            pdu = decode(frame)[1]
            submit = pdu if isinstance(pdu, SubmitSm) else None
            now = trio.current_time()
            self._waiting[sequence] = now, submit
            self._wire.paced(self)
            if submit is not None:
                self._wire.submits.append(
                    Submitted(now, self._wire.clock.now(), self.account.name, self.number, sequence, submit)
                )
            if self._outstanding(now) > self.bind.window:
                self._wire.breach(f"{self._outstanding(now)} outstanding on {self.account.name}/{self.bind.name}")
        elif header.command_id in {commands.DELIVER_SM_RESP, commands.DATA_SM_RESP}:
            delivery = self._deliveries.pop(sequence, None)
            if delivery is not None and header.command_status == 0:
                self._wire.acknowledged.append(Acknowledged(self.account.name, *delivery))

    def _outstanding(self, now: float) -> int:
        return sum(now - at < self._deadline(pdu) - 0.001 for at, pdu in self._waiting.values())

    def _deadline(self, pdu: SubmitSm | None) -> float:
        if pdu is None:
            return 30.0
        return self._wire.deadlines_s[0 if is_for_codes(pdu.destination_addr) else 1]

    def _comes(self, frame: bytes) -> bool:
        """Note what comes; tell whether it answers a submit."""
        header = peek(frame)
        sequence = header.sequence_number
        self._wire.trace.note(
            f"wire {self.number}", f"← {command_name(header.command_id)} {sequence} {header.command_status:#x}"
        )
        if header.command_id in _DELIVERIES:
            with suppress(CodecError):
                pdu = decode(frame)[1]
                assert isinstance(pdu, DeliverSm | DataSm)
                self._deliveries[sequence] = frame, pdu
        elif header.command_id == commands.SUBMIT_SM_RESP or (
            header.command_id == commands.GENERIC_NACK and sequence in self._waiting
        ):
            if sequence in self._waiting:
                self._wire.answers.setdefault((self.number, sequence), header.command_status)
            return self._waiting.pop(sequence, None) is not None
        elif header.command_id == commands.CANCEL_SM_RESP:
            self._waiting.pop(sequence, None)
        return False
