"""What the operator saw on the wire, read from its PDU log, and streams that break as a network does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import trio

from engine.smpp.pdu import BindTransceiver, BindTransmitter, EnquireLink, Pdu, SubmitSm, commands
from smppsim.pdulog import IN, OUT
from smppsim.simulator import Simulator
from tests.rig import OpenStream

Autojump = trio.testing.MockClock


class Seen(NamedTuple):
    """One PDU of ours as it reached the operator."""

    at: float
    session: int
    status: int
    sequence: int
    pdu: Any


def seen(sim: Simulator, kind: type[Pdu], direction: str = IN) -> list[Seen]:
    """Every PDU of a kind, oldest first."""
    command_id = kind.command_id
    return [
        Seen(row.at, row.session, row.header.command_status, row.header.sequence_number, row.pdu)
        for row in sim.pdus
        if row.direction == direction and row.header.command_id == command_id
    ]


def submits(sim: Simulator) -> list[Seen]:
    """Every submit_sm."""
    return seen(sim, SubmitSm)


def texts(sim: Simulator) -> list[str]:
    """The text of every submit_sm in GSM letters that are ASCII too, in order of arrival."""
    return [one.pdu.short_message.decode("latin-1") for one in submits(sim)]


def binds(sim: Simulator) -> list[float]:
    """The instants of every bind request."""
    return sorted(one.at for kind in (BindTransceiver, BindTransmitter) for one in seen(sim, kind))


def enquiries(sim: Simulator) -> list[float]:
    """The instants of our enquire_links."""
    return [one.at for one in seen(sim, EnquireLink)]


def statuses(sim: Simulator) -> list[int]:
    """The command_status of every submit_sm_resp."""
    return [
        row.header.command_status
        for row in sim.pdus
        if row.direction == OUT and row.header.command_id == commands.SUBMIT_SM_RESP
    ]


def busiest(instants: list[float], within_s: float) -> int:
    """The most of these instants within any span of so many seconds."""
    most = first = 0
    for last, at in enumerate(instants):
        while instants[first] <= at - within_s:
            first += 1
        most = max(most, last - first + 1)
    return most


class Breaking(trio.abc.Stream):
    """A stream that hands on `octets` more octets from `cut` on and then is broken, in both directions."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.left: int | None = None

    def cut(self, octets: int) -> None:
        """Break after so many more octets."""
        self.left = octets

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write, or part of it."""
        if self.left is None:
            await self.stream.send_all(data)
            return
        part = bytes(data)[: self.left]
        self.left -= len(part)
        if part:
            await self.stream.send_all(part)
        if len(part) < len(data):
            await trio.aclose_forcefully(self.stream)
            raise trio.BrokenResourceError("cut")

    async def wait_send_all_might_not_block(self) -> None:
        """As the stream."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """As the stream."""
        try:
            return await self.stream.receive_some(max_bytes)  # type: ignore[attr-defined, no-any-return]
        except trio.ClosedResourceError as error:
            raise trio.BrokenResourceError("cut") from error

    async def aclose(self) -> None:
        """As the stream."""
        await self.stream.aclose()


def breaking(made: list[Breaking]) -> Callable[[Any, Simulator], OpenStream]:
    """A `dial` for the rig whose streams can be broken; `made` gets each of them."""

    def dial(_bind: Any, sim: Simulator) -> OpenStream:
        async def open_stream() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            made.append(Breaking(sim.connect()))
            return made[-1]

        return open_stream

    return dial
