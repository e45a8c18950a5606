"""Scripted clients for `smppsim check`: one that does everything right, and what each bad one does instead."""

from __future__ import annotations

import contextlib
import math
from collections import deque

import trio

from engine.smpp.errors import CodecError
from engine.smpp.pdu import (
    BindReceiverResp,
    BindTransceiver,
    BindTransceiverResp,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    FrameBuffer,
    Header,
    Pdu,
    Status,
    SubmitSm,
    Tag,
    Unbind,
    UnbindResp,
    answer_to,
    decode,
    encode,
    is_response,
    peek,
    relative_validity,
)
from engine.smpp.text import segment
from smppsim.simulator import Simulator

LONG = "A text of several parts with € and { brackets }. " * 8
EMOJI = "Bien reçu 👍🏽, à demain. " * 8
BIND_ANSWERS = frozenset({BindReceiverResp.command_id, BindTransceiverResp.command_id})
CREDENTIALS = frozenset({Status.ESME_RINVPASWD, Status.ESME_RINVSYSID})


class LinkOver(Exception):
    """The client ends this link."""


def cut(text: str, reference: int, **fields: object) -> list[SubmitSm]:
    """The submits of a text, as many as it takes."""
    segments = segment(text, reference=reference)
    return [
        SubmitSm(
            source_addr_ton=5,
            source_addr=b"SCEAU",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"33612345600",
            esm_class=part.esm_class_bits,
            validity_period=relative_validity(600),
            registered_delivery=1,
            data_coding=segments.data_coding,
            short_message=part.short_message,
            tlvs=((Tag.USER_MESSAGE_REFERENCE, b"\0\1"),),
        )._replace(**fields)  # type: ignore[arg-type]
        for part in segments.parts
    ]


