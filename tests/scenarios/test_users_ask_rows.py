"""What users ask of what is kept: receipts after throttling, a store that fails, references, silence while unbound."""

from __future__ import annotations

import io
from collections import Counter

import httpx2
import pytest
import trio

from engine import logs
from engine.api.app import build_app
from engine.api.context import Context
from engine.phones import OfflineResolver
from engine.smpp.pdu import DeliverSm, Status
from engine.smpp.text import concat_of
from engine.store.connections import Database
from smppsim.faults import RefuseConnections
from tests.amounts import Figure, amounts
from tests.api_client import ALICE, EVERYTHING, put_application, put_key
from tests.rig import MESSAGES, PHONE, REPLIES, Rig, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, statuses, submits
from tests.weather import WeatherStore


async def test_a_message_that_was_throttled_twice_asks_for_its_receipt_again_and_is_told_delivered_once(
    database: Database, autojump_clock: Autojump
) -> None:
    """users-ask 7: RTHROTTLED twice, then taken, then its receipt: exactly one final event."""
    async with rig(database, account={"rate": 100}) as pair:
        pair.sim.behave(answers=[{"status": "RTHROTTLED"}])
        one = await pair.send()
        await pair.sim.until(lambda: pair.sim.stats.submits == 2)
        pair.sim.behave(answers=[{"status": "ROK"}])
        await pair.until(one, "delivered")
        assert statuses(pair.sim) == [Status.ESME_RTHROTTLED, Status.ESME_RTHROTTLED, Status.ESME_ROK]
        assert {submit.pdu.registered_delivery & 3 for submit in submits(pair.sim)} == {1}
        await pair.settled(5)
        assert await pair.events_of(one) == ["message.accepted", "message.delivered"]
        assert (await pair.message(one))["attempts"] == 1


# -- 17: a store that fails ---------------------------------------------------------------------------------------

NUMBERS = {"ours": {"address": "38123", "application": ALICE, "accounts": ["sim"]}}


async def client_of(pair: Rig) -> httpx2.AsyncClient:
    """A client of the API that runs on this engine, with a key of every scope."""

    def enter(tx: object) -> str:
        put_application(tx, ALICE, pair.clock.now())  # type: ignore[arg-type]
        return put_key(tx, pair.core, ALICE, EVERYTHING)  # type: ignore[arg-type]

    key = await pair.core.store.write(enter)
    app = build_app(Context.of(pair.core, OfflineResolver()))
    transport = httpx2.ASGITransport(app, client=("127.0.0.1", 40_000))
    headers = {"Authorization": f"Bearer {key}"}
    return httpx2.AsyncClient(transport=transport, base_url="http://sceau.test", headers=headers, timeout=None)


@pytest.mark.parametrize("minutes", amounts(3, 60))
async def test_a_store_that_fails_again_and_again_is_503_outside_and_everything_resumes_unaided(
    database: Database, autojump_clock: Autojump, minutes: int
) -> None:
    """users-ask 17: twenty seconds of every minute nothing can be written; nobody restarts anything."""
    store = WeatherStore(database)
    body = {"to": PHONE, "category": "transactional", "ttl_s": 86_400}
    async with rig(database, store=store, numbers=NUMBERS) as pair, await client_of(pair) as client:
        answers: Counter[int] = Counter()
        accepted, written = [], []
        for second in range(minutes * 60):
            store.down = 20 <= second % 60 < 40
            answer = await client.post("/v1/messages", json={**body, "text": f"Bonjour {second}"})
            assert (answer.status_code == 503) == store.down
            answers[answer.status_code] += 1
            if answer.status_code == 202:
                accepted.append(answer.json()["id"])
            if second % 7 == 0:
                written.append(f"reponse {second}")
                pair.sim.handset(PHONE).reply(written[-1], to="38123")
            await trio.sleep(1)
        assert answers == {202: 40 * minutes, 503: 20 * minutes}
        await pair.settled(200)
        rows = {row["id"]: row["state"] for row in await pair.rows(MESSAGES)}
        assert rows == dict.fromkeys(accepted, "delivered")
        texts = [pair.core.keyring.unseal(row["sealed"], row["id"]).decode() for row in await pair.rows(REPLIES)]
        assert sorted(texts) == sorted(written)
        assert pair.sim.stats.sessions_lost == 0


# -- 18: silence while unbound ------------------------------------------------------------------------------------


async def test_ten_minutes_without_a_bind_say_little_and_then_everything_leaves_within_two_seconds(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """users-ask 18: at most a log line in ten seconds; processor time is measured by the soak."""
    operator = simulator()
    operator.cause(RefuseConnections(for_s=1e6))
    window = {"binds": {"main": bind_settings(window=100)}}
    said = io.StringIO()
    async with rig(sqlite_database, sim=operator, bound=0, account=window) as pair:
        logs.configure(clock=pair.clock, style="json", stream=said)
        try:
            await pair.send_many([f"Bonjour {number}" for number in range(1_000)], ttl_s=86_400)
            await pair.settled(600)
        finally:
            logs.silence()
        assert 1 <= len(said.getvalue().splitlines()) <= 60
        operator.cause(RefuseConnections(for_s=0))
        while not operator.stats.binds:
            await trio.sleep(0.05)
        await trio.sleep(2)
        assert operator.stats.submits == 1_000


# -- 19: references -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", amounts(300, 1_000))
@pytest.mark.parametrize("concatenation", ["udh16", "udh8", "sar"])
async def test_no_reference_is_used_twice_while_a_message_is_unfinished_and_no_texts_are_mixed(
    sqlite_database: Database, autojump_clock: Autojump, concatenation: str, count: int, figure: Figure
) -> None:
    """users-ask 19: long messages to one number over two binds, receipted after a minute."""
    operator = simulator()
    operator.behave(response_delay={"kind": "uniform", "low": 0, "high": 0.2}, receipt_delay=60)
    two = {"binds": {"b1": bind_settings(window=30), "b2": bind_settings(window=30)}, "concatenation": concatenation}
    async with rig(sqlite_database, sim=operator, bound=2, account=two) as pair:
        # Three parts, each of which says whose it is.
        texts = [(f"phrase {number:04}, " * 25).strip() for number in range(count)]
        await pair.send_many(texts, ttl_s=86_400)
        with trio.fail_after(7_200):
            while {row["state"] for row in await pair.rows(MESSAGES)} != {"delivered"}:
                await trio.sleep(30)
        assert sorted(message.text for message in operator.handset(PHONE).messages) == texts
        most = unfinished_at_most(pair)
        assert most <= (256 if concatenation == "udh8" else 65_536)
        assert most >= min(count, 256) * 0.9
        figure(f"users-ask 19: {count:,} long messages to one number, {concatenation}: unfinished at once", str(most))


def unfinished_at_most(pair: Rig) -> int:
    """How many references were in use at once, from a message's first part to a minute after its last."""
    spans: dict[str, tuple[int, float, float]] = {}
    for submit in submits(pair.sim):
        common = {"esm_class": submit.pdu.esm_class, "tlvs": submit.pdu.tlvs}
        found = concat_of(DeliverSm(short_message=submit.pdu.short_message, **common))
        assert found is not None
        spans.setdefault(f"{found.reference} {submit.at // 60}", (found.reference, submit.at, submit.at))
    ends = sorted([(at, 1) for _, at, _ in spans.values()] + [(at + 60, -1) for _, at, _ in spans.values()])
    most = now = 0
    for _, change in ends:
        now += change
        most = max(most, now)
    return most
