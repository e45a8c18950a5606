"""smppsim.control.pdus: the PDU log over HTTP, page by page and live, on virtual time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import trio
from starlette.types import ASGIApp
from trio.testing import MockClock

from engine.smpp.pdu import EnquireLink
from smppsim.capture.conversations import conversations
from smppsim.capture.pcap import read
from smppsim.control import control_app
from smppsim.faults import Raw
from smppsim.scenario import AccountSettings, Scenario
from smppsim.simulator import Simulator
from tests.smppsim_client import bound, long_submits, submit_sm


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    accounts = tuple(AccountSettings(system_id=name, password="demo") for name in ("demo", "other"))
    simulator = Simulator(Scenario(accounts=accounts))
    await nursery.start(simulator.run)
    return simulator


@pytest.fixture
def app(simulator: Simulator) -> ASGIApp:
    return control_app(simulator)


@pytest.fixture
async def http(app: ASGIApp) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://127.0.0.1:1") as client:
        yield client


class Listener:
    """Reads server-sent events from an application in process."""

    def __init__(self, nursery: trio.Nursery, app: ASGIApp, query: str = "", **headers: str) -> None:
        self._send, self._chunks = trio.open_memory_channel[bytes](1000)
        self._rest = b""
        named = {"host": "127.0.0.1", **headers}
        scope: dict[str, Any] = {
            "type": "http",
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/pdus/stream",
            "raw_path": b"/pdus/stream",
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()],
            "client": ("127.0.0.1", 9),
            "server": ("127.0.0.1", 1),
        }
        nursery.start_soon(app, scope, trio.sleep_forever, self._take)  # type: ignore[arg-type]

    async def _take(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
        else:
            await self._send.send(message["body"])

    async def event(self) -> tuple[str, Any, str | None]:
        """The next event: kind, data, id."""
        block = b":"
        while block.startswith(b":"):  # a keep-alive
            while b"\n\n" not in self._rest:
                self._rest += await self._chunks.receive()
            block, _, self._rest = self._rest.partition(b"\n\n")
        lines = dict(line.split(": ", 1) for line in block.decode().splitlines())
        return lines["event"], json.loads(lines["data"]), lines.get("id")


async def test_a_page_of_the_log_is_cut_by_serial(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client = await bound(simulator)
    for number in range(10):
        await client.ask(submit_sm(f"{number}", registered_delivery=0))

    async def serials(**query: Any) -> list[int]:
        return [row["serial"] for row in (await http.get("/pdus", params=query)).json()]

    assert await serials(limit=3) == [20, 21, 22]
    assert await serials(limit=3, before=20) == [17, 18, 19]
    assert await serials(limit=3, after=5) == [6, 7, 8]
    assert await serials(after=22) == []
    assert await serials(command="submit_sm", limit=2, before=19) == [15, 17]


async def test_the_log_is_filtered_by_session_account_direction_and_command(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    one, two = await bound(simulator), await bound(simulator, system_id="other")
    await one.ask(submit_sm("first", registered_delivery=0))
    await two.ask(EnquireLink())

    async def commands(**query: Any) -> list[str]:
        return [row["command"] for row in (await http.get("/pdus", params=query)).json()]

    assert await commands(session=2) == [
        "bind_transceiver",
        "bind_transceiver_resp",
        "enquire_link",
        "enquire_link_resp",
    ]
    assert await commands(account="demo", direction="in") == ["bind_transceiver", "submit_sm"]
    assert await commands(command=["submit_sm", "enquire_link"]) == ["submit_sm", "enquire_link"]
    assert await commands(account="nobody") == []
    assert (await http.get("/pdus", params={"direction": "up"})).status_code == 422


async def test_a_row_is_decoded_and_kept_in_hex(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    client, start = await bound(simulator), simulator.smsc.wall()
    await trio.sleep(2)
    part = long_submits("ça va 👍 " * 40)[1]._replace(registered_delivery=0)
    await client.send(part)
    await simulator.until(lambda: simulator.stats.accepted)
    simulator.cause(Raw(hex=b"HTTP/1.1 4".hex()))
    row, *_, torn = (await http.get("/pdus", params={"after": 2})).json()
    assert row["at"] == start + 2_000_000
    assert (row["account"], row["direction"], row["command"], row["sequence"]) == ("demo", "in", "submit_sm", 2)
    assert row["text"] in "ça va 👍 " * 40
    assert row["fields"]["destination_addr"] == "33612345600"
    assert row["fields"]["short_message"] == {"hex": part.short_message.hex()}
    assert bytes.fromhex(row["hex"]).endswith(part.short_message)
    assert (torn["command"], torn["fields"], torn["hex"]) == (None, None, b"HTTP/1.1 4".hex())


async def test_every_pdu_comes_as_an_event_with_its_serial(
    autojump_clock: MockClock, simulator: Simulator, app: ASGIApp, nursery: trio.Nursery
) -> None:
    client = await bound(simulator)
    listener = Listener(nursery, app, "command=submit_sm&command=submit_sm_resp")
    await trio.sleep(1)
    await client.ask(EnquireLink())
    await client.ask(submit_sm("live", registered_delivery=0))
    kind, row, serial = await listener.event()
    assert (kind, row["command"], row["text"], serial) == ("pdu", "submit_sm", "live", "5")
    assert (await listener.event())[1]["command"] == "submit_sm_resp"
    nursery.cancel_scope.cancel()


async def test_a_listener_takes_up_where_it_was_unless_that_was_another_run(
    autojump_clock: MockClock, simulator: Simulator, app: ASGIApp, nursery: trio.Nursery
) -> None:
    await bound(simulator)
    for listener in (
        Listener(nursery, app, last_event_id="1"),
        Listener(nursery, app, "after=1"),
    ):
        assert (await listener.event())[2] == "2"
    assert (await Listener(nursery, app, last_event_id="900").event())[2] == "1"
    nursery.cancel_scope.cancel()


async def test_a_flood_is_shown_in_part_and_the_rest_is_counted(
    autojump_clock: MockClock, simulator: Simulator, app: ASGIApp, nursery: trio.Nursery
) -> None:
    await bound(simulator)
    for _ in range(300):
        simulator.cause(Raw(hex="00" * 16))
    listener = Listener(nursery, app, "after=2")
    assert (await listener.event())[:2] == ("missed", {"missed": 100})
    assert [(await listener.event())[2] for _ in range(200)] == [str(serial) for serial in range(103, 303)]
    nursery.cancel_scope.cancel()


async def test_the_log_is_given_as_a_capture(
    autojump_clock: MockClock, simulator: Simulator, http: httpx2.AsyncClient
) -> None:
    one, two = await bound(simulator), await bound(simulator, system_id="other")
    await one.ask(submit_sm("first", registered_delivery=0))
    await two.ask(EnquireLink())
    answer = await http.get("/capture.pcap")
    assert answer.headers["content-type"] == "application/vnd.tcpdump.pcap"
    assert [len(each.said) for each in conversations(read(answer.content))] == [4, 4]
    (other,) = conversations(read((await http.get("/capture.pcap", params={"account": "other"})).content))
    assert [row.frame for row in other.said] == [row.frame for row in simulator.pdus if row.session == 2]
    assert b"demo\0demo" not in answer.content
