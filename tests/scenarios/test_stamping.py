"""Time stamps of the log's roots: authorities tried in order, what they answer checked, nothing asked twice."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio.testing
from sqlalchemy import select

from engine.evidence.exporting import roots
from engine.store.connections import Database
from engine.store.statements import Statement
from engine.store.tables_evidence import EvidenceRoot
from tests.authority import TestAuthority
from tests.rig import APP, Rig, rig
from tests.scenarios.test_signing import ANNA, SETTINGS, Desk, signer

Autojump = trio.testing.MockClock
_root: Any = EvidenceRoot.__table__  # type: ignore[attr-defined]
ATTEMPTS = Statement(lambda _: select(_root.c.stamp_attempts, _root.c.stamp_due_at).order_by(_root.c.size))


class Authorities:
    """Several authorities behind one transport, by the host that is asked."""

    def __init__(self, folder: Path, *given: TestAuthority) -> None:
        self.folder, self.given = folder, given

    def settings(self) -> dict[str, Any]:
        names = {f"tsa_{place}": one for place, one in enumerate(self.given)}
        tree = {name: one.settings(self.folder) | {"url": f"http://{name}.example/"} for name, one in names.items()}
        return {"evidence": {"authorities": tree}}

    def transport(self) -> httpx2.MockTransport:
        def handle(request: httpx2.Request) -> httpx2.Response:
            asked = self.given[int(request.url.host[4])]
            asked.asked += 1
            return asked.answer(request.content)

        return httpx2.MockTransport(handle)


async def signed(pair: Rig) -> None:
    desk = Desk(pair)
    await desk.create(signer(ANNA))
    await pair.settled(3)
    await desk.says(ANNA, "oui")
    await desk.says(ANNA, desk.code(ANNA))
    assert await desk.states() == ["signed"]
    await pair.settled(60)


async def tokens(pair: Rig) -> list[str]:
    found = await pair.core.store.read(lambda tx: roots(tx, APP, 2**53, 50))
    return [stamp["authority"] for root in reversed(found) for stamp in root["tokens"]]


def refuses(_query: bytes) -> httpx2.Response:
    return httpx2.Response(503)


def breaks(_query: bytes) -> httpx2.Response:
    raise httpx2.ConnectError("nobody there")


def chatters(_query: bytes) -> httpx2.Response:
    return httpx2.Response(200, content=b"x" * 100_000)


async def test_the_next_authority_is_asked_when_one_gives_nothing_good(
    database: Database, tmp_path: Path, autojump_clock: Autojump
) -> None:
    stranger, good = TestAuthority("Stranger"), TestAuthority("Good")
    stranger.answer = refuses
    both = Authorities(tmp_path, stranger, good)
    async with rig(database, authority=both.transport(), **SETTINGS, **both.settings()) as pair:
        await signed(pair)
        assert set(await tokens(pair)) == {"tsa_1"}
        assert stranger.asked == good.asked


@pytest.mark.parametrize("trouble", ["refuses", "breaks", "chatters", "another CA", "another query", "not granted"])
async def test_what_does_not_hold_is_not_kept(
    sqlite_database: Database, tmp_path: Path, autojump_clock: Autojump, trouble: str
) -> None:
    authority, stranger = TestAuthority(), TestAuthority("Stranger")
    earlier: list[bytes] = []

    def replays(query: bytes) -> httpx2.Response:
        earlier.append(query)
        return authority.granted(earlier[0])

    answers = {
        "refuses": refuses,
        "breaks": breaks,
        "chatters": chatters,
        "another CA": stranger.granted,
        "another query": replays,
        "not granted": lambda _query: httpx2.Response(200, content=bytes.fromhex("30053003020102")),
    }
    authority.answer = answers[trouble]
    one = Authorities(tmp_path, authority)
    async with rig(sqlite_database, authority=one.transport(), **SETTINGS, **one.settings()) as pair:
        await signed(pair)
        await signed(pair)
        # A replayed answer was good once; nothing else ever is.
        assert await tokens(pair) == (["tsa_0"] if trouble == "another query" else [])


async def test_while_nobody_stamps_the_newest_root_alone_waits_and_is_stamped_in_the_end(
    database: Database, tmp_path: Path, autojump_clock: Autojump
) -> None:
    authority = TestAuthority()
    authority.answer = breaks
    one = Authorities(tmp_path, authority)
    async with rig(database, authority=one.transport(), **SETTINGS, **one.settings()) as pair:
        await signed(pair)
        await signed(pair)
        before = authority.asked
        assert before < 12  # pauses grow: 1, 2, 4 … minutes, not every ten seconds
        authority.answer = authority.granted
        await pair.settled(130)
        found = await pair.core.store.read(lambda tx: roots(tx, APP, 2**53, 50))
        assert len(found[0]["tokens"]) == 1
        assert base64.b64decode(found[0]["tokens"][0]["token"])
        assert authority.asked - before == len(await tokens(pair))  # older roots were not asked for
        assert all(due is None for _, due in await pair.core.store.read(lambda tx: tx.all(ATTEMPTS)))


async def test_open_heads_are_anchored_once_a_day(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA))
        await pair.settled(30)
        assert await pair.core.store.read(lambda tx: roots(tx, APP, 2**53, 50)) == []
        daily = next(duty for duty in pair.core.rounds.duties if duty.name == "open_heads")
        assert daily.every_s == 86_400
        for _ in range(3):  # it has grown once since it was anchored: one leaf, however often it is looked at
            await pair.core.rounds.look(daily)
            await pair.settled(15)
        found = await pair.core.store.read(lambda tx: roots(tx, APP, 2**53, 50))
        assert len(found) == 1
