"""A bare SMPP client for the simulator's tests: it sends what it is told and hands over every frame it gets."""

from __future__ import annotations

import trio

from engine.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DeliverSm,
    DeliverSmResp,
    FrameBuffer,
    Header,
    Pdu,
    SubmitSm,
    decode,
    encode,
)
from engine.smpp.text import Concatenation, segment
from smppsim.simulator import Simulator

SENDER = b"38200"
PHONE = b"33612345600"
Bind = type[BindTransceiver] | type[BindTransmitter] | type[BindReceiver]


def submit_sm(text: str = "hello", destination: bytes = PHONE, **fields: object) -> SubmitSm:
    """A submit that asks for a receipt."""
    fields = {"registered_delivery": 1, "source_addr": SENDER, **fields}
    return SubmitSm(destination_addr=destination, short_message=text.encode(), **fields)  # type: ignore[arg-type]


def long_submits(text: str, reference: int = 7, by: Concatenation = Concatenation.UDH16) -> list[SubmitSm]:
    """The submits of a long text."""
    cut = segment(text, reference=reference, concatenation=by)
    return [
        submit_sm("", data_coding=cut.data_coding, esm_class=part.esm_class_bits)._replace(
            short_message=part.short_message, tlvs=part.tlvs
        )
        for part in cut.parts
    ]


class Client:
    """One connection."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self.stream = stream
        self._frames = FrameBuffer()
        self._received: list[bytes] = []
        self._sequence = 0
        self._writing = trio.Lock()

    async def send(self, pdu: Pdu, sequence: int | None = None, status: int = 0) -> int:
        """Its sequence number."""
        if sequence is None:
            self._sequence += 1
            sequence = self._sequence
        async with self._writing:
            await self.stream.send_all(encode(pdu, sequence, status))
        return sequence

    async def frame(self) -> bytes | None:
        """The next frame, None at the end of the stream."""
        while not self._received:
            data = await self.stream.receive_some(65_536)
            if not data:
                return None
            self._received += self._frames.feed(data)
        return self._received.pop(0)

    async def receive(self) -> tuple[Header, Pdu]:
        """The next PDU."""
        frame = await self.frame()
        assert frame is not None, "the link has ended"
        return decode(frame)

    async def nothing_for(self, seconds: float) -> bool:
        """Whether the simulator stays silent that long."""
        with trio.move_on_after(seconds):
            return await self.frame() is None
        return True

    async def ask(self, pdu: Pdu) -> tuple[Header, Pdu]:
        """Send a request and receive the next PDU."""
        await self.send(pdu)
        return await self.receive()

    async def deliver_sm(self, status: int = 0) -> DeliverSm:
        """The next PDU, which is a deliver_sm, answered."""
        header, pdu = await self.receive()
        assert isinstance(pdu, DeliverSm)
        await self.send(DeliverSmResp(), header.sequence_number, status)
        return pdu

    async def ended(self) -> bool:
        """Whether the next thing to happen is the end of the stream."""
        return await self.frame() is None


async def bound(
    simulator: Simulator,
    bind: Bind = BindTransceiver,
    system_id: str = "demo",
    password: str = "demo",
    version: int = 0x34,
) -> Client:
    """A bound client."""
    return await bound_to(Client(await simulator.dial()), bind, system_id, password, version)


async def bound_to(
    client: Client,
    bind: Bind = BindTransceiver,
    system_id: str = "demo",
    password: str = "demo",
    version: int = 0x34,
) -> Client:
    """The client of a connection, bound."""
    header, _ = await client.ask(
        bind(system_id=system_id.encode(), password=password.encode(), interface_version=version)
    )
    assert header.command_status == 0
    return client
