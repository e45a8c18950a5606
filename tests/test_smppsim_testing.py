"""smppsim.testing: an operator in a thread, driven by a blocking foreign client and by a trio one."""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import trio

from engine.smpp.pdu import DeliverSm, EnquireLink, GenericNack, Status
from smppsim.behaviour import Behaviour
from smppsim.faults import RefuseBinds
from smppsim.people import Person
from smppsim.scenario import Scenario
from smppsim.scenario_files import load_profile
from smppsim.testing import HeldHandset, Operator, Submit, WaitFailed
from smppsim.testing.threads import Call, SimulatorThread, both
from tests.smppsim_client import Client, bound_to, submit_sm

pytestmark = pytest.mark.real

NUMBER = "+33612345600"
DEADLINE_S = 20


@pytest.fixture
def operator() -> Iterator[Operator]:
    with Operator(within_s=DEADLINE_S) as running:
        yield running


class Blocking:
    """smpplib's client as blocking programs use it."""

    def __init__(self, operator: Operator) -> None:
        self.received: list[Any] = []
        self.answers: list[tuple[int, bytes]] = []
        self.client = smpplib.client.Client(
            operator.host, operator.port, timeout=DEADLINE_S, allow_unknown_opt_params=True
        )
        self.client.set_message_sent_handler(lambda pdu: self.answers.append((pdu.status, pdu.message_id or b"")))
        self.client.set_message_received_handler(lambda pdu: self.received.append(pdu))
        self.client.set_error_pdu_handler(lambda pdu: None)  # the one above has seen it
        self.operator = operator
        self.client.connect()

    def bind(self) -> None:
        self.client.bind_transceiver(system_id=self.operator.system_id, password=self.operator.password)

    def send(self, text: str, destination: str = "33612345600") -> None:
        self.client.send_message(
            source_addr="38200",
            destination_addr=destination,
            short_message=text.encode(),
            registered_delivery=True,
        )

    def read(self) -> None:
        self.client.read_once()


@pytest.fixture
def connect(operator: Operator) -> Iterator[Callable[[], Blocking]]:
    """Clients, closed at the end however their links have ended."""
    clients: list[Blocking] = []

    def one() -> Blocking:
        clients.append(Blocking(operator))
        return clients[-1]

    yield one
    for each in clients:
        each.client.disconnect()


@pytest.fixture
def client(connect: Callable[[], Blocking]) -> Blocking:
    blocking = connect()
    blocking.bind()
    return blocking


# -- blocking -------------------------------------------------------------------------------------------------


def test_a_submit_is_read_answered_and_receipted_as_the_test_says(operator: Operator, client: Blocking) -> None:
    operator.behave(receipts="never")
    operator.hold()
    client.send("one")
    client.send("two")
    first, second = operator.wait_submit(), operator.wait_submit()
    assert (first.text, first.source, first.destination) == ("one", "38200", "33612345600")
    second.answer(Status.ESME_RTHROTTLED)
    client.read()
    first.answer()
    client.read()
    assert client.answers == [(0x58, b""), (0, first.message_id().encode())]
    assert second.message_id() == ""
    first.receipt("undeliverable", err="021", network_error=(3, 21))
    client.read()
    (receipt,) = client.received
    assert b"stat:UNDELIV err:021" in receipt.short_message
    assert operator.wait_pdu("deliver_sm_resp").header.command_status == 0
    with pytest.raises(LookupError, match="not held"):
        first.answer()
    with pytest.raises(LookupError, match="only an accepted submit"):
        second.receipt()


def test_submits_are_waited_for_by_number_and_given_out_once(operator: Operator, client: Blocking) -> None:
    for number, text in (("33612345601", "a"), ("33612345602", "b"), ("33612345601", "c")):
        client.send(text, number)
    assert operator.wait_submit("+33612345602").text == "b"
    assert [operator.wait_submit("*01").text for _ in range(2)] == ["a", "c"]
    assert [operator.wait_submit().text for _ in range(3)] == ["a", "b", "c"]
    assert [submit.text for submit in operator.submits()] == ["a", "b", "c"]
    with pytest.raises(WaitFailed):
        operator.wait_submit(within_s=0.01)


