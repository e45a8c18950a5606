"""Our captures in Wireshark's dissector: nothing to complain about, save the frames that we damaged."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.errors import FramingError
from engine.smpp.pdu import BindTransceiver, DeliverSm, DeliverSmResp, EnquireLink, QuerySm, Unbind, encode, peek
from smppsim.behaviour import Cut
from smppsim.capture.pcap import file_header
from smppsim.capture.recorder import record_log
from smppsim.faults import AnyFault, BrokenTlvs, Drop, ForeignOctets, Raw, StopMidPdu, Truncate, WrongLength
from smppsim.pdulog import OUT, LoggedPdu
from smppsim.scenario_files import load_profile
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, bound, long_submits, submit_sm

TSHARK = shutil.which("tshark")
pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(TSHARK is None, reason="tshark is not installed"),
]
PORT = 2775  # of the stand-in address that a session without a socket gets
FIELDS = ("tcp.payload", "smpp.command_id", "smpp.sequence_number", "_ws.malformed", "tcp.analysis.flags")
CHECKSUMS = ("ip.checksum.status", "tcp.checksum.status")


class Dissected(NamedTuple):
    """What tshark says of one packet."""

    payload: bytes
    pdus: list[tuple[int, int]]
    """command_id and sequence_number of each."""
    malformed: bool
    flags: str
    checksums: tuple[str, ...]


def dissected(octets: bytes, folder: Path) -> list[Dissected]:
    """A capture file, packet by packet."""
    file = folder / "run.pcap"
    file.write_bytes(octets)
    assert TSHARK is not None
    command = [TSHARK, "-n", "-r", str(file), "-d", f"tcp.port=={PORT},smpp", "-T", "fields", "-E", "separator=|"]
    command += ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    for field in FIELDS + CHECKSUMS:
        command += ["-e", field]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return list(_rows(ran.stdout))


def _rows(printed: str) -> Iterator[Dissected]:
    for line in printed.splitlines():
        payload, commands, sequences, malformed, flags, *checksums = line.split("|")
        pairs = zip(_numbers(commands), _numbers(sequences), strict=True)
        yield Dissected(bytes.fromhex(payload), list(pairs), bool(malformed), flags, tuple(checksums))


def _numbers(listed: str) -> list[int]:
    return [int(number, 0) for number in listed.split(",") if number]


def capture(simulator: Simulator) -> bytes:
    log = simulator.smsc.log
    return file_header() + b"".join(record_log(log, log.connections, simulator.instant(0.0)))


def sound(row: LoggedPdu) -> bool:
    """Whether our codec, which forgives more than tshark, would write the frame like this."""
    return row.pdu is not None and encode(row.pdu, row.header.sequence_number, row.header.command_status) == row.frame


def damaged(rows: list[LoggedPdu]) -> set[bytes]:
    """What we sent and would not write of our own accord; after a wrong command_length, all that the session sent."""
    found, lost = set(), set()
    for row in rows:
        if row.direction == OUT and (row.session in lost or not sound(row)):
            found.add(row.frame)
            if int.from_bytes(row.frame[:4], "big") != len(row.frame):
                lost.add(row.session)
    return found


async def traffic(simulator: Simulator) -> None:
    """Messages short and long both ways, receipts, questions, a clean end."""
    client = await bound(simulator)
    for text in ("hello", "ça va"):
        await client.ask(submit_sm("", data_coding=3)._replace(short_message=text.encode("latin-1")))
        await client.deliver_sm()
    for part in long_submits("A long text 👍 " * 30):
        await client.ask(part._replace(registered_delivery=0))
    replies = simulator.handset("+33612345600").reply("Une longue réponse 👍 " * 20)
    for _ in replies:
        header, _ = await client.receive()
        await client.send(DeliverSmResp(), header.sequence_number)
    await client.ask(EnquireLink())
    await client.ask(QuerySm(b"unknown"))
    await client.ask(Unbind())
    assert await client.ended()


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


async def test_nothing_is_malformed_and_every_pdu_is_dissected(
    autojump_clock: MockClock, simulator: Simulator, tmp_path: Path
) -> None:
    simulator.link(deliver_window=1)
    for _ in range(3):
        await traffic(simulator)
    resetting = await bound(simulator)
    simulator.cause(Drop(how=Cut.reset))
    assert await resetting.ended()
    packets = dissected(capture(simulator), tmp_path)
    logged = [(header.command_id, header.sequence_number) for header in (peek(row.frame) for row in simulator.pdus)]
    assert [pair for packet in packets for pair in packet.pdus] == logged
    assert not [packet for packet in packets if packet.malformed or packet.flags]
    assert {packet.checksums for packet in packets} == {("1", "1")}  # Good


async def live(simulator: Simulator, for_s: float) -> None:
    """A client that keeps coming back, whatever happens to its links."""
    with trio.move_on_after(for_s):
        while True:
            client = Client(simulator.connect())
            async with client.stream, trio.open_nursery() as nursery:
                nursery.start_soon(submit, client, simulator)
                await answer(client)
                nursery.cancel_scope.cancel()
            await trio.sleep(1)


async def submit(client: Client, simulator: Simulator) -> None:
    """One message a second, and a reply from its handset."""
    with suppress(trio.BrokenResourceError):
        await client.send(BindTransceiver(b"demo", b"demo"))
        for number in count():
            await trio.sleep(1)
            phone = b"336123456%02d" % (number % 100)
            await client.send(submit_sm(f"number {number}", phone))
            simulator.handset(phone.decode()).reply("👍 " * (number % 90 + 1), "38200")


async def answer(client: Client) -> None:
    """Take every deliver_sm, until the link ends or its framing is lost."""
    with suppress(FramingError, trio.BrokenResourceError):
        while (frame := await client.frame()) is not None:
            if frame[4:8] == DeliverSm.command_id.to_bytes(4, "big"):
                await client.send(DeliverSmResp(), peek(frame).sequence_number)


@pytest.mark.parametrize("profile", ["healthy", "hostile"])
async def test_a_day_with_a_profile_shows_only_what_the_profile_damages(
    autojump_clock: MockClock, nursery: trio.Nursery, tmp_path: Path, profile: str
) -> None:
    simulator = Simulator(load_profile(profile), seed=7)
    await nursery.start(simulator.run)
    await live(simulator, 90)
    assert simulator.stats.accepted > 50
    packets = dissected(capture(simulator), tmp_path)
    malformed = {packet.payload for packet in packets if packet.malformed}
    assert malformed <= damaged(simulator.pdus)
    assert bool(malformed) == (profile == "hostile")
    assert not [packet for packet in packets if packet.flags]
    assert {packet.checksums for packet in packets} == {("1", "1")}


async def test_only_what_we_damaged_is_malformed(
    autojump_clock: MockClock, simulator: Simulator, tmp_path: Path
) -> None:
    surely = (Truncate(), BrokenTlvs(command=0x8000_0004, how="overrun"))
    perhaps: tuple[AnyFault, ...] = (WrongLength(), ForeignOctets(), StopMidPdu(), Raw(hex="00000011" + "00" * 12))
    for fault in (*surely, *perhaps):
        await traffic(simulator)
        client = await bound(simulator)
        simulator.cause(fault)
        await client.send(submit_sm(registered_delivery=0))
        await client.send(EnquireLink())
        await trio.sleep(5)
        await client.stream.aclose()
    packets = dissected(capture(simulator), tmp_path)
    ours = damaged(simulator.pdus)
    assert len(ours) > len(surely)
    malformed = {packet.payload for packet in packets if packet.malformed}
    assert malformed <= ours
    assert len(malformed) >= len(surely)
    assert not [packet for packet in packets if packet.flags]
    assert {packet.checksums for packet in packets} == {("1", "1")}


async def test_a_session_over_tcp_is_found_without_being_told_its_port(simulator: Simulator, tmp_path: Path) -> None:
    port = await simulator.listen()
    with trio.fail_after(60):
        client = Client(await trio.open_tcp_stream("127.0.0.1", port))
        await client.ask(EnquireLink())
        await client.stream.aclose()
        await simulator.until(lambda: not simulator.sessions)
    packets = dissected(capture(simulator), tmp_path)
    assert [pair for packet in packets for pair in packet.pdus] == [(0x15, 1), (0x8000_0015, 1)]
