"""`sceau serve` as a process: what it says, what it answers, what keeps it from starting, and how it ends."""

from __future__ import annotations

import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from sqlalchemy import func, select

from engine import instance
from engine.commands.children import Child, ChildFailed, child
from engine.settings import load as load_settings
from engine.store.connections import Database
from engine.store.statements import Statement
from engine.store.tables import Message
from engine.store.transaction import Tx
from tests.databases import fresh_sqlite
from tests.load import Load
from tests.real.operator import Operator, operator
from tests.servers import put_tenants, write_settings

pytestmark = pytest.mark.real

_message: Any = Message.__table__  # type: ignore[attr-defined]
STATES = Statement(lambda _: select(_message.c.state, func.count().label("number")).group_by(_message.c.state))
DOUBTS = Statement(lambda _: select(func.count().label("number")).where(_message.c.doubts > 0))
SENDABLE = frozenset({"queued", "waiting"})


@asynccontextmanager
async def server(settings: Path) -> AsyncIterator[tuple[Child, dict[str, Any]]]:
    """Run a server on a settings file; what it said once it listened."""
    async with child("engine", ["serve", "--file", str(settings)], settings.with_name("sceau.log")) as process:
        yield process, await process.line()


async def prepared(folder: Path, smsc: Operator | None = None, **given: Any) -> tuple[Path, str, Database]:
    """Return a settings file, a key, and the database."""

    def lay_out() -> tuple[Path, str, Database]:
        url = fresh_sqlite(folder)
        key, _ = put_tenants(url)
        accounts = {} if smsc is None else {"accounts": smsc.settings()}
        return write_settings(folder, url, {**accounts, **given}), key, Database.at(url)

    return await trio.to_thread.run_sync(lay_out)  # it runs a loop of its own


def look(database: Database, statement: Statement) -> list[tuple[Any, ...]]:
    connection = database.connect(read_only=True)
    try:
        return Tx(connection, database.dialect).all(statement)
    finally:
        connection.close()


async def test_a_server_says_where_it_listens_and_answers_there(tmp_path: Path) -> None:
    """S30: health, readiness, metrics and binds are on the operations listener alone; pages load nothing from afar."""
    async with operator(tmp_path) as smsc:
        settings, key, _ = await prepared(tmp_path, smsc)
        async with server(settings) as (process, said):
            assert said.keys() == {"api", "operations", "pid"}
            assert said["pid"] == process.process.pid
            loaded = load_settings(settings, {})
            note = instance.find(loaded.data_dir, loaded.node)
            assert note is not None
            assert note._asdict() == said
            client = httpx2.AsyncClient(trust_env=False, timeout=30)
            async with client:
                await bound(client, said["operations"])
                await operations_answer(client, said)
                await pages_are_our_own(client, said["api"])
                headers = {"Authorization": f"Bearer {key}"}
                assert (await client.get(f"{said['api']}/v1/stats", headers=headers)).status_code == 200
            assert await process.end(30) == 0
        assert instance.find(loaded.data_dir, loaded.node) is None


async def bound(client: httpx2.AsyncClient, operations: str) -> None:
    with trio.fail_after(30):
        while True:
            if (await client.get(f"{operations}/readyz")).status_code == 200:
                return
            await trio.sleep(0.02)


async def operations_answer(client: httpx2.AsyncClient, said: dict[str, Any]) -> None:
    assert (await client.get(f"{said['operations']}/healthz")).json() == {"status": "alive"}
    lines = (await client.get(f"{said['operations']}/binds")).json()["data"]
    assert [(line["line"], line["phase"]) for line in lines] == [("sim/main", "bound")]
    metrics = (await client.get(f"{said['operations']}/metrics")).text
    assert 'sceau_sessions{account="sim",bind="main"} 1.0' in metrics
    assert 'sceau_messages_queued{lane="otp"} 0.0' in metrics
    for path in ("/healthz", "/readyz", "/metrics", "/binds"):
        assert (await client.get(f"{said['api']}{path}")).status_code == 404


