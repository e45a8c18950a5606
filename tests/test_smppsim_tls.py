"""smppsim.tls: the engine binds to the simulator over TLS, on real sockets, and trusts only what it is told to."""

from __future__ import annotations

import hashlib
import json
import socket
import ssl
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme
from typer.testing import CliRunner

from engine.clock import SystemClock
from engine.smpp.bind import Bind, BindOptions
from engine.smpp.connect import TlsRefused, open_tcp, secure, tls_context
from engine.smpp.events import Answered
from engine.smpp.pdu import BindTransceiver, EnquireLink, EnquireLinkResp, SubmitSmResp
from smppsim.behaviour import Cut
from smppsim.cli import app
from smppsim.faults import Drop
from smppsim.scenario import AccountSettings, Scenario
from smppsim.simulator import Simulator
from smppsim.tls import Certificate, self_signed, server_context
from tests.scripted_smsc import Recorder, batch
from tests.session_kit import OPTIONS, SUBMIT
from tests.smppsim_client import Client, submit_sm

pytestmark = pytest.mark.real
DEADLINE_S = 30
SCENARIO = Scenario(accounts=(AccountSettings(system_id="sceau", password="secret"),))


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator(SCENARIO)
    await nursery.start(simulator.run)
    return simulator


def made() -> Certificate:
    return self_signed(SystemClock().now())


async def bound_by_tls(port: int, certificate: Certificate, tmp_path: Path) -> Client:
    pem = tmp_path / "smppsim.pem"
    pem.write_bytes(certificate.pem)
    stream = await secure(await open_tcp("127.0.0.1", port), tls_context(ca_file=str(pem)), "localhost")
    client = Client(stream)  # type: ignore[arg-type]  # it never half-closes
    header, _ = await client.ask(BindTransceiver(b"sceau", b"secret"))
    assert header.command_status == 0
    return client


async def test_the_engine_binds_over_tls_and_sends(simulator: Simulator, tmp_path: Path) -> None:
    certificate = made()
    port = await simulator.listen(tls=certificate.context)
    pem = tmp_path / "smppsim.pem"
    pem.write_bytes(certificate.pem)
    options = BindOptions(session=OPTIONS, host="localhost", tls=tls_context(ca_file=str(pem)))
    bind, told = Bind(options, partial(open_tcp, "127.0.0.1", port), SystemClock()), Recorder()
    with trio.fail_after(DEADLINE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bind.run, told)
            link = await told.until_bound()
            await link.submit(batch(["t"], SUBMIT))
            await told.until(lambda: told.tokens(Answered) == ["t"])
            await bind.drain(5.0)
            nursery.cancel_scope.cancel()
    assert simulator.stats.accepted == 1


async def test_a_certificate_that_is_not_trusted_is_not_bound_to(simulator: Simulator) -> None:
    """B30: the simulator's certificate, not trusted."""
    port = await simulator.listen(tls=made().context)
    with pytest.raises(TlsRefused):
        await secure(await open_tcp("127.0.0.1", port), tls_context(), "localhost")
    with trio.fail_after(DEADLINE_S):
        await simulator.until(lambda: simulator.stats.connections == 1 and not simulator.sessions)
    assert simulator.stats.binds == 0


async def test_a_name_that_the_certificate_does_not_have_is_not_bound_to(simulator: Simulator, tmp_path: Path) -> None:
    certificate = made()
    port = await simulator.listen(tls=certificate.context)
    (tmp_path / "ca.pem").write_bytes(certificate.pem)
    stream = await open_tcp("127.0.0.1", port)
    with pytest.raises(TlsRefused):
        await secure(stream, tls_context(ca_file=str(tmp_path / "ca.pem")), "smsc.example")


async def test_links_under_tls_end_with_what_was_written_before_or_with_a_reset(
    simulator: Simulator, tmp_path: Path
) -> None:
    certificate = made()
    port = await simulator.listen(tls=certificate.context)
    client = await bound_by_tls(port, certificate, tmp_path)
    simulator.behave(drop={"at": "after_response"}, receipts="never")
    with trio.fail_after(DEADLINE_S):
        assert isinstance((await client.ask(submit_sm()))[1], SubmitSmResp)
        assert await client.ended()
        await client.stream.aclose()
        client = await bound_by_tls(port, certificate, tmp_path)
        simulator.cause(Drop(how=Cut.reset))
        with pytest.raises(trio.BrokenResourceError):
            await client.frame()
        await client.stream.aclose()


async def test_plain_octets_on_a_tls_port_hurt_nobody(simulator: Simulator, tmp_path: Path) -> None:
    """A13: the other way round, SMPP where TLS is expected."""
    certificate = made()
    port = await simulator.listen(tls=certificate.context)
    with trio.fail_after(DEADLINE_S):
        plain = Client(await trio.open_tcp_stream("127.0.0.1", port))
        await plain.send(EnquireLink())
        while await plain.stream.receive_some():
            pass
        await plain.stream.aclose()
        client = await bound_by_tls(port, certificate, tmp_path)
        assert (await client.ask(EnquireLink()))[1] == EnquireLinkResp()
        await client.stream.aclose()


def serve(*options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "smppsim", "serve", "--port", "0", "--json", "--account", "sceau:secret", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def peer_certificate(port: int, context: ssl.SSLContext) -> bytes:
    with (
        socket.create_connection(("127.0.0.1", port), DEADLINE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as tls,
    ):
        certificate = tls.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate


def test_the_command_makes_a_certificate_says_its_fingerprint_and_writes_it_where_told(tmp_path: Path) -> None:
    pem = tmp_path / "cert.pem"
    with serve("--tls-pem", str(pem)) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            shown = peer_certificate(told["port"], ssl.create_default_context(cafile=str(pem)))
        finally:
            process.terminate()
    assert told["tls"] == {"fingerprint": hashlib.sha256(shown).digest().hex(":").upper(), "certificate": str(pem)}
    assert b"PRIVATE" not in pem.read_bytes()


def test_the_command_takes_a_certificate_from_files(tmp_path: Path) -> None:
    authority = trustme.CA()
    leaf = authority.issue_cert("localhost")
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(ca)
    leaf.cert_chain_pems[0].write_to_path(cert)
    leaf.private_key_pem.write_to_path(key)
    with serve("--tls-cert", str(cert), "--tls-key", str(key)) as process:
        try:
            assert process.stdout is not None
            told = json.loads(process.stdout.readline())
            assert peer_certificate(told["port"], ssl.create_default_context(cafile=str(ca)))
        finally:
            process.terminate()


def test_files_that_are_no_certificate_end_the_command_with_a_line(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("nothing")
    answer = CliRunner().invoke(app, ["serve", "--port", "0", "--tls-cert", str(tmp_path / "cert.pem")])
    assert answer.exit_code == 2
    assert answer.output.startswith("TLS: ")


def test_tls_is_1_2_or_newer(tmp_path: Path) -> None:
    leaf = trustme.CA().issue_cert("localhost")
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "both.pem")
    assert server_context(tmp_path / "both.pem").minimum_version == ssl.TLSVersion.TLSv1_2
