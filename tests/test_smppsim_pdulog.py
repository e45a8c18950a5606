"""smppsim.pdulog: the ring of frames, what is starred out of it, and who spoke with whom."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import BindTransceiver, encode
from engine.smpp.pdu import Outbind as OutbindPdu
from smppsim.behaviour import Cut
from smppsim.faults import Drop, Outbind
from smppsim.pdulog import OUT, PduLog, without_password
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, bound, submit_sm


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


async def test_the_log_holds_both_directions_and_never_a_password(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = Client(simulator.connect())
    await client.ask(BindTransceiver(b"demo", b"s3cr3t-7"))
    await client.ask(BindTransceiver(b"demo", b"demo"))
    await client.ask(submit_sm("logged"))
    await client.deliver_sm()
    rows = simulator.pdus
    assert [(row.direction, row.header.command_id & 0xFFFF, row.header.command_id >> 31) for row in rows[:6]] == [
        ("in", 9, 0),
        ("out", 9, 1),
        ("in", 9, 0),
        ("out", 9, 1),
        ("in", 4, 0),
        ("out", 4, 1),
    ]
    assert not any(b"s3cr3t-7" in row.frame for row in rows)
    assert rows[4].pdu == submit_sm("logged")
    assert [row.serial for row in rows] == list(range(1, len(rows) + 1))


def test_the_ring_is_bounded_and_keeps_malformed_frames_too() -> None:
    log = PduLog(2)
    for octets in (b"1", bytes(16), encode(submit_sm("x"), 3)):
        log.add(0.0, 1, OUT, octets)
    broken, good = log
    assert (broken.pdu, broken.command_id) == (None, 0)
    assert good.pdu == submit_sm("x")
    assert (len(log), log.last, good.serial) == (2, 3, 3)
    log.clear()
    assert (len(log), log.last) == (0, 3)


def test_frames_that_went_by_are_not_given_twice_nor_invented() -> None:
    log = PduLog(3)
    for number in range(1, 6):
        log.add(float(number), 1, OUT, bytes((number,)))
    assert [row.serial for row in log.after(4)] == [5]
    assert [row.serial for row in log.after(0)] == [3, 4, 5]  # 1 and 2 are gone
    assert log.after(5) == log.after(9) == []
    log.clear()
    log.add(6.0, 1, OUT, b"6")
    assert [row.serial for row in log.after(0)] == [6]


def test_a_frame_shorter_than_a_header_has_no_command() -> None:
    log = PduLog(1)
    log.add(0.0, 1, OUT, b"GET / HTTP")
    assert next(iter(log)).command_id is None


def test_a_malformed_bind_is_logged_with_its_body_starred_out() -> None:
    frame = encode(BindTransceiver(b"demo", b"s3cr3t-7"), 1)
    broken = (len(frame) - 3).to_bytes(4, "big") + frame[4:-3]
    assert without_password(broken) == broken[:16] + b"*" * (len(broken) - 16)


async def test_connections_are_remembered_with_their_accounts_and_ends(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    closing, resetting = await bound(simulator), Client(simulator.connect())
    await trio.sleep(1)
    await closing.stream.aclose()
    simulator.cause(Drop(how=Cut.reset, session=2))
    assert await resetting.ended()
    first, second = simulator.smsc.log.connections.values()
    assert (first.account, first.opened, first.closed) == ("demo", 0.0, 1.0)
    assert (first.reset, first.by_client) == (False, True)
    assert (second.account, second.closed, second.reset, second.by_client) == (None, 1.0, True, False)


async def test_a_connection_over_tcp_has_the_addresses_of_both_ends(simulator: Simulator) -> None:
    port = await simulator.listen()
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    with trio.fail_after(20):
        await simulator.until(lambda: simulator.sessions)
    (connection,) = simulator.smsc.log.connections.values()
    assert connection.local == f"127.0.0.1:{port}"
    assert connection.peer == "{}:{}".format(*stream.socket.getsockname())
    await stream.aclose()


def test_the_oldest_connections_are_forgotten() -> None:
    log = PduLog(1)
    for number in range(1, 10_012):
        log.opened(number, "", "", 0.0)
    assert len(log.connections) == 10_000
    assert 11 not in log.connections
    log.bound(11, "demo")
    log.closed(11, 1.0, reset=False, by_client=True)
    assert 12 in log.connections


async def test_the_password_of_an_outbind_is_starred_out(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = Client(simulator.connect())
    await simulator.until(lambda: simulator.sessions)
    simulator.cause(Outbind(password="s3cr3t-7"))
    sent = await client.frame()
    (row,) = simulator.pdus
    assert b"s3cr3t-7" in (sent or b"")
    assert b"s3cr3t-7" not in row.frame
    assert row.pdu == OutbindPdu(b"SMPPSIM", b"********")