async def pages_are_our_own(client: httpx2.AsyncClient, api: str) -> None:
    assert (await client.get(f"{api}/openapi.json")).json()["info"]["title"] == "Sceau"
    for page in ("/docs", "/redoc"):
        text = (await client.get(f"{api}{page}")).text
        assets = re.findall(r"""(?:src|href)=["']([^"']+)["']""", text)
        assert assets
        assert not [asset for asset in assets if "//" in asset], page
        for asset in assets:
            assert (await client.get(f"{api}{asset}")).status_code == 200, asset


async def test_sigterm_under_load_leaves_nothing_in_doubt(tmp_path: Path) -> None:
    """B26: with an operator that answers, a clean shutdown leaves no message in doubt, and loses none."""
    async with operator(tmp_path, response_delay=0.05) as smsc:
        settings, key, database = await prepared(tmp_path, smsc)
        load = Load(key)
        async with trio.open_nursery() as nursery:
            for _ in range(4):
                nursery.start_soon(load.post_for_ever)
            async with server(settings) as (process, said):
                load.serve_from(said["api"])
                with trio.fail_after(60):
                    await load.until(lambda: len(load.accepted) >= 300)
                assert await process.end(30) == 0
            nursery.cancel_scope.cancel()
        states = dict(look(database, STATES))
        assert sum(states.values()) >= len(load.accepted)
        assert states.keys() <= SENDABLE | {"accepted", "delivered"}
        assert states["delivered"] > 0
        assert look(database, DOUBTS) == [(0,)]
        arrived = await smsc.deliveries()
        assert len(arrived) == sum(number for state, number in states.items() if state not in SENDABLE)
        assert set(arrived.values()) == {1}


async def test_a_second_signal_does_not_wait_for_answers(tmp_path: Path) -> None:
    """B26: the rest is in doubt, which the next life owns up to."""
    async with operator(tmp_path, response="never") as smsc:
        settings, key, database = await prepared(tmp_path, smsc)
        load = Load(key)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(load.post_for_ever)
            async with server(settings) as (process, said):
                load.serve_from(said["api"])
                with trio.fail_after(60):
                    await load.until(lambda: len(load.accepted) >= 30)
                    await logged(settings, "line.bound")
                load.serve_from(None)
                process.process.send_signal(signal.SIGTERM)
                with trio.fail_after(30):
                    await logged(settings, "app.stopping")
                assert await process.end(5) == 1  # the grace for answers alone would be 10 s
            nursery.cancel_scope.cancel()
        async with server(settings) as (process, _):
            with trio.fail_after(30):
                await logged(settings, '"duty":"takeover"')
            assert look(database, DOUBTS) != [(0,)]
            process.process.kill()


async def logged(settings: Path, words: str) -> None:
    log = settings.with_name("sceau.log")
    while True:
        if words in log.read_text():
            return
        await trio.sleep(0.02)


async def test_what_keeps_a_server_from_starting_is_one_line(tmp_path: Path) -> None:
    settings, _, _ = await prepared(tmp_path)
    async with server(settings) as (_, said):
        async with httpx2.AsyncClient(trust_env=False) as client:
            unready = await client.get(f"{said['operations']}/readyz")
            assert (unready.status_code, unready.json()["missing"]) == (503, ["binds"])
        second = await refused(settings)
        assert second == "sceau: another process serves the node 'sceau-1' of " + str(tmp_path / "data")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        port = int(said["api"].rpartition(":")[2])
        taken, _, _ = await prepared(elsewhere, http={"port": port})
        assert await refused(taken) == f"sceau: cannot listen on 127.0.0.1:{port}: Address already in use"


async def refused(settings: Path) -> str:
    """Start a server that must not start; its last line."""
    log = settings.with_name("refused.log")
    async with child("engine", ["serve", "--file", str(settings)], log) as process:
        with pytest.raises(ChildFailed):
            await process.line()
        with trio.fail_after(30):
            assert await process.process.wait() == 2
    lines = log.read_text().splitlines()
    assert not [line for line in lines if "Traceback" in line]
    return lines[-1]
