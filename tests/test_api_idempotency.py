"""Idempotency-Key (S17): one effect, one answer; what is stored, what is not, and concurrent duplicates."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from sqlalchemy import select

from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables import Message
from engine.store.tables_tenancy import Idempotency
from tests.api_client import ALICE, NUMBER, open_api

_message: Any = Message.__table__  # type: ignore[attr-defined]
_kept: Any = Idempotency.__table__  # type: ignore[attr-defined]
IDS = Statement(lambda _: select(_message.c.id))
KEPT = Statement(lambda _: select(_kept.c.key, _kept.c.status, _kept.c.body, _kept.c.fingerprint))
NOTICE = {"to": NUMBER, "text": "Votre colis arrive demain.", "category": "transactional"}
KEYED = {"Idempotency-Key": "order-7"}


async def test_a_repeat_gets_the_first_answer_and_sends_nothing(store: Store) -> None:
    async with open_api(store) as api:
        first = await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)
        again = await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)
        assert (again.status_code, again.text) == (first.status_code, first.text)
        assert "idempotency-replayed" not in first.headers
        assert again.headers["idempotency-replayed"] == "true"
        assert len(await store.read(lambda tx: tx.all(IDS))) == 1


async def test_concurrent_duplicates_have_one_effect_and_one_answer(store: Store) -> None:
    async with open_api(store) as api:
        texts: set[str] = set()

        async def send() -> None:
            texts.add((await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)).text)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(send)
        assert len(texts) == 1
        assert len(await store.read(lambda tx: tx.all(IDS))) == 1


@pytest.mark.real
async def test_concurrent_duplicates_through_the_group_writer_have_one_effect(threaded_store: Store) -> None:
    async with open_api(threaded_store) as api:
        texts: list[str] = []

        async def send() -> None:
            texts.append((await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)).text)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(send)
        assert len(set(texts)) == 1
        assert len(await threaded_store.read(lambda tx: tx.all(IDS))) == 1


async def test_a_duplicate_waits_for_the_running_one_and_is_told_after_five_seconds(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_api(store) as api:
        slot = (ALICE, "POST /v1/messages", "order-7")
        await api.context.in_flight.enter(slot)
        began = trio.current_time()
        answer = await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_in_flight")
        assert trio.current_time() - began == pytest.approx(5.0)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_leave_later, api.context.in_flight, slot)
            assert (await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)).status_code == 202


async def _leave_later(in_flight: Any, slot: tuple[str, str, str]) -> None:
    await trio.sleep(2)
    in_flight.leave(slot)


async def test_another_body_or_another_resource_with_the_same_key_is_refused(store: Store) -> None:
    async with open_api(store) as api:
        assert (await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)).status_code == 202
        other = await api.alice.post("/v1/messages", json={**NOTICE, "text": "Other"}, headers=KEYED)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")
        one = await api.alice.post(f"/v1/messages/msg_{'1' * 32}/cancel", headers=KEYED)
        two = await api.alice.post(f"/v1/messages/msg_{'2' * 32}/cancel", headers=KEYED)
        assert (one.status_code, two.status_code, two.json()["code"]) == (404, 422, "idempotency_mismatch")


async def test_keys_belong_to_their_application_and_route(store: Store) -> None:
    async with open_api(store) as api:
        mine = await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)
        theirs = await api.bob.post("/v1/messages", json=NOTICE, headers=KEYED)
        batch = await api.alice.post("/v1/messages/batch", json={"messages": [NOTICE]}, headers=KEYED)
        assert len({mine.json()["id"], theirs.json()["id"], batch.json()["results"][0]["message"]["id"]}) == 3


async def test_refusals_of_form_rights_and_rates_are_not_kept_others_are(store: Store) -> None:
    async with open_api(store) as api:

        async def kept(key: str) -> list[int]:
            rows = await store.read(lambda tx: tx.all(KEPT))
            return [row[1] for row in rows if row[0] == key]

        case = (await api.alice.post("/v1/verifications", json={"to": NUMBER})).json()["id"]
        early = await api.alice.post(f"/v1/verifications/{case}/resend", headers={"Idempotency-Key": "early"})
        assert early.status_code == 429
        missing = await api.alice.post(f"/v1/messages/msg_{'0' * 32}/cancel", headers={"Idempotency-Key": "missing"})
        assert missing.status_code == 404
        assert (await kept("early"), await kept("missing")) == ([], [404])


async def test_a_spent_attempt_survives_an_answer_that_is_not_kept(store: Store) -> None:
    async with open_api(store) as api:
        case = (await api.alice.post("/v1/verifications", json={"to": NUMBER})).json()["id"]
        path = f"/v1/verifications/{case}/checks"
        same = {"Idempotency-Key": "check"}
        first = await api.alice.post(path, json={"code": "000000"}, headers=same)
        again = await api.alice.post(path, json={"code": "000000"}, headers=same)
        assert first.status_code in (200, 422)
        assert first.json() == again.json()  # the repeat spent nothing
        read = (await api.alice.get(f"/v1/verifications/{case}")).json()
        assert read["attempts_remaining"] == first.json().get("attempts_remaining", 0)


async def test_neither_body_nor_number_can_be_read_from_what_is_kept(store: Store) -> None:
    async with open_api(store) as api:
        await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)
        rows = await store.read(lambda tx: tx.all(KEPT))
        assert len(rows) == 1
        assert NUMBER not in str(rows)
        assert NOTICE["text"] not in str(rows)


async def test_an_answer_is_kept_for_a_day(store: Store) -> None:
    async with open_api(store) as api:
        first = (await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)).json()["id"]
        api.core.clock.step(23 * 3_600)  # type: ignore[attr-defined]
        assert (await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)).json()["id"] == first
        api.core.clock.step(2 * 3_600)  # type: ignore[attr-defined]
        assert (await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)).json()["id"] != first


async def test_a_key_that_is_no_printable_text_is_refused(store: Store) -> None:
    async with open_api(store) as api:
        for key in ("", " ", "é", "x" * 256, '"' + "y" * 256 + '"', "a\tb"):
            given = {b"Idempotency-Key": key.encode("latin-1")}
            answer = await api.alice.post("/v1/messages", json=NOTICE, headers=given)
            assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key"), key


async def test_a_quoted_key_is_the_same_as_a_bare_one(store: Store) -> None:
    async with open_api(store) as api:
        bare = await api.alice.post("/v1/messages", json=NOTICE, headers=KEYED)
        quoted = await api.alice.post("/v1/messages", json=NOTICE, headers={"Idempotency-Key": '"order-7"'})
        assert bare.text == quoted.text
