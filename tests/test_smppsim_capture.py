"""smppsim.capture: sessions to packets and back, the file formats, and what captures are like."""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from engine.smpp.pdu import BindTransceiver, EnquireLink, SubmitSm, encode
from smppsim.behaviour import Cut
from smppsim.capture.conversations import Said, conversations
from smppsim.capture.live import CaptureFile
from smppsim.capture.packets import ACK, RST, SYN, Endpoint, Segment, build, parse
from smppsim.capture.pcap import CaptureError, Packet, file_header, read, record
from smppsim.capture.recorder import Recorder, Stream, record_log
from smppsim.faults import Drop, Raw
from smppsim.pdulog import IN, OUT, Connection, LoggedPdu, PduLog
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, bound, long_submits, submit_sm

CLIENT, SERVER = Endpoint("127.0.0.1", 40_001), Endpoint("127.0.0.1", 2775)
CONNECTION = Connection(1, str(CLIENT), str(SERVER), 0.0)

bodies = st.binary(max_size=4000) | st.binary(max_size=20)
frames = bodies.map(lambda body: (16 + len(body)).to_bytes(4, "big") + bytes(12) + body)
speeches = st.lists(st.tuples(st.booleans(), frames), min_size=1, max_size=12)


def ones_complement(octets: bytes) -> int:
    """The Internet checksum by the book (RFC 1071), to hold ours against."""
    total = 0
    for (word,) in struct.iter_unpack(">H", octets + b"\0" * (len(octets) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def recorded(speech: list[tuple[bool, bytes]], **ends: object) -> bytes:
    """A pcap file of one session."""
    recorder = Recorder()
    octets = file_header() + recorder.opened(CONNECTION, 1_000_000)
    for number, (from_client, frame) in enumerate(speech, start=1):
        row = LoggedPdu(0.0, 1, IN if from_client else OUT, frame, number)
        octets += recorder.said(row, 1_000_000 + number)
    connection = Connection(1, str(CLIENT), str(SERVER), 0.0, closed=9.0, **ends)  # type: ignore[arg-type]
    return octets + recorder.closed(connection, 9_000_000)


# -- writing and reading ----------------------------------------------------------------------------------------


@given(speeches)
def test_what_is_written_is_read_back(speech: list[tuple[bool, bytes]]) -> None:
    (conversation,) = conversations(read(recorded(speech)))
    assert (conversation.client, conversation.server) == (CLIENT, SERVER)
    assert conversation.said == tuple(
        Said(1_000_000 + number, by_client, frame) for number, (by_client, frame) in enumerate(speech, start=1)
    )


@given(speeches)
def test_every_checksum_is_right_and_every_octet_is_numbered_without_a_gap(speech: list[tuple[bool, bytes]]) -> None:
    expected: dict[Endpoint, int] = {}
    for packet in read(recorded(speech)):
        ip = packet.octets[14:]
        assert ones_complement(ip[:20]) == 0xFFFF
        assert int.from_bytes(ip[2:4], "big") == len(ip)
        assert ones_complement(ip[12:20] + struct.pack(">HH", 6, len(ip) - 20) + ip[20:]) == 0xFFFF
        assert len(packet.octets) <= 1514
        segment = parse(packet.link_type, packet.octets)
        assert segment is not None
        assert segment.sequence == expected.get(segment.source, segment.sequence)
        assert segment.flags & SYN or segment.acknowledged == expected[segment.destination]
        expected[segment.source] = segment.sequence + len(segment.payload) + bool(segment.flags & 0x03)


@given(speeches, st.randoms(use_true_random=False))
def test_disorder_and_repetition_change_nothing_of_what_a_side_said(
    speech: list[tuple[bool, bytes]], dice: object
) -> None:
    handshake, *packets = read(recorded(speech))
    shuffled = packets[2:-3] * 2
    dice.shuffle(shuffled)
    (conversation,) = conversations([handshake, *packets[:2], *shuffled])
    for by_client in (True, False):
        said = [row.frame for row in conversation.said if row.by_client == by_client]
        assert said == [frame for from_client, frame in speech if from_client == by_client]


@given(speeches, st.integers(min_value=0, max_value=60))
def test_a_file_that_is_cut_off_is_read_up_to_there(speech: list[tuple[bool, bytes]], missing: int) -> None:
    whole = recorded(speech)
    packets = list(read(whole))
    assert list(read(whole[: len(whole) - missing])) == packets[: len(packets) - (missing > 0) - (missing > 70)]


@pytest.mark.parametrize(
    ("client", "server"),
    [(Endpoint("127.0.0.1", 1), Endpoint("10.1.2.3", 2)), (Endpoint("::1", 65_535), Endpoint("2001:db8::2", 2775))],
)
def test_a_segment_is_parsed_as_it_was_built(client: Endpoint, server: Endpoint) -> None:
    segment = Segment(client, server, 0xFFFF_FFFF, 7, ACK, b"odd")
    frame = build(segment, 70_000, from_client=True)
    assert parse(1, frame) == segment
    ip = frame[14:]
    ends = ipaddress.ip_address(client.address).packed + ipaddress.ip_address(server.address).packed
    tcp = ip[-23:]
    assert ones_complement(ends + struct.pack(">HH", 6, len(tcp)) + tcp) == 0xFFFF


def test_two_ends_are_of_one_family() -> None:
    with pytest.raises(ValueError, match="family"):
        build(Segment(Endpoint("::1", 1), CLIENT, 0, 0, ACK), 1, from_client=True)


@pytest.mark.parametrize(
    ("link_type", "wrap"),
    [
        (1, lambda ip: bytes(12) + b"\x81\0\0\1" + b"\x08\0" + ip),
        (101, lambda ip: ip),
        (0, lambda ip: b"\2\0\0\0" + ip),
        (108, lambda ip: b"\0\0\0\2" + ip),
        (113, lambda ip: bytes(14) + b"\x08\0" + ip),
        (276, lambda ip: b"\x08\0" + bytes(18) + ip),
    ],
)
def test_other_link_layers_are_read(link_type: int, wrap: Callable[[bytes], bytes]) -> None:
    segment = Segment(CLIENT, SERVER, 1, 1, ACK, b"x")
    assert parse(link_type, wrap(build(segment, 1, from_client=True)[14:])) == segment


def test_what_is_no_tcp_is_passed_over() -> None:
    udp = bytearray(build(Segment(CLIENT, SERVER, 1, 1, ACK, b"x"), 1, from_client=True))
    udp[23] = 17
    fragment = bytearray(build(Segment(CLIENT, SERVER, 1, 1, ACK, b"x"), 1, from_client=True))
    fragment[20:22] = b"\x20\0"
    arp = bytes(12) + b"\x08\x06" + bytes(28)
    assert [parse(1, bytes(each)) for each in (udp, fragment, arp, b"", bytes(20))] == [None] * 5
    assert parse(147, bytes(60)) is None


# -- pcapng -----------------------------------------------------------------------------------------------------


def pcapng(packets: list[Packet], order: str, resolution: bytes, ticks: int) -> bytes:
    """A file as Wireshark writes it."""

    def block(kind: int, body: bytes) -> bytes:
        body += b"\0" * (-len(body) % 4)
        length = struct.pack(order + "I", 12 + len(body))
        return struct.pack(order + "I", kind) + length + body + length

    option = struct.pack(order + "HH", 9, 1) + resolution + b"\0\0\0" if resolution else b""
    octets = block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))
    octets += block(1, struct.pack(order + "HHI", 1, 0, 0) + option + bytes(4)) + block(5, bytes(12))
    for packet in packets:
        high, low = divmod(packet.at * ticks // 1_000_000, 1 << 32)
        size = len(packet.octets)
        octets += block(6, struct.pack(order + "IIIII", 0, high, low, size, size) + packet.octets)
    return octets


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("resolution", "ticks"), [(b"", 10**6), (b"\x09", 10**9), (b"\x94", 1 << 20)])
def test_pcapng_is_read_like_pcap(order: str, resolution: bytes, ticks: int) -> None:
    packets = [Packet(1_700_000_000_500_000 * (number > 0), 1, bytes(number)) for number in (0, 1, 2, 61)]
    read_back = list(read(pcapng(packets, order, resolution, ticks)))
    assert read_back == packets