class GoodClient:
    """Binds, sends a message a second, answers everything, slows down when told to, comes back when cut off."""

    system_id = b"demo"
    version = 0x34
    pause_s = 1.0
    answer_due_s = 20.0
    idle_s = 10.0
    deaf_s = 30.0

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._count = 0
        self.waiting: deque[tuple[float, SubmitSm]] = deque()
        """What was refused, and when it may be tried again."""
        self._new_session()

    def _new_session(self) -> None:
        self.sequence = 0
        self.outstanding: dict[int, tuple[Pdu, float]] = {}
        self.heard_at = trio.current_time()
        self.quiet_until = -math.inf

    # -- what bad clients do otherwise ----------------------------------------------------------------------

    def bind(self) -> Pdu:
        return BindTransceiver(system_id=self.system_id, password=b"demo", interface_version=self.version)

    def opening(self) -> list[bytes]:
        """What goes out when the link is there."""
        return [encode(self.bind(), self.next_sequence())]

    def messages(self, number: int) -> list[SubmitSm]:
        """The submits of the `number`-th message."""
        text = {1: LONG, 2: EMOJI}.get(number % 4, "Message")
        return cut(f"{number} {text}", number)

    def write(self, pdu: SubmitSm | EnquireLink, sequence: int) -> bytes:
        return encode(pdu, sequence)

    def next_sequence(self) -> int:
        self.sequence += 1
        return self.sequence

    def retry_s(self, status: int) -> float:
        """How long to wait after a refusal."""
        return 5.0

    def rebind_s(self, failures: int, status: int) -> float:
        """How long to wait before the next bind."""
        if status in CREDENTIALS:
            return 600.0
        return self.pause_s * 2.0**failures

    def is_bound_by(self, status: int) -> bool:
        """Whether a bind with this answer is one."""
        return not status

    def hear(self, frame: bytes) -> list[bytes]:
        """Answers to a frame."""
        try:
            header, pdu = decode(frame)
        except CodecError as error:
            return self.unreadable(frame, error)
        if is_response(header.command_id):
            return self.response(header)
        return self.request(header, pdu)

    def unreadable(self, frame: bytes, error: CodecError) -> list[bytes]:
        answer = answer_to(error)
        return [] if answer is None else [answer]

    def request(self, header: Header, pdu: Pdu) -> list[bytes]:
        match pdu:
            case EnquireLink():
                return [encode(EnquireLinkResp(), header.sequence_number)]
            case DeliverSm():
                return [encode(DeliverSmResp(), header.sequence_number)]
            case DataSm():
                return [encode(DataSmResp(), header.sequence_number)]
            case Unbind():
                return [encode(UnbindResp(), header.sequence_number)]
        return []

    def response(self, header: Header) -> list[bytes]:
        asked = self.outstanding.pop(header.sequence_number, None)
        if asked is not None and isinstance(asked[0], SubmitSm) and header.command_status:
            wait = self.retry_s(header.command_status)
            if wait:
                self.quiet_until = trio.current_time() + wait
                self.waiting.append((self.quiet_until, asked[0]))
            else:
                return self.send(asked[0])
        return []

    def every_second(self) -> list[bytes]:
        """What is due now."""
        now = trio.current_time()
        if now - self.heard_at > self.deaf_s:
            raise LinkOver
        frames = []
        if now - self.heard_at > self.idle_s:
            frames += self.send(EnquireLink())
        for sequence, (_, sent) in list(self.outstanding.items()):
            if now - sent > self.answer_due_s:
                del self.outstanding[sequence]
        if now < self.quiet_until:
            return frames
        while self.waiting and self.waiting[0][0] <= now and len(self.outstanding) < 6:
            frames += self.send(self.waiting.popleft()[1])
        if len(self.outstanding) < 6:
            self._count += 1
            for pdu in self.messages(self._count):
                frames += self.send(pdu)
        return frames

    def leaves(self) -> list[bytes]:
        """What is said before leaving."""
        return []

    # -- the shell ------------------------------------------------------------------------------------------

    def send(self, pdu: SubmitSm | EnquireLink) -> list[bytes]:
        sequence = self.next_sequence()
        self.outstanding[sequence] = (pdu, trio.current_time())
        return [self.write(pdu, sequence)]

    async def run(self) -> None:
        failures = 0
        while True:
            self._new_session()
            stream = await self._simulator.dial()
            status = int(Status.ESME_RBINDFAIL)
            with contextlib.suppress(trio.BrokenResourceError, LinkOver):  # while it still binds
                status = await self._session(stream)
            await trio.aclose_forcefully(stream)
            failures = failures + 1 if status else 0
            await trio.sleep(self.rebind_s(failures, status))

    async def _session(self, stream: trio.abc.HalfCloseableStream) -> int:
        """Until the link is over; the status of the bind."""
        buffer = FrameBuffer()
        await stream.send_all(b"".join(self.opening()))
        answer: Header | None = None
        while answer is None:
            data = await stream.receive_some(65_536)
            if not data:
                return int(Status.ESME_RBINDFAIL)
            for frame in buffer.feed(data):
                if peek(frame).command_id in BIND_ANSWERS:
                    answer = peek(frame)
                else:
                    await self._write(stream, self.hear(frame))
        if not self.is_bound_by(answer.command_status):
            return answer.command_status
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._work, stream, nursery.cancel_scope)
            nursery.start_soon(self._read, stream, buffer, nursery.cancel_scope)
        return 0

    async def _read(self, stream: trio.abc.Stream, buffer: FrameBuffer, scope: trio.CancelScope) -> None:
        try:
            while data := await stream.receive_some(65_536):
                self.heard_at = trio.current_time()
                for frame in buffer.feed(data):
                    await self._write(stream, self.hear(frame))
        except (trio.BrokenResourceError, trio.ClosedResourceError, LinkOver):
            pass
        scope.cancel()

    async def _work(self, stream: trio.abc.Stream, scope: trio.CancelScope) -> None:
        try:
            while True:
                farewell = self.leaves()
                if farewell:
                    self._count += 1
                    await self._write(stream, farewell)
                    await trio.sleep(1)
                    break
                await self._write(stream, self.every_second())
                await trio.sleep(1)
        except (trio.BrokenResourceError, trio.ClosedResourceError, LinkOver):
            pass
        scope.cancel()

    @staticmethod
    async def _write(stream: trio.abc.Stream, frames: list[bytes]) -> None:
        if frames:
            await stream.send_all(b"".join(frames))


class PoliteClient(GoodClient):
    """Leaves once, and comes back."""

    def leaves(self) -> list[bytes]:
        return [encode(Unbind(), self.next_sequence())] if self._count == 9 else []
