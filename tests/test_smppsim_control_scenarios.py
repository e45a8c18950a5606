"""smppsim.control.scenarios: another day begins over HTTP, on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import Status
from smppsim.control import control_app
from smppsim.scenario import AccountSettings, Scenario
from smppsim.scenario_files import profiles
from smppsim.simulator import Simulator
from tests.smppsim_client import bound, submit_sm

TOML = {"content-type": "application/toml"}


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    account = AccountSettings.model_validate(
        {"system_id": "demo", "password": "demo", "numbers": ["38*"], "behaviour": {"receipts": "never"}}
    )
    simulator = Simulator(Scenario(accounts=(account,)))
    await nursery.start(simulator.run)
    return simulator


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=control_app(simulator))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
        yield client


async def test_a_profile_is_loaded_and_the_accounts_stay(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    assert (await http.get("/profiles")).json() == profiles()
    client = await bound(simulator)
    await client.ask(submit_sm())
    shown = (await http.post("/profiles/slow")).json()
    assert list(shown) == ["demo"]
    assert shown["demo"]["behaviour"]["receipts"] == "as_asked"  # the account's own behaviour is over
    assert await client.ended()
    assert (simulator.stats.accepted, simulator.pdus, simulator.smsc.handsets.numbers()) == (0, [], [])
    client = await bound(simulator)
    simulator.handset("+33612345600").reply("still ours", "38200")
    assert (await client.deliver_sm()).short_message == b"still ours"
    assert (await http.post("/profiles/splendid")).status_code == 404


async def test_a_scenario_of_its_own_brings_its_accounts(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    text = """
[behaviour]
answers = [{ status = "ESME_RTHROTTLED" }]
[[accounts]]
system_id = "demo"
password = "another"
[[accounts]]
system_id = "second"
password = "demo"
[accounts.behaviour]
answers = [{ status = "ESME_RINVDSTADR" }]
"""
    shown = (await http.put("/scenario", content=text, headers=TOML)).json()
    assert list(shown) == ["demo", "second"]
    for name, password, status in (
        ("demo", "another", Status.ESME_RTHROTTLED),
        ("second", "demo", Status.ESME_RINVDSTADR),
    ):
        client = await bound(simulator, system_id=name, password=password)
        assert (await client.ask(submit_sm()))[0].command_status == status
    assert not simulator.account("demo").admits(b"demo")
    assert (await http.put("/scenario", content="[link]\nrate = 1", headers=TOML)).status_code == 200
    assert list(simulator.smsc.accounts) == ["demo", "second"]
    await http.post("/reset")
    assert simulator.account("second").link.rate == 1


async def test_what_is_wrong_with_a_scenario_is_told_by_line_and_nothing_happens(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)
    for text, line, field in (("[link]\nrate = 0", 2, "link.rate"), ("a = ", 1, ""), ("\n\nb = 1", 3, "b")):
        answer = await http.put("/scenario", content=text, headers=TOML)
        assert answer.status_code == 422
        (mistake,) = answer.json()["detail"]
        assert (mistake["line"], mistake["field"]) == (line, field)
    assert (await client.ask(submit_sm()))[0].command_status == 0
    assert (await http.put("/scenario", content="#" * 300_000, headers=TOML)).status_code == 422


async def test_the_schedule_of_the_new_scenario_is_followed_and_the_old_one_is_over(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    plan = '[[schedule]]\nat = {}\nfault = {{ kind = "{}", for_s = 5 }}'
    for text in (plan.format(10, "refuse_connections"), plan.format(20, "throttle")):
        assert (await http.put("/scenario", content=text, headers=TOML)).status_code == 200
    await trio.sleep(11)
    assert not simulator.refuses_connections
    client = await bound(simulator)
    assert (await client.ask(submit_sm(registered_delivery=0)))[0].command_status == 0
    await trio.sleep(10)
    assert (await client.ask(submit_sm()))[0].command_status == Status.ESME_RTHROTTLED
