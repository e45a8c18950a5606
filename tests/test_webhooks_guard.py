"""What an endpoint's URL may be, and which addresses may be connected to (S18)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import httpcore2
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from engine.webhooks.guard import Address, BadUrl, GuardedBackend, Refused, is_public, read_url
from engine.webhooks.options import WebhookOptions
from tests.webhook_rig import PUBLIC

STRICT = WebhookOptions()
DEMO = WebhookOptions(allow_loopback=True)

PRIVATE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
    "192.0.0.8", "192.0.0.170", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1",
    "224.0.1.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8",
    "::ffff:7f00:1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1",
    "2001:db8::1", "2002:7f00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1",
    "fe80::1%eth0", "fec0::1", "ff02::1", "ff0e::1", "localhost", "", "2130706433", "0x7f.1", "127.1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_public_is_told(address: str) -> None:
    """S18: mapped, translated, tunnelled, local, shared, metadata and multicast addresses alike."""
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC, "8.8.8.8", "1.1.1.1", "2606:4700::1111", "2a00:1450:4007::200e"])
def test_a_public_address_is_told(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4).map(str))
def test_no_mapped_or_translated_form_of_any_address_is_public(address: str) -> None:
    packed = int(ipaddress.IPv4Address(address))
    for prefix in ("::ffff:0:0", "64:ff9b::", "::"):
        assert not is_public(str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(prefix)) + packed)))
    assert not is_public(str(ipaddress.IPv6Address((0x2002 << 112) + (packed << 80))))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://hooks.example.com/", "scheme_not_allowed"),
        ("https://hooks.example.com:8080/", "port_not_allowed"),
        ("https://hooks.example.com:22/", "port_not_allowed"),
        ("https://127.0.0.1/", "address_not_allowed"),
        ("https://[::ffff:127.0.0.1]/", "address_not_allowed"),
        ("https://[::1]:443/", "address_not_allowed"),
        ("https://169.254.169.254/latest/meta-data", "address_not_allowed"),
        ("https://user:password@hooks.example.com/", "bad_url"),
        ("https://@127.0.0.1/", "bad_url"),
        ("https://hooks.example.com/#part", "bad_url"),
        ("https://hooks.example.com\\@127.0.0.1/", "bad_url"),
        ("https://hooks.example.com/a b", "bad_url"),
        ("https://hooks.example.com/\r\nx: y", "bad_url"),
        ("https://hooks.example.com:99999/", "bad_url"),
        ("https://hôtel.example/", "bad_url"),
        ("https://-x.example/", "bad_url"),
        ("https:///path", "bad_url"),
        ("https://[::1", "bad_url"),
        ("ftp://hooks.example.com/", "bad_url"),
        ("file:///etc/passwd", "bad_url"),
        ("hooks.example.com", "bad_url"),
        ("", "bad_url"),
        ("https://hooks.example.com/" + "x" * 2048, "bad_url"),
    ],
)
def test_a_url_that_webhooks_may_not_go_to_is_refused_with_its_reason(url: str, code: str) -> None:
    refused = read_url(url, STRICT)
    assert isinstance(refused, BadUrl)
    assert refused.code == code


def test_a_good_url_keeps_host_port_path_and_query() -> None:
    address = read_url("https://Hooks.Example.com/in?x=1&y=%20", STRICT)
    assert address == Address("https", "hooks.example.com", 443, b"/in?x=1&y=%20", b"hooks.example.com")
    plain = read_url("http://hooks.example.com", WebhookOptions(allow_http=True))
    assert plain == Address("http", "hooks.example.com", 80, b"/", b"hooks.example.com")
    any_port = read_url("https://[2606:4700::1111]:8443/x", WebhookOptions(ports=()))
    assert any_port == Address("https", "2606:4700::1111", 8443, b"/x", b"[2606:4700::1111]:8443")


@pytest.mark.parametrize("url", ["http://127.0.0.1:8000/", "http://localhost:1/", "https://[::1]:9000/x"])
def test_loopback_is_for_the_demo_only(url: str) -> None:
    assert isinstance(read_url(url, DEMO), Address)
    assert isinstance(read_url(url, STRICT), BadUrl)


@given(st.text(max_size=60).map("https://".__add__))
def test_reading_any_url_gives_an_address_or_a_reason(url: str) -> None:
    found = read_url(url, STRICT)
    assert isinstance(found, Address | BadUrl)
    if isinstance(found, Address):
        assert found.scheme == "https"
        assert found.port == 443


class Net:
    """A network whose resolver answers what it is told, in turn."""

    def __init__(self, *answers: Sequence[str] | OSError) -> None:
        self.answers = list(answers)
        self.dialled: list[str] = []
        self.dead: set[str] = set()

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        answer = self.answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    async def connect(self, address: str, port: int) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        self.dialled.append(address)
        if address in self.dead:
            raise ConnectionRefusedError
        return trio.testing.memory_stream_pair()[0]

    def backend(self, *, allow_loopback: bool = False) -> GuardedBackend:
        return GuardedBackend(allow_loopback, self.resolve, self.connect)


async def test_a_name_that_rebinds_is_refused_and_never_dialled() -> None:
    """S18: each connection resolves once and goes to what it checked."""
    net = Net([PUBLIC], ["127.0.0.1"])
    backend = net.backend()
    await backend.connect_tcp("hooks.example.com", 443)
    with pytest.raises(Refused):
        await backend.connect_tcp("hooks.example.com", 443)
    assert net.dialled == [PUBLIC]
    assert net.answers == []


@pytest.mark.parametrize(
    "answer",
    [
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        ["::ffff:127.0.0.1"],
        ["fe80::1%2"],
        [],
        OSError("no such name"),
    ],
)
async def test_one_address_that_is_not_public_or_no_answer_refuses_the_host(answer: Sequence[str] | OSError) -> None:
    net = Net(answer)
    with pytest.raises(Refused):
        await net.backend().connect_tcp("hooks.example.com", 443)
    assert net.dialled == []


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost"])
async def test_odd_spellings_of_loopback_are_refused_by_the_system_resolver_s_answer(host: str) -> None:
    backend = GuardedBackend(allow_loopback=False)
    with pytest.raises(Refused):
        await backend.connect_tcp(host, 443)


async def test_a_name_that_points_to_loopback_is_refused_even_where_loopback_is_allowed() -> None:
    net = Net(["127.0.0.1"], ["127.0.0.1"], [PUBLIC])
    backend = net.backend(allow_loopback=True)
    with pytest.raises(Refused):
        await backend.connect_tcp("hooks.example.com", 443)
    await backend.connect_tcp("localhost", 443)
    with pytest.raises(Refused):
        await backend.connect_tcp("localhost", 443)
    assert net.dialled == ["127.0.0.1"]


async def test_a_dead_address_gives_way_to_the_next_checked_one() -> None:
    net = Net(["2606:4700::1111", PUBLIC], [PUBLIC])
    net.dead = {"2606:4700::1111"}
    await net.backend().connect_tcp("hooks.example.com", 443)
    assert net.dialled == ["2606:4700::1111", PUBLIC]
    net.dead.add(PUBLIC)
    with pytest.raises(httpcore2.ConnectError):
        await net.backend().connect_tcp("hooks.example.com", 443)
