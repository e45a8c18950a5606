"""smppsim.server and cli over real TCP, and a foreign client: smpplib's own, in a thread."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx2
import pytest
import smpplib.client
import smpplib.consts
import smpplib.gsm
import smpplib.pdu
import trio
import trio.testing
from typer.testing import CliRunner

from engine.smpp.pdu import BindReceiver, BindTransceiver, EnquireLink, EnquireLinkResp, Outbind, Status, SubmitSmResp
from smppsim.behaviour import Cut
from smppsim.cli import app
from smppsim.control import control_app
from smppsim.faults import Drop, RefuseConnections
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, submit_sm

pytestmark = pytest.mark.real
DEADLINE_S = 30
SERVE = [sys.executable, "-c", "from smppsim.cli import main; main()", "serve", "--port", "0"]


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


async def bound_by_tcp(port: int) -> Client:
    client = Client(await trio.open_tcp_stream("127.0.0.1", port))
    header, _ = await client.ask(BindTransceiver(b"demo", b"demo"))
    assert header.command_status == 0
    return client


async def test_submits_and_receipts_travel_over_tcp(simulator: Simulator) -> None:
    client = await bound_by_tcp(await simulator.listen())
    assert simulator.sessions[0].peer.startswith("127.0.0.1:")
    _, answer = await client.ask(submit_sm())
    assert isinstance(answer, SubmitSmResp)
    assert answer.message_id in (await client.deliver_sm()).short_message
    await client.stream.aclose()
    with trio.fail_after(DEADLINE_S):
        await simulator.until(lambda: not simulator.sessions)


async def test_the_simulator_listens_on_loopback_only(simulator: Simulator) -> None:
    port = await simulator.listen()
    with socket.create_connection(("127.0.0.1", port)) as loopback:
        assert loopback.getpeername()[0] == "127.0.0.1"
    with pytest.raises(ConnectionRefusedError):
        # Any other address of this machine: the whole 127/8 block is ours, but only 127.0.0.1 is listened on.
        socket.create_connection(("127.0.0.2", port))


async def test_a_closed_link_ends_with_fin_and_a_reset_one_with_rst(simulator: Simulator) -> None:
    port = await simulator.listen()
    client = await bound_by_tcp(port)
    simulator.cause(Drop(how=Cut.close))
    assert await client.ended()
    await client.stream.aclose()
    client = await bound_by_tcp(port)
    simulator.cause(Drop(how=Cut.reset))
    with pytest.raises(trio.BrokenResourceError):
        await client.frame()
    await client.stream.aclose()


async def test_what_was_answered_before_a_close_arrives_although_more_was_sent(simulator: Simulator) -> None:
    simulator.behave(destination="*9", drop={"at": "after_response"})
    simulator.behave(receipts="never")
    client = await bound_by_tcp(await simulator.listen())
    await client.send(submit_sm(destination=b"33612345609"))
    for _ in range(50):
        await client.send(submit_sm())
    assert isinstance((await client.receive())[1], SubmitSmResp)
    assert await client.ended()
    await client.stream.aclose()


async def test_a_client_that_does_not_read_is_not_read_either(simulator: Simulator) -> None:
    """H4: TCP pushes back and memory stays flat."""
    client = await bound_by_tcp(await simulator.listen())
    await client.send(EnquireLink())
    batch = b"".join([bytes.fromhex("0000001000000015") + bytes(4) + b"\0\0\0\1"] * 4000)
    with trio.move_on_after(0.5) as patience:
        while True:
            await client.stream.send_all(batch)
    assert patience.cancelled_caught
    assert len(simulator.sessions[0].outbox) < 10_000
    await trio.aclose_forcefully(client.stream)


async def test_refused_connections_and_garbage_leave_the_others_alone(simulator: Simulator) -> None:
    port = await simulator.listen()
    client = await bound_by_tcp(port)
    for garbage in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01\x02\x00" * 40, bytes(400)):
        scanner = await trio.open_tcp_stream("127.0.0.1", port)
        await scanner.send_all(garbage)
        with trio.fail_after(DEADLINE_S):
            while await scanner.receive_some():
                pass
        await scanner.aclose()
    simulator.cause(RefuseConnections(for_s=1e6))
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(OSError, match="failed"):
        await trio.open_tcp_stream("127.0.0.1", port)
    assert (await client.ask(EnquireLink()))[1] == EnquireLinkResp()
    await client.stream.aclose()


async def test_a_port_that_refused_connections_comes_back(simulator: Simulator) -> None:
    port = await simulator.listen()
    simulator.cause(RefuseConnections(for_s=3600))
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(OSError, match="failed"):
        await trio.open_tcp_stream("127.0.0.1", port)
    simulator.cause(RefuseConnections(for_s=0))
    await trio.testing.wait_all_tasks_blocked()
    client = await bound_by_tcp(port)
    await client.stream.aclose()


async def test_the_simulator_calls_a_client_and_asks_it_to_bind(nursery: trio.Nursery, simulator: Simulator) -> None:
    """B24: outbind, as an SMSC does it: it connects to the client, which then binds as a receiver."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    simulator.handset("+33612345600").reply("waiting", "38200")
    await simulator.outbind("127.0.0.1", listener.socket.getsockname()[1], password="secret08")
    with trio.fail_after(DEADLINE_S):
        client = Client(await listener.accept())
        assert (await client.receive())[1] == Outbind(b"SMPPSIM", b"secret08")
        await client.send(submit_sm())
        assert (await client.receive())[0].command_status == Status.ESME_RINVBNDSTS
        assert (await client.ask(BindReceiver(b"demo", b"demo")))[0].command_status == 0
        assert (await client.deliver_sm()).short_message == b"waiting"
    assert simulator.pdus[0].pdu == Outbind(b"SMPPSIM", b"*" * 8)
    await client.stream.aclose()
    await listener.aclose()


