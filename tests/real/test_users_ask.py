"""What users ask of a real process: responses beside a stream of receipts, a full disk, ten idle minutes."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from sqlalchemy import select

from engine.store.connections import Database
from engine.store.statements import Statement
from engine.store.tables import Part
from tests.amounts import Figure, amounts
from tests.real.operator import operator
from tests.real.test_serve import DOUBTS, STATES, bound, look, prepared, server

pytestmark = pytest.mark.real

_part: Any = Part.__table__  # type: ignore[attr-defined]
HANDLED = Statement(lambda _: select((_part.c.answered_at - _part.c.sent_at).label("took")))
BODY = {"to": "+33612345678", "category": "transactional", "ttl_s": 86_400}


def client_of(api: str, key: str) -> httpx2.AsyncClient:
    """A client of a server's API."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.AsyncClient(base_url=api, headers=headers, trust_env=False, timeout=60)


async def post(client: httpx2.AsyncClient, texts: list[str]) -> None:
    """Queue messages in one request, all of them accepted."""
    answer = await client.post("/v1/messages/batch", json={"messages": [{**BODY, "text": text} for text in texts]})
    assert answer.status_code == 200, answer.text
    assert {result["status"] for result in answer.json()["results"]} == {202}


async def delivered(database: Database, count: int, within_s: float) -> None:
    """Wait until so many messages are delivered, and no other is there."""
    states: dict[str, int] = {}
    with trio.move_on_after(within_s):
        while states != {"delivered": count}:
            await trio.sleep(0.1)
            states = dict(await trio.to_thread.run_sync(look, database, STATES))
        return
    pytest.fail(f"not all delivered: {states}")


@pytest.mark.parametrize("seconds", amounts(2, 30))
async def test_responses_are_handled_beside_two_thousand_receipts_a_second(
    tmp_path: Path, seconds: int, figure: Figure
) -> None:
    """users-ask 13: as many submits as receipts; no answer is missed, and the soak tells how long one took."""
    async with operator(tmp_path, response_delay=0.001, receipt_delay=0.2) as smsc:
        account = {**smsc.settings(window=500)["sim"], "rate": 2_000}
        settings, key, database = await prepared(tmp_path, accounts={"sim": account})
        async with server(settings) as (process, said), client_of(said["api"], key) as client:
            await bound(client, said["operations"])
            for half in range(2 * seconds):
                await post(client, [f"Bonjour {half} {number}" for number in range(1_000)])
                await trio.sleep(0.4)
            await delivered(database, 2_000 * seconds, within_s=120)
            assert await process.end(30) == 0
        assert look(database, DOUBTS) == [(0,)]
        took = sorted(row[0] for row in look(database, HANDLED))
        figure(
            f"users-ask 13: {len(took):,} responses beside as many receipts, sent to stored: p50, p99, longest",
            ", ".join(f"{took[int(share * (len(took) - 1))] / 1e3:.0f} ms" for share in (0.5, 0.99, 1)),
        )


async def test_a_full_disk_is_503_outside_and_everything_resumes_when_there_is_room(tmp_path: Path) -> None:
    """users-ask 17: no octet can be written, the log's included; then there is room, and nobody restarts anything."""
    async with operator(tmp_path) as smsc:
        settings, key, database = await prepared(tmp_path, smsc)
        async with server(settings) as (process, said), client_of(said["api"], key) as client:
            await bound(client, said["operations"])
            await post(client, [f"avant {number}" for number in range(20)])
            _, most = resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (0, most))
            for _ in range(5):
                answer = await client.post("/v1/messages", json={**BODY, "text": "pendant"})
                assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
                await trio.sleep(0.1)
            resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (most, most))
            await post(client, [f"après {number}" for number in range(20)])
            await delivered(database, 40, within_s=60)
            assert await process.end(30) == 0


@pytest.mark.soak
async def test_ten_idle_minutes_without_a_bind_cost_next_to_nothing(tmp_path: Path, figure: Figure) -> None:
    """users-ask 18: 1,000 queued, nobody listens: under 5 % of a core, a log line in ten seconds, no attempt."""
    settings, key, database = await prepared(tmp_path)
    async with server(settings) as (process, said), client_of(said["api"], key) as client:
        await post(client, [f"Bonjour {number}" for number in range(1_000)])
        log = settings.with_name("sceau.log")
        lines, used = len(log.read_text().splitlines()), processor_s(process.process.pid)
        await trio.sleep(600)
        lines, used = len(log.read_text().splitlines()) - lines, processor_s(process.process.pid) - used
        assert used < 0.05 * 600
        assert lines <= 60
        assert look(database, STATES) == [("queued", 1_000)]
        assert look(database, Statement(lambda _: select(_part.c.message_id))) == []
        figure(
            "users-ask 18: ten minutes unbound, 1,000 queued: share of a core, log lines", f"{used / 6:.1f} %, {lines}"
        )
        process.process.kill()


def processor_s(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
