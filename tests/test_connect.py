"""The stream under a bind: TCP with its options, names resolved anew, TLS that fails closed."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
import trustme
from trio.testing import MockClock

from engine.clock import VirtualClock
from engine.smpp.bind import Bind, BindOptions
from engine.smpp.connect import USER_TIMEOUT_MS, TlsRefused, open_tcp, secure, tls_context
from engine.smpp.events import Answered
from engine.smpp.reconnect import Failure
from tests.scripted_smsc import Network, Recorder, batch
from tests.session_kit import OPTIONS, SUBMIT

HOST = "smsc.example"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trusting(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Our side: trusts `authority` and nobody else."""
    path: Path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return tls_context(ca_file=str(path))


def serving(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def pair_behind(context: ssl.SSLContext) -> Any:
    def pair() -> tuple[trio.abc.Stream, trio.abc.Stream]:
        ours, theirs = trio.testing.memory_stream_pair()
        return ours, trio.SSLStream(theirs, context, server_side=True, https_compatible=True)

    return pair


def bind_to(network: Network, context: ssl.SSLContext) -> Bind:
    return Bind(BindOptions(session=OPTIONS, host=HOST, tls=context), network.connect, VirtualClock())


def test_our_tls_is_1_2_or_newer_and_checks_chain_and_name() -> None:
    """B30: there is no switch for less."""
    context = tls_context()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


async def test_a_bind_over_tls_carries_messages(
    autojump_clock: MockClock, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    async with trio.open_nursery() as nursery:
        network = Network(nursery, pair=pair_behind(serving(authority.issue_cert(HOST))))
        bind, told = bind_to(network, trusting), Recorder()
        nursery.start_soon(bind.run, told)
        link = await told.until_bound()
        await link.submit(batch(["t"], SUBMIT))
        await told.until(lambda: told.tokens(Answered) == ["t"])
        await bind.drain(5.0)


@pytest.mark.parametrize("fault", ["name", "authority", "expired", "plain"])
async def test_a_peer_that_is_not_who_it_should_be_is_never_bound(
    autojump_clock: MockClock, authority: trustme.CA, trusting: ssl.SSLContext, fault: str
) -> None:
    """B30: fails closed, alarms from the first, tries again slowly, and never in plain text."""
    long_ago, soon_after = datetime(2001, 1, 1, tzinfo=UTC), datetime(2002, 1, 1, tzinfo=UTC)
    certificates = {
        "name": authority.issue_cert("other.example"),
        "authority": trustme.CA().issue_cert(HOST),
        "expired": authority.issue_cert(HOST, not_before=long_ago, not_after=soon_after),
    }
    pair = trio.testing.memory_stream_pair if fault == "plain" else pair_behind(serving(certificates[fault]))
    async with trio.open_nursery() as nursery:
        network = Network(nursery, pair=pair)
        bind, told = bind_to(network, trusting), Recorder()
        nursery.start_soon(bind.run, told)
        await trio.sleep(600)
        assert told.bound_at == []
        assert all(peer.received == [] for peer in network.peers)
        assert bind.status.failure is (Failure.NETWORK if fault == "plain" else Failure.TLS)
        assert told.alarms[0][1] == bind.status.failure.value
        if fault != "plain":
            assert len(network.dialled) <= 10
            assert HOST in told.alarms[0][2]
        nursery.cancel_scope.cancel()


async def refuse_by_alert(stream: trio.abc.Stream, context: ssl.SSLContext) -> None:
    """A TLS server that tells why it refuses, as OpenSSL does over a socket and trio's stream does not."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    while data := await stream.receive_some(65536):
        incoming.write(data)
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            await stream.send_all(outgoing.read())
        except ssl.SSLError:
            await stream.send_all(outgoing.read())
            return


async def test_a_peer_that_does_not_accept_our_certificate_is_a_tls_failure(
    autojump_clock: MockClock, authority: trustme.CA, trusting: ssl.SSLContext
) -> None:
    """B30: under TLS 1.3 the refusal comes after our handshake, with the first read."""
    demanding = serving(authority.issue_cert(HOST))
    demanding.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(demanding)
    async with trio.open_nursery() as nursery:

        async def connect() -> trio.abc.Stream:
            ours, theirs = trio.testing.memory_stream_pair()
            nursery.start_soon(refuse_by_alert, theirs, demanding)
            return ours

        bind = Bind(BindOptions(session=OPTIONS, host=HOST, tls=trusting), connect, VirtualClock())
        told = Recorder()
        nursery.start_soon(bind.run, told)
        await told.until(lambda: bool(told.alarms))
        assert bind.status.failure is Failure.TLS
        assert told.bound_at == []
        nursery.cancel_scope.cancel()


async def test_a_handshake_that_fails_closes_the_connection(autojump_clock: MockClock) -> None:
    """B30: nothing of it lives on to be used."""
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(TlsRefused, match=HOST):
        await secure(ours, tls_context(), HOST)
    with pytest.raises(trio.ClosedResourceError):
        await ours.send_all(b"x")


# Loopback, real time.


async def listening(address: str) -> tuple[trio.SocketListener, int]:
    (listener,) = await trio.open_tcp_listeners(0, host=address)
    return listener, listener.socket.getsockname()[1]


@pytest.mark.real
async def test_the_socket_has_the_options_that_find_a_dead_peer() -> None:
    """B1: TCP's own keepalive and user timeout, and no delay for small PDUs."""
    listener, port = await listening("127.0.0.1")
    async with listener, await open_tcp("127.0.0.1", port) as stream:
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == USER_TIMEOUT_MS


class Records(trio.abc.HostnameResolver):
    """Names as a test sets them."""

    def __init__(self, addresses: list[str]) -> None:
        self.addresses = addresses

    async def getaddrinfo(self, host: Any, port: Any, *_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.addresses]

    async def getnameinfo(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


@contextmanager
def resolving(records: Records) -> Iterator[None]:
    before = trio.socket.set_custom_hostname_resolver(records)
    try:
        yield
    finally:
        trio.socket.set_custom_hostname_resolver(before)


@pytest.mark.real
async def test_names_are_resolved_at_every_connect_and_every_address_is_tried() -> None:
    """B29: a changed record leads to the new address; a dead first address does not keep us out."""
    listener, port = await listening("127.0.0.2")
    records = Records(["127.0.0.3"])
    async with listener:
        with resolving(records), trio.fail_after(10):
            with pytest.raises(OSError, match="all attempts"):
                await open_tcp(HOST, port)
            records.addresses = ["127.0.0.3", "127.0.0.2"]
            async with await open_tcp(HOST, port) as stream:
                assert stream.socket.getpeername()[0] == "127.0.0.2"