async def test_a_client_is_called_over_the_control_api(simulator: Simulator) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    transport = httpx2.ASGITransport(app=control_app(simulator))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as http:
        call = {"host": "127.0.0.1", "port": listener.socket.getsockname()[1], "password": "secret08"}
        assert (await http.post("/outbind", json=call)).status_code == 204
        with trio.fail_after(DEADLINE_S):
            client = Client(await listener.accept())
            assert (await client.receive())[1] == Outbind(b"SMPPSIM", b"secret08")
        await client.stream.aclose()
        await listener.aclose()
        assert (await http.post("/outbind", json=call)).status_code == 409


# -- a foreign client -----------------------------------------------------------------------------------------


def smpplib_run(port: int, text: str) -> tuple[list[str], list[bytes]]:
    """Bind, send `text` in parts, take a receipt for each, unbind; ids of the responses and of the receipts."""
    ids: list[str] = []
    receipts: list[bytes] = []
    client = smpplib.client.Client("127.0.0.1", port, timeout=DEADLINE_S, allow_unknown_opt_params=True)
    client.set_message_sent_handler(lambda pdu: ids.append(pdu.message_id.decode()))

    def received(pdu: smpplib.pdu.PDU) -> int:
        receipts.append(pdu.receipted_message_id)
        return int(smpplib.consts.SMPP_ESME_ROK)

    client.set_message_received_handler(received)
    client.connect()
    client.bind_transceiver(system_id="demo", password="demo")
    parts, coding, esm_class = smpplib.gsm.make_parts(text)
    for part in parts:
        client.send_message(
            source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
            source_addr="SCEAU",
            dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
            dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
            destination_addr="33612345600",
            short_message=part,
            data_coding=coding,
            esm_class=esm_class,
            registered_delivery=True,
        )
    while len(receipts) < len(parts):
        client.read_once()
    client.unbind()
    client.disconnect()
    return ids, receipts


@pytest.mark.parametrize("text", ["A text of three parts. " * 18, "Ein Text mit Emoji 👍 und ç. " * 6, "short"])
async def test_smpplibs_client_binds_sends_a_long_message_and_gets_its_receipts(
    simulator: Simulator, text: str
) -> None:
    simulator.behave(receipt_delay=0.01)
    port = await simulator.listen()
    with trio.fail_after(DEADLINE_S):
        ids, receipts = await trio.to_thread.run_sync(partial(smpplib_run, port, text))
    assert sorted(ids) == sorted(receipt.decode().rstrip("\0") for receipt in receipts)
    (message,) = simulator.handset("+33612345600").messages
    assert message.text == text
    assert message.parts == len(ids)
    assert simulator.stats.unbinds == 1


# -- the command ----------------------------------------------------------------------------------------------


async def test_serve_says_how_to_reach_it_and_ends_on_an_interrupt(tmp_path: Path) -> None:
    settings = tmp_path / "operator.toml"
    settings.write_text('[[accounts]]\nsystem_id = "demo"\npassword = "demo"\n[accounts.link]\nrate = 1\n')
    # Whoever runs the tests in the background of a script has interrupts ignored: that is not for the server to know.
    command = ["env", "--default-signal=INT", *SERVE, "--scenario", str(settings), "--account", "second"]
    process = subprocess.Popen(command, stdout=-1, stderr=-1, text=True)  # noqa: ASYNC220 - it only forks
    with process:
        assert process.stdout is not None
        at = json.loads(await trio.to_thread.run_sync(process.stdout.readline))
        first, second = at["accounts"]
        assert first == {"system_id": "demo", "password": "demo"}
        assert (second["system_id"], len(second["password"])) == ("second", 8)
        client = await bound_by_tcp(at["port"])
        await client.ask(submit_sm("code 004711", registered_delivery=0))
        async with httpx2.AsyncClient(base_url=at["http"], trust_env=False) as http:
            messages = (await http.get("/handsets/%2B33612345600/messages", params={"wait_s": 20})).json()
            assert (messages[0]["text"], messages[0]["code"]) == ("code 004711", "004711")
            assert "swagger" in (await http.get("/docs")).text
        await client.stream.aclose()
        process.send_signal(signal.SIGINT)
        _, errors = await trio.to_thread.run_sync(process.communicate)
    assert (process.returncode, errors) == (0, "")


def test_a_mistake_in_the_settings_names_its_field(tmp_path: Path) -> None:
    for text, complaint in (
        ('[[accounts]]\nsystem_id = "demo"\n[accounts.behaviour]\nrespnse = "never"\n', "accounts.0.behaviour.respnse"),
        ("accounts = nonsense", "operator.toml:1: "),
    ):
        (tmp_path / "operator.toml").write_text(text)
        result = CliRunner().invoke(app, ["serve", "--scenario", str(tmp_path / "operator.toml")])
        assert result.exit_code == 2
        assert complaint in result.stderr


def test_a_port_that_is_taken_is_said_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = CliRunner().invoke(app, ["serve", "--port", str(taken.getsockname()[1])])
    assert result.exit_code == 1
    assert result.stderr.startswith("smppsim: ")
