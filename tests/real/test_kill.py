"""Promises 1 to 3: a server killed again and again under load loses nothing that it accepted, and owns up to doubts.

Each life of the server ends by SIGKILL at an instant that the load decides; the last one drains. What the simulator
really delivered, the rows and the client's own memory are then held against each other.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import trio
from sqlalchemy import func, select

from engine.commands.children import child
from engine.store.connections import Database
from engine.store.moves import MESSAGE
from engine.store.statements import Statement
from engine.store.tables import Event, Message
from engine.store.transaction import Tx
from tests.amounts import Figure, amounts
from tests.databases import PostgresServer, fresh_sqlite
from tests.load import Load, tag_of
from tests.real.operator import Operator, operator
from tests.servers import put_tenants, write_settings

pytestmark = pytest.mark.real

WINDOW = 20
POSTERS = 3
DRAINED_WITHIN_S = 90.0
_message: Any = Message.__table__  # type: ignore[attr-defined]
_event: Any = Event.__table__  # type: ignore[attr-defined]
_COLUMNS = ("id", "reference", "state", "doubts", "attempts", "final_at")
MESSAGES = Statement(lambda _: select(*[_message.c[name] for name in _COLUMNS]))
OWNED_UP = Statement(lambda _: select(_event.c.subject_id).where(_event.c.type == "message.in_doubt"))
STATES = Statement(lambda _: select(_message.c.state, func.count().label("number")).group_by(_message.c.state))
SETTLED = MESSAGE.final | {"in_doubt", "unknown"}


@pytest.mark.parametrize("kills", amounts(10, 100))
async def test_kills_on_sqlite_lose_nothing_and_own_up_to_every_doubt(
    tmp_path: Path, kills: int, figure: Figure
) -> None:
    """B27, users-ask 16: promises 1, 2 and 3 of the failure catalogue, on SQLite."""
    figure(f"users-ask 16: {kills} kills, SQLite", await survive(tmp_path, fresh_sqlite(tmp_path), kills))


@pytest.mark.parametrize("kills", amounts(5, 100))
async def test_kills_on_postgresql_lose_nothing_and_own_up_to_every_doubt(
    tmp_path: Path, postgres: PostgresServer, kills: int, figure: Figure
) -> None:
    """B27, users-ask 16: promises 1, 2 and 3 of the failure catalogue, on PostgreSQL."""
    url = postgres.fresh()
    figure(f"users-ask 16: {kills} kills, PostgreSQL", await survive(tmp_path, url, kills))
    postgres.give_back(url)


async def survive(folder: Path, url: str, kills: int, seed: int = 0) -> str:
    """Kill a server `kills` times under load, let the last one drain, and compare what everybody knows.

    Return in words how many were accepted, in doubt and twice at a handset.
    """
    database = Database.at(url)
    key, _ = await trio.to_thread.run_sync(put_tenants, url)
    async with operator(folder, response_delay=0.01, receipt_delay=0.02) as smsc:
        settings = write_settings(folder, url, {"accounts": smsc.settings(window=WINDOW)})
        load = Load(key)
        async with trio.open_nursery() as nursery:
            for _ in range(POSTERS):
                nursery.start_soon(load.post_for_ever)
            await live_and_die(folder, settings, load, kills, random.Random(seed))
            nursery.cancel_scope.cancel()
        async with child("engine", ["serve", "--file", str(settings)], folder / "sceau.log") as server:
            await server.line()
            await drained(database)
            assert await server.end(30) == 0
        assert len(load.accepted) >= 30 * kills
        return await compare(database, smsc, load, kills)


async def live_and_die(folder: Path, settings: Path, load: Load, kills: int, dice: random.Random) -> None:
    """Start a server and kill it once it has accepted some more, again and again."""
    for _ in range(kills):
        async with child("engine", ["serve", "--file", str(settings)], folder / "sceau.log") as server:
            load.serve_from((await server.line())["api"])
            aim = len(load.accepted) + dice.randint(30, 180)  # 10,000 and more in a hundred lives
            with trio.fail_after(60):
                await load.until(lambda aim=aim: len(load.accepted) >= aim)  # type: ignore[misc]
            server.process.kill()
            load.serve_from(None)
            await server.process.wait()


async def drained(database: Database) -> None:
    """Return when every message is final or visibly in doubt."""
    states: dict[str, int] = {}
    with trio.move_on_after(DRAINED_WITHIN_S):
        while not states or states.keys() - SETTLED:
            await trio.sleep(0.1)
            states = dict(await read(database, STATES))
        return
    pytest.fail(f"not drained: {states}")


async def compare(database: Database, smsc: Operator, load: Load, kills: int) -> str:
    """Hold the client's memory, the rows and the handsets against each other; what was found, in words."""
    rows = {row[0]: dict(zip(_COLUMNS, row, strict=True)) for row in await read(database, MESSAGES)}
    owned_up = {row[0] for row in await read(database, OWNED_UP)}
    arrived = {tag_of(text): count for text, count in (await smsc.deliveries()).items()}
    by_tag = {row["reference"]: row for row in rows.values()}

    # 1. Accepted is durable: every id of a 2xx is there, as the message it was given for.
    assert {message_id: rows.get(message_id, {}).get("reference") for message_id in load.accepted} == load.accepted
    # 2. Never silently lost: everything has ended, or is visibly in doubt.
    assert {row["state"] for row in rows.values()} <= SETTLED
    assert all((row["final_at"] is not None) == (row["state"] != "in_doubt") for row in rows.values())
    # What ended well arrived, and what arrived is known.
    assert arrived.keys() <= by_tag.keys()
    assert not [row for row in rows.values() if row["state"] == "delivered" and row["reference"] not in arrived]
    assert not [tag for tag in arrived if by_tag[tag]["state"] not in {"delivered", "in_doubt"}]
    # 3. Duplicates are bounded, counted and explained.
    unexplained = [tag for tag, count in arrived.items() if count > 1 + by_tag[tag]["doubts"]]
    assert unexplained == []
    assert all(row["attempts"] <= 2 for row in rows.values())
    doubted = {message_id for message_id, row in rows.items() if row["doubts"]}
    assert doubted == owned_up
    # Unanswered as the rows know it: on the wire, and answers that were being committed when the process died.
    assert 0 < len(doubted) <= kills * 3 * WINDOW, "the kills hit nothing, or more than was unanswered"
    twice = sum(count > 1 for count in arrived.values())
    return f"{len(load.accepted):,} accepted, 0 lost, {len(doubted):,} in doubt and told, {twice:,} twice"


async def read(database: Database, statement: Statement) -> list[tuple[Any, ...]]:
    """Return a statement's rows, on a connection of its own."""

    def run() -> list[tuple[Any, ...]]:
        connection = database.connect(read_only=True)
        try:
            return Tx(connection, database.dialect).all(statement)
        finally:
            connection.close()

    return await trio.to_thread.run_sync(run)
