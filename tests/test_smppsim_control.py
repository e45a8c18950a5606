"""smppsim.control: the HTTP control API, called in process on virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import DeliverSm, EnquireLink, GenericNack, Status, commands, encode
from smppsim.control import control_app
from smppsim.simulator import Simulator
from tests.smppsim_client import bound, submit_sm


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


async def test_a_message_is_read_and_answered_over_http(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)
    await client.ask(submit_sm("Your code is 004711", registered_delivery=0))
    (message,) = (await http.get("/handsets/+33612345600/messages")).json()
    assert (message["text"], message["code"], message["complete"]) == ("Your code is 004711", "004711", True)
    answer = await http.post("/handsets/+33612345600/send", json={"text": "004711", "to": "38200"})
    assert (answer.status_code, answer.json()) == (202, {"parts": 1})
    assert (await client.deliver_sm()).short_message == b"004711"
    assert (await http.get("/handsets")).json() == ["+33612345600"]
    assert (await http.get("/deliveries")).json() == [
        {"number": "+33612345600", "text": "Your code is 004711", "count": 1}
    ]


async def test_reading_an_inbox_may_wait_for_a_message(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    assert (await http.get("/handsets/+33612345600/messages", params={"wait_s": 5})).json() == []
    assert trio.current_time() == 5
    simulator.behave(receipt_delay=7)
    client = await bound(simulator)
    await client.ask(submit_sm())
    (message,) = (await http.get("/handsets/+33612345600/messages", params={"wait_s": 30})).json()
    assert (message["text"], trio.current_time()) == ("hello", 12)


async def test_a_reply_that_cannot_go_is_refused(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    for body, status in (
        ({"text": "whom?"}, 409),
        ({"text": "é" * 1999, "to": "38200"}, 422),
        ({"text": "x", "to": "38200", "account": "nobody"}, 404),
        ({"txt": "x"}, 422),
    ):
        assert (await http.post("/handsets/+33612345600/send", json=body)).status_code == status


async def test_behaviour_is_read_and_changed_at_run_time(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)
    change: dict[str, Any] = {"destination": "*9", "behaviour": {"answers": [{"status": "ESME_RINVDSTADR"}]}}
    assert (await http.patch("/behaviour", json=change)).status_code == 200
    change = {"account": "demo", "behaviour": {"receipts": "never"}, "link": {"rate": 1}}
    shown = (await http.patch("/behaviour", json=change)).json()["demo"]
    assert (shown["link"]["rate"], shown["behaviour"]["receipts"]) == (1, "never")
    assert shown["unusual"] == {"behaviour": {"receipts": "never"}, "link": {"rate": 1}}
    assert shown["rules"] == [{"destination": "*9", "behaviour": {"answers": [{"status": 0x0B}]}}]
    assert shown["rules"][0]["destination"] == "*9"
    assert (await client.ask(submit_sm(destination=b"33612345609")))[0].command_status == Status.ESME_RINVDSTADR
    assert (await client.ask(submit_sm()))[0].command_status == Status.ESME_RTHROTTLED
    for wrong in ({"behaviour": {"nonsense": 1}}, {"link": {"rate": 0}}, {"destination": "*", "behaviour": {"x": 1}}):
        assert (await http.patch("/behaviour", json=wrong)).status_code == 422
    assert (await http.patch("/behaviour", json={"account": "nobody", "link": {"rate": 2}})).status_code == 404
    assert (await http.get("/behaviour")).json()["demo"] == shown


async def test_faults_are_caused_over_http(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)

    async def cause(**fault: object) -> httpx2.Response:
        return await http.post("/faults", json=fault)

    answer = await cause(kind="raw", hex=encode(GenericNack(), 0, 8).hex())
    assert (answer.status_code, answer.json()) == (202, {"hit": 1})
    assert (await client.receive())[0].command_id == commands.GENERIC_NACK
    await cause(kind="throttle", for_s=10)
    assert (await client.ask(submit_sm()))[0].command_status == Status.ESME_RTHROTTLED
    await cause(kind="wrong_sequence", command="enquire_link_resp", by=1)
    assert (await client.ask(EnquireLink()))[0].sequence_number == 4
    await cause(kind="refuse_binds", status="0x0D", for_s=5)
    assert simulator.account("demo").refuses_bind(trio.current_time()) == Status.ESME_RBINDFAIL
    await cause(kind="drop", account="demo", how="reset")
    assert await client.ended()


async def test_a_fault_that_does_not_exist_is_refused(simulator: Simulator, http: httpx2.AsyncClient) -> None:
    for fault, status in (
        ({"kind": "drop", "how": "gently"}, 422),
        ({"kind": "flood"}, 422),
        ({"kind": "nack", "command": "submit_sms_resp"}, 422),
        ({"kind": "mute"}, 422),
        ({"kind": "drop", "account": "nobody"}, 404),
        ({"kind": "throttle", "account": "nobody", "for_s": 1}, 404),
    ):
        assert (await http.post("/faults", json=fault)).status_code == status


async def test_sessions_accounts_pdus_and_counters_are_shown_without_secrets(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)
    await client.ask(submit_sm(registered_delivery=0))
    (session,) = (await http.get("/sessions")).json()
    assert (session["account"], session["state"]) == ("demo", "bound_trx")
    (account,) = (await http.get("/accounts")).json()
    assert account["submits"] == 1
    assert "password" not in account
    pdus = (await http.get("/pdus", params={"limit": 4})).json()
    assert [pdu["command"] for pdu in pdus][-2:] == ["submit_sm", "submit_sm_resp"]
    assert pdus[0]["fields"]["password"] == "********"
    assert (await http.get("/pdus", params={"session": 99})).json() == []
    assert (await http.get("/stats")).json()["accepted"] == 1
    assert (await http.post("/reset")).status_code == 204
    assert (await http.get("/stats")).json()["accepted"] == 0


async def test_any_deliver_sm_is_injected_field_by_field(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)
    fields = {
        "account": "demo",
        "source_addr": "33612345600",
        "destination_addr": "38200",
        "dest_addr_ton": 3,
        "data_coding": 8,
        "short_message": "00e9",
        "tlvs": [{"tag": 0x0204, "value": "0007"}],
    }
    assert (await http.post("/deliver-sm", json=fields)).status_code == 202
    assert await client.deliver_sm() == DeliverSm(
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=b"33612345600",
        dest_addr_ton=3,
        dest_addr_npi=1,
        destination_addr=b"38200",
        data_coding=8,
        short_message=b"\0\xe9",
        tlvs=((0x0204, b"\0\7"),),
    )
    assert (await http.post("/deliver-sm", json={**fields, "account": "nobody"})).status_code == 404
    for wrong in ({"short_message": "0"}, {"esm_class": 256}, {"tlvs": [{"tag": 1, "value": "0" * 140_000}]}):
        assert (await http.post("/deliver-sm", json={**fields, **wrong})).status_code == 422


async def test_receipts_and_final_states_are_injected_by_message(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    simulator.behave(receipt_delay=3600)
    client = await bound(simulator)
    await client.ask(submit_sm())
    (message,) = (await http.get("/messages", params={"state": "enroute"})).json()
    assert (message["destination"], message["account"], message["done"]) == ("33612345600", "demo", None)
    said = {"message_id": message["message_id"], "state": "enroute", "intermediate": True}
    assert (await http.post("/receipts", json=said)).status_code == 202
    assert (await client.deliver_sm()).esm_class == 0x20
    path = f"/messages/{message['message_id']}/settle"
    settled = await http.post(path, json={"state": "undeliverable", "err": "034"})
    assert (settled.status_code, settled.json()["state"]) == (202, "undeliverable")
    assert b"stat:UNDELIV err:034" in (await client.deliver_sm()).short_message
    assert (await http.post(path, json={"state": "delivered"})).status_code == 409
    assert (await http.post("/receipts", json={**said, "message_id": "none"})).status_code == 404
    assert (await http.post("/receipts", json={**said, "state": "lost"})).status_code == 422
    assert (await http.get("/messages", params={"account": "nobody"})).json() == []


async def test_every_answer_is_described(simulator: Simulator, http: httpx2.AsyncClient) -> None:
    described = (await http.get("/openapi.json")).json()
    for path, methods in described["paths"].items():
        for method, call in methods.items():
            assert call["description"], (method, path)
            assert call["tags"], (method, path)
            for status, answer in call["responses"].items():
                schemas = [content["schema"] for content in answer.get("content", {}).values() if "schema" in content]
                assert all(schemas), (method, path, status)
    for name in ("SessionView", "InboxView", "PduView"):
        assert described["components"]["schemas"][name]["properties"]["account"]


async def test_what_was_sent_wrongly_is_not_repeated(simulator: Simulator, http: httpx2.AsyncClient) -> None:
    refused = await http.post("/receipts", json={"password": "s3cr3t-7"})
    assert refused.status_code == 422
    assert "s3cr3t-7" not in refused.text


async def test_no_foreign_page_can_call(simulator: Simulator, http: httpx2.AsyncClient) -> None:
    for origin, status in (
        ("http://evil.example", 403),
        ("null", 403),
        ("http://127.0.0.1:2", 403),
        ("http://127.0.0.1:1", 204),
    ):
        assert (await http.post("/reset", headers={"origin": origin})).status_code == status


async def test_held_responses_are_listed_and_released(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    simulator.behave(response="hold", receipts="never")
    client = await bound(simulator)
    await client.send(submit_sm())
    await simulator.until(lambda: simulator.held)
    assert (await http.get("/held")).json() == [{"session": 1, "sequence": 2, "status": 0}]
    assert (await http.post("/held/release")).json() == {"released": 1}
    assert (await client.receive())[0].command_status == 0


async def test_only_this_machines_own_names_are_served(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    for host, status in (
        ("localhost:1", 200),
        ("[::1]:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
    ):
        assert (await http.get("/stats", headers={"host": host})).status_code == status
    transport = httpx2.ASGITransport(app=control_app(simulator, any_host=True))
    async with httpx2.AsyncClient(transport=transport, base_url="http://sim.example") as client:
        assert (await client.get("/stats")).status_code == 200
        assert (await client.get("/openapi.json")).status_code == 200