def test_a_failed_wait_shows_who_is_bound_and_what_came_in(operator: Operator, client: Blocking) -> None:
    client.send("hello")
    client.read()
    with pytest.raises(WaitFailed) as failed:
        operator.wait_submit("999*", within_s=0.05)
    said = str(failed.value)
    assert said.startswith("waited 0.05 s for the next submit_sm to 999*\nbound: #1 demo bound_trx\nPDUs:\n")
    assert "<- bind_transceiver 2 system_id=demo password=********" in said
    assert "-> bind_transceiver_resp 2 ESME_ROK" in said
    assert "<- submit_sm 3 " in said
    assert "short_message=hello" in said


def test_silence_of_one_command_can_be_expected(operator: Operator, client: Blocking) -> None:
    operator.expect_silence("submit_sm", 0.02)
    client.send("late")
    operator.wait_submit()
    operator.expect_silence("submit_sm", 0.02)


def test_submits_may_be_refused_and_binds_and_everything_reset(
    operator: Operator, client: Blocking, connect: Callable[[], Blocking]
) -> None:
    operator.refuse("RMSGQFUL", "336*")
    client.send("refused")
    client.read()
    assert client.answers == [(Status.ESME_RMSGQFUL, b"")]
    operator.refuse(0, "336*")
    client.send("taken")
    client.read()
    assert client.answers[-1][0] == 0
    operator.cause(RefuseBinds(status=Status.ESME_RBINDFAIL))
    with pytest.raises(smpplib.exceptions.PDUError, match="13"):
        connect().bind()
    assert operator.cause({"kind": "throttle", "for_s": 60}) == 1
    operator.reset()
    operator.wait_unbound()
    assert (operator.stats().submits, operator.submits(), operator.sessions()) == (0, [], [])


def test_handsets_read_write_and_are_given_to_people(operator: Operator, client: Blocking) -> None:
    operator.behave(receipts="never")
    handset = operator.handset("+33 6 12 34 56 00")
    handset.switch("off")
    client.send("Your code is 482913")
    client.read()
    assert handset.messages() == []
    handset.switch("on")
    assert handset.wait()[0].text == "Your code is 482913"
    assert handset.wait_code() == "482913"
    handset.reply("Merci 🙏 " * 20, cut="udh8")
    for _ in range(3):
        client.read()
    assert [pdu.esm_class for pdu in client.received] == [0x40] * 3
    handset.give_to({"like": "chatty"})
    client.send("Your code is 482913")
    client.read()
    client.read()
    assert client.received[-1].short_message == b"OUI 482 913"
    operator.place(Person.model_validate({"number": "1*", "like": "leaves"}))
    handset.give_to(None)
    assert operator.deliveries() == {(NUMBER, "Your code is 482913"): 2}


def test_links_are_cut_and_anything_is_written_on_them(operator: Operator, client: Blocking) -> None:
    assert operator.send(EnquireLink(), 77) == 1
    client.read()
    assert operator.wait_pdu("enquire_link_resp").header.sequence_number == 77
    operator.deliver(DeliverSm(source_addr=b"33612345600", destination_addr=b"38200", short_message=b"MO"))
    client.read()
    assert client.received[0].short_message == b"MO"
    assert operator.unbind() == 1
    client.read()
    assert operator.drop("reset") == 1
    operator.wait_unbound()
    with pytest.raises(smpplib.exceptions.ConnectionError):
        client.read()


def test_many_sessions_are_waited_for_and_told_apart(
    operator: Operator, client: Blocking, connect: Callable[[], Blocking]
) -> None:
    connect().bind()
    one, two = operator.wait_bound(2)
    assert (one.account, one.state, one.interface_version) == ("demo", "bound_trx", 0x34)
    assert operator.drop(session=two.session) == 1
    operator.wait_until(lambda simulator: len(simulator.sessions) == 1, "one session less")
    assert [each.session for each in operator.sessions()] == [one.session]
    assert len(operator.pdus("bind_transceiver", "in")) == 2
    assert {row.session for row in operator.pdus(session=two.session)} == {two.session}