def test_a_simple_packet_has_no_time() -> None:
    section = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    interface = struct.pack("<IIHHII", 1, 20, 1, 0, 0, 20)
    simple = struct.pack("<III", 3, 20, 3) + b"abc\0" + struct.pack("<I", 20)
    assert list(read(section + interface + simple)) == [Packet(0, 1, b"abc")]


def test_big_endian_and_nanoseconds_are_read() -> None:
    file = struct.pack(">IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 65_535, 101) + struct.pack(">IIII", 5, 7_000, 1, 1) + b"x"
    assert list(read(file)) == [Packet(5_000_007, 101, b"x")]


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1", bytes(100)])
def test_what_is_no_capture_is_refused(data: bytes) -> None:
    with pytest.raises(CaptureError):
        read(data)


# -- what captures are like -------------------------------------------------------------------------------------


def segments(*rows: tuple[Endpoint, int, int, bytes]) -> list[Packet]:
    """Packets by source, sequence number, flags and payload."""
    found = []
    for at, (source, sequence, flags, payload) in enumerate(rows):
        other = SERVER if source == CLIENT else CLIENT
        frame = build(Segment(source, other, sequence, 0, flags, payload), at, from_client=source == CLIENT)
        found.append(Packet(at, 1, frame))
    return found


ENQUIRE = encode(EnquireLink(), 1)
BIND = encode(BindTransceiver(b"demo", b"********"), 1)


def test_without_a_handshake_who_binds_is_the_client() -> None:
    for source in (CLIENT, SERVER):
        (found,) = conversations(segments((source, 5, ACK, BIND)))
        assert found.client == source
    (found,) = conversations(segments((SERVER, 5, ACK, ENQUIRE)))
    assert found.client == CLIENT  # the higher port


def test_a_missing_segment_is_passed_over_at_the_end() -> None:
    (found,) = conversations(segments((CLIENT, 1, ACK, ENQUIRE), (CLIENT, 1 + 16 + 400, ACK, ENQUIRE)))
    assert [row.frame for row in found.said] == [ENQUIRE, ENQUIRE]


def test_numbers_of_octets_run_over() -> None:
    (found,) = conversations(segments((CLIENT, 0xFFFF_FFF8, ACK, ENQUIRE), (CLIENT, 8, ACK, ENQUIRE)))
    assert [row.frame for row in found.said] == [ENQUIRE, ENQUIRE]


def test_octets_that_are_no_smpp_end_the_cutting() -> None:
    rest = b"HTTP/1.1 400 Bad Request"
    (found,) = conversations(segments((SERVER, 1, ACK, ENQUIRE + rest), (SERVER, 41, ACK, ENQUIRE)))
    assert [row.frame for row in found.said] == [ENQUIRE, rest, ENQUIRE]


def test_a_frame_that_broke_off_is_kept() -> None:
    (found,) = conversations(segments((SERVER, 1, ACK, ENQUIRE[:9]), (SERVER, 10, RST, b"")))
    assert [row.frame for row in found.said] == [ENQUIRE[:9]]


def test_a_port_that_is_used_again_is_another_conversation() -> None:
    packets = segments(
        (CLIENT, 1, SYN, b""), (CLIENT, 2, ACK, ENQUIRE), (CLIENT, 900, SYN, b""), (CLIENT, 901, ACK, BIND)
    )
    assert [[row.frame for row in each.said] for each in conversations(packets)] == [[ENQUIRE], [BIND]]


def test_octets_larger_than_a_packet_are_cut() -> None:
    stream = Stream(CONNECTION)
    packets = list(read(file_header() + stream.said(0, bytes(4000), from_client=True)))
    assert [len(packet.octets) - 54 for packet in packets] == [1460, 1460, 1080]


# -- the simulator ----------------------------------------------------------------------------------------------


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


async def test_a_log_becomes_one_stream_a_session(autojump_clock: MockClock, simulator: Simulator) -> None:
    one, two = await bound(simulator), await bound(simulator)
    await one.ask(submit_sm("first", registered_delivery=0))
    await two.ask(EnquireLink())
    simulator.cause(Drop(how=Cut.reset, session=2))
    assert await two.ended()
    log = simulator.smsc.log
    packets = list(read(file_header() + b"".join(record_log(log, log.connections, 5_000_000))))
    assert packets[0].at == 5_000_000
    first, second = conversations(packets)
    assert (first.client, second.client) == (Endpoint("192.0.2.2", 1024), Endpoint("192.0.2.3", 1024))
    assert first.server == Endpoint("198.51.100.1", 2775)
    assert [row.frame for row in first.said] == [row.frame for row in log if row.session == 1]
    assert [row.frame for row in second.said] == [row.frame for row in log if row.session == 2]
    ends = [parse(1, packet.octets) for packet in packets]
    assert sum(bool(end and end.flags & RST) for end in ends) == 1


def test_a_session_whose_beginning_is_forgotten_begins_with_its_first_frame() -> None:
    log = PduLog(2)
    for number in range(4):
        log.add(float(number), 7, OUT, ENQUIRE)
    (conversation,) = conversations(read(file_header() + b"".join(record_log(log, {}, 0))))
    assert [row.at for row in conversation.said] == [2_000_000, 3_000_000]


async def test_a_capture_file_grows_and_is_whole_at_the_end(tmp_path: Path, simulator: Simulator) -> None:
    file = tmp_path / "run.pcap"
    port = await simulator.listen()
    with trio.fail_after(60), file.open("wb") as opened:
        async with trio.open_nursery() as nursery:
            capture = CaptureFile(simulator.smsc.log, opened, simulator.smsc.wall)
            nursery.start_soon(capture.run)
            client = Client(await trio.open_tcp_stream("127.0.0.1", port))
            await client.ask(BindTransceiver(b"demo", b"demo"))
            while not list(conversations(read(file.read_bytes()))):
                await trio.sleep(0.01)
            for part in long_submits("Long " * 100):
                await client.ask(part._replace(registered_delivery=0))
            simulator.cause(Raw(hex="00" * 3))
            await client.stream.aclose()
            await simulator.until(lambda: not simulator.sessions)
            nursery.cancel_scope.cancel()
    (conversation,) = conversations(read(file.read_bytes()))
    assert conversation.server == Endpoint("127.0.0.1", port)
    assert [row.frame for row in conversation.said] == [row.frame for row in simulator.smsc.log]
    assert b"demo\0demo" not in file.read_bytes()
    assert isinstance(simulator.pdus[2].pdu, SubmitSm)


def test_a_record_holds_its_instant() -> None:
    assert list(read(file_header() + record(1_700_000_000_123_456, b"x"))) == [Packet(1_700_000_000_123_456, 1, b"x")]
