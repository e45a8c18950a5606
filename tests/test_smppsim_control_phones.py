"""smppsim.control.phones: phones switched and handsets given to persons over HTTP, on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx2
import pytest
import trio
from trio.testing import MockClock

from smppsim.control import control_app
from smppsim.simulator import Simulator
from tests.smppsim_client import bound, submit_sm

PHONE = "/handsets/+33612345600"


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


@pytest.fixture
async def http(simulator: Simulator) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app=control_app(simulator))
    async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
        yield client


async def test_a_phone_is_switched_off_and_on_again(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)
    shown = (await http.patch(PHONE, json={"state": "off"})).json()
    assert (shown["state"], shown["waiting"]) == ("off", 0)
    await client.ask(submit_sm("hello"))
    assert (await http.get(PHONE)).json() == {
        "number": "+33612345600",
        "state": "off",
        "waiting": 1,
        "parts": 0,
        "person": None,
    }
    await http.patch(PHONE, json={"state": "on"})
    await client.deliver_sm()
    assert (await http.get(PHONE)).json()["parts"] == 1


async def test_a_pattern_of_phones_is_switched_for_a_while(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    await http.patch("/handsets/336*", json={"state": "full", "for_s": 60})
    assert (await http.get(PHONE)).json()["state"] == "full"
    await trio.sleep(60)
    assert (await http.get(PHONE)).json()["state"] == "on"
    assert (await http.patch(PHONE, json={"state": "broken"})).status_code == 422


async def test_a_handset_is_given_to_a_person_and_taken_back(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)
    assert "obliging" in (await http.get("/people")).json()
    assert (await http.get(f"{PHONE}/person")).status_code == 404
    await http.post("/people", json={"number": "336*", "like": "leaves"})
    given = await http.put(f"{PHONE}/person", json={"like": "obliging", "pace": 3})
    assert given.json() == (await http.get(f"{PHONE}/person")).json()
    assert (await http.get(PHONE)).json()["person"] == "obliging"
    await client.ask(submit_sm("code 482913", registered_delivery=0))
    assert ((await client.deliver_sm()).short_message, trio.current_time()) == (b"482913", 3)
    assert (await http.delete(f"{PHONE}/person")).status_code == 204
    await client.send(submit_sm("code 482913", registered_delivery=0))
    await client.receive()
    assert (await client.deliver_sm()).short_message == b"STOP"
    wrong = await http.put(f"{PHONE}/person", json={"reactions": [{"says": "{kode}"}]})
    assert (wrong.status_code, "knows only the fields" in wrong.text) == (422, True)