def test_octets_that_are_no_pdu_reach_the_client(operator: Operator) -> None:
    with socket.create_connection((operator.host, operator.port), timeout=DEADLINE_S) as raw:
        operator.wait_until(lambda simulator: simulator.sessions)
        operator.send_octets(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1")


def test_its_scenario_may_be_a_profile_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "operator.toml"
    file.write_text('[[accounts]]\nsystem_id = "mine"\npassword = "secret08"\n')
    with Operator(file) as operator:
        assert operator.system_id == "mine"
    with Operator("healthy") as operator:
        assert operator.wait_until(lambda simulator: simulator.smsc.scenario) == load_profile("healthy")
    with pytest.raises(LookupError, match="healthy"):
        Operator("healthiest")


def test_its_scenario_may_be_a_model_or_data_and_mistakes_are_said() -> None:
    accounts = [{"system_id": "mine", "password": "secret08", "behaviour": {"receipts": "never"}}]
    for scenario in ({"accounts": accounts}, Scenario.model_validate({"accounts": accounts})):
        with Operator(scenario, seed=3) as operator:
            assert (operator.system_id, operator.password) == ("mine", "secret08")
            behaviour = operator.wait_until(lambda simulator: simulator.account("mine").behaviour)
            assert behaviour == Behaviour(receipts="never")
            with pytest.raises(KeyError):
                operator.behave("nobody", response="hold")
    with pytest.raises(ValueError, match="acounts"):
        Operator({"acounts": []})


# -- under trio -----------------------------------------------------------------------------------------------


async def trio_client(operator: Operator) -> Client:
    return await bound_to(Client(await trio.open_tcp_stream(operator.host, operator.port)))


async def test_the_same_calls_are_awaited_under_trio(operator: Operator) -> None:
    client = await trio_client(operator)
    await operator.hold.trio()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.send, submit_sm("hello"))
        submit = await operator.wait_submit.trio()
    await submit.answer.trio()
    assert await submit.message_id.trio()
    handset = operator.handset(NUMBER)
    assert (await handset.wait.trio())[0].text == "hello"
    await operator.send.trio(GenericNack(), 0, Status.ESME_RINVCMDID)
    await client.stream.aclose()
    with pytest.raises(WaitFailed, match="bound: nobody"):
        await operator.wait_bound.trio(within_s=0.05)


async def test_a_broken_silence_shows_what_came(operator: Operator) -> None:
    client = await trio_client(operator)

    async def listen() -> None:
        with pytest.raises(AssertionError, match=r"(?s)one enquire_link came within 20 s.*<- enquire_link 7"):
            await operator.expect_silence.trio("enquire_link", DEADLINE_S)
        done.set()

    done = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen)
        while not done.is_set():
            await client.send(EnquireLink(), 7)
            await trio.sleep(0.01)
    await client.stream.aclose()


async def test_a_cancelled_wait_lets_go_at_once(operator: Operator) -> None:
    with trio.move_on_after(0.02) as scope:
        await operator.wait_submit.trio(within_s=0.5)
    assert scope.cancelled_caught


async def test_a_blocking_call_in_a_trio_test_says_what_to_do(operator: Operator) -> None:
    with pytest.raises(RuntimeError, match=r"await its \.trio\(\)"):
        operator.sessions()


@pytest.mark.parametrize("held", [Operator, Submit, HeldHandset])
def test_every_call_is_documented_and_exists_for_both(held: type) -> None:
    calls = {name: value for name, value in vars(held).items() if isinstance(value, both)}
    assert calls
    assert all(value.__doc__ for value in calls.values())
    public = {name for name, value in vars(held).items() if inspect.isfunction(value) and not name.startswith("_")}
    assert public <= {"handset"}, "whatever touches the simulator runs in its thread"


# -- the thread -----------------------------------------------------------------------------------------------


def test_a_simulator_that_breaks_is_not_silent() -> None:
    thread = SimulatorThread(Scenario(), 0)
    thread.start()

    async def break_it() -> None:
        thread.simulator.smsc.agenda.at(0, lambda _argument, _now: 1 / 0, None)
        thread.simulator.server.stir()

    def go_on() -> None:
        for _ in range(1000):
            Call(thread, break_it)()

    with pytest.raises(RuntimeError, match="has ended"):
        go_on()
    with pytest.raises(RuntimeError, match="has failed") as failed:
        thread.stop()
    assert failed.value.__cause__ is not None
