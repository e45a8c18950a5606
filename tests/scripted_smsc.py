"""A small SMSC for the tests of link and bind: polite unless its script says otherwise, over streams in memory.

It is not the simulator: it checks nothing and keeps nothing but what it saw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import trio
import trio.testing

from engine.smpp.errors import FramingError
from engine.smpp.events import Answered, Delivered, Event, Lost, Unanswered
from engine.smpp.link import Link
from engine.smpp.pdu import (
    BODIES,
    EnquireLinkResp,
    FrameBuffer,
    Header,
    Pdu,
    SubmitSmResp,
    UnbindResp,
    commands,
    decode,
    encode,
)
from tests.session_kit import VERSION_34

Reply = Callable[[Header, Pdu], bytes | None]
Pair = Callable[[], tuple[trio.abc.Stream, trio.abc.Stream]]


def silence(_header: Header, _pdu: Pdu) -> None:
    """The reply of a peer that says nothing."""


def binding(status: int = 0) -> Reply:
    """The reply to a bind, of whatever kind."""

    def reply(header: Header, _pdu: Pdu) -> bytes:
        body = BODIES[header.command_id | commands.RESPONSE]
        return encode(body(tlvs=() if status else VERSION_34), header.sequence_number, status)

    return reply


def accepting(header: Header, _pdu: Pdu) -> bytes:
    """The reply to a submit_sm: taken, with an id of its own."""
    return encode(SubmitSmResp(b"%d" % header.sequence_number), header.sequence_number)


class ScriptedSmsc:
    """One connection's far end. `script` replaces the polite reply to a command."""

    def __init__(self, stream: trio.abc.Stream, script: Mapping[int, Reply]) -> None:
        self.stream = stream
        self.received: list[tuple[float, Header, Pdu]] = []
        self.closed_at: float | None = None
        self._writing = trio.Lock()
        self.script: dict[int, Reply] = {
            **dict.fromkeys(commands.BINDS, binding()),
            commands.SUBMIT_SM: accepting,
            commands.ENQUIRE_LINK: lambda header, _: encode(EnquireLinkResp(), header.sequence_number),
            commands.UNBIND: lambda header, _: encode(UnbindResp(), header.sequence_number),
            **script,
        }

    async def run(self) -> None:
        """Read and reply until the other end closes or talks nonsense."""
        frames = FrameBuffer()
        try:
            while data := await self.stream.receive_some(65536):
                for frame in frames.feed(data):
                    header, pdu = decode(frame)
                    self.received.append((trio.current_time(), header, pdu))
                    reply = self.script.get(header.command_id, silence)(header, pdu)
                    if reply:
                        await self.write(reply)
        except (FramingError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        self.closed_at = trio.current_time()
        await trio.aclose_forcefully(self.stream)

    async def write(self, octets: bytes) -> None:
        """Any octets, whole."""
        async with self._writing:
            await self.stream.send_all(octets)

    async def say(self, pdu: Pdu, sequence: int, status: int = 0) -> None:
        """Something unasked."""
        await self.write(encode(pdu, sequence, status))

    def seen(self, kind: type[Pdu]) -> list[Header]:
        """Headers of the PDUs of one kind, in order."""
        return [header for _, header, pdu in self.received if isinstance(pdu, kind)]


class Network:
    """What a bind's `connect` reaches: a new ScriptedSmsc for every call, `scripts[n]` for the n-th."""

    def __init__(
        self,
        nursery: trio.Nursery,
        *scripts: Mapping[int, Reply],
        pair: Pair = trio.testing.memory_stream_pair,
    ) -> None:
        self._nursery = nursery
        self._scripts = scripts
        self._pair = pair
        self.dialled: list[float] = []
        self.peers: list[ScriptedSmsc] = []

    async def connect(self) -> trio.abc.Stream:
        """As `engine.smpp.bind.Connect`."""
        await trio.lowlevel.checkpoint()
        ours, theirs = self._pair()
        script = self._scripts[min(len(self.peers), len(self._scripts) - 1)] if self._scripts else {}
        self.dialled.append(trio.current_time())
        self.peers.append(ScriptedSmsc(theirs, script))
        self._nursery.start_soon(self.peers[-1].run)
        return ours


class Recorder:
    """A handler that remembers, with the times, and lets a test wait for what it wants to see."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.bound_at: list[float] = []
        self.seen: list[Event] = []
        self.losses: list[Lost] = []
        self.lost_at: list[float] = []
        self.refusals: list[tuple[int, int]] = []
        self.alarms: list[tuple[float, str, str]] = []
        self._changed = trio.Event()

    def bound(self, link: Link) -> None:
        assert len(self.bound_at) == len(self.losses), "bound and lost come in pairs"
        self.link = link
        self.bound_at.append(trio.current_time())
        self._change()

    def events(self, events: list[Event]) -> None:
        assert events
        assert not any(isinstance(event, Lost) for event in events)
        self.seen += events
        self._change()

    def lost(self, lost: Lost) -> None:
        self.losses.append(lost)
        self.lost_at.append(trio.current_time())
        assert len(self.bound_at) == len(self.losses), "bound and lost come in pairs"
        self._change()

    def refused(self, status: int, next_try: int) -> None:
        self.refusals.append((status, next_try))
        self._change()

    def alarm(self, kind: str, detail: str) -> None:
        self.alarms.append((trio.current_time(), kind, detail))
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, true: Callable[[], bool], within_s: float = 10_000.0) -> None:
        """Wait until `true`, looking again whenever the bind told something."""
        with trio.fail_after(within_s):
            while not true():
                await self._changed.wait()

    async def until_bound(self, times: int = 1) -> Link:
        """Wait for the n-th session; its link."""
        await self.until(lambda: len(self.bound_at) >= times)
        assert self.link is not None
        return self.link

    async def until_lost(self, times: int = 1) -> Lost:
        """Wait for the end of the n-th session."""
        await self.until(lambda: len(self.losses) >= times)
        return self.losses[times - 1]

    def tokens(self, *kinds: type[Answered | Unanswered]) -> list[object]:
        """Tokens of the answers and of the answers missing, in order."""
        return [event.token for event in self.seen if isinstance(event, Answered | Unanswered) and type(event) in kinds]

    def deliveries(self) -> list[Delivered]:
        return [event for event in self.seen if isinstance(event, Delivered)]


class Leaky(trio.abc.Stream):
    """A stream that breaks once `limit` octets are through, and counts octets and writes."""

    def __init__(self, inner: trio.abc.Stream, limit: float = math.inf) -> None:
        self.inner = inner
        self.limit = limit
        self.passed = 0
        self.writes: list[int] = []

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(len(data))
        room = self.limit - self.passed
        taken = bytes(data)[: int(min(room, len(data)))]
        self.passed += len(taken)
        await self.inner.send_all(taken)
        if len(taken) < len(data):
            await trio.aclose_forcefully(self.inner)
            raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        await self.inner.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self.inner.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self.inner.aclose()


def batch(tokens: Sequence[object], pdu: Pdu) -> list[tuple[object, Pdu]]:
    """One and the same PDU for each token."""
    return [(token, pdu) for token in tokens]
