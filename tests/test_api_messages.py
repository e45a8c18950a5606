"""POST /v1/messages and its batch, reading, timelines and cancels, on both databases."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select

from engine.api import messages
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables import Message
from engine.transit.routing import NoRoute
from tests.api_client import ALICE, EVERYTHING, NUMBER, Api, open_api, settings

_message: Any = Message.__table__  # type: ignore[attr-defined]
ROWS = Statement(
    lambda _: select(
        _message.c.id,
        _message.c.application_id,
        _message.c.recipient,
        _message.c.body,
        _message.c.body_sealed,
        _message.c.lane,
        _message.c.state,
    ).order_by(_message.c.id)
)
NOTICE = {"to": NUMBER, "text": "Votre colis arrive demain.", "category": "transactional"}


async def rows(api: Api) -> list[tuple[Any, ...]]:
    return await api.context.store.read(lambda tx: tx.all(ROWS))


async def test_a_202_means_that_the_message_is_stored_and_its_queue_rung(store: Store) -> None:
    async with open_api(store) as api:
        answer = await api.alice.post("/v1/messages", json={**NOTICE, "reference": "order 7"})
        assert answer.status_code == 202
        shown = answer.json()
        [row] = await rows(api)
        assert row[:4] == (shown["id"], ALICE, NUMBER, NOTICE["text"])
        assert (shown["state"], shown["parts"], shown["reference"]) == ("queued", 1, "order 7")
        assert NUMBER not in answer.text
        assert api.core.backlog.next(1, lambda *_: True) is not None


async def test_the_text_of_a_code_category_is_sealed_to_its_row_and_nowhere_plain(store: Store) -> None:
    async with open_api(store) as api:
        body = {"to": NUMBER, "text": "Canary 48 29 13", "category": "otp", "ttl_s": 120}
        answer = await api.alice.post("/v1/messages", json=body, headers={"Idempotency-Key": "one"})
        assert answer.status_code == 202
        [row] = await rows(api)
        message_id, _, _, plain, sealed, lane, _ = row
        assert (plain, lane) == (None, 0)
        assert api.context.keyring.unseal(sealed, message_id).decode() == body["text"]
        assert "Canary" not in sealed


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"category": "otp"}, "ttl_required"),
    ({"to": "0612345678"}, "number_needs_country"),
    ({"to": "hello"}, "invalid_number"),
    ({"to": "+3361234567890123"}, "impossible_number"),
    ({"to": "+33899123456"}, "number_type_denied"),
    ({"sender": "TwelveLetter"}, "sender_unknown"),
    ({"text": "x" * 1_531}, "too_many_parts"),
    ({"text": "ç" * 671}, "too_many_parts"),
    ({"expects_reply": True}, "no_reply_route"),
]


async def test_what_cannot_be_sent_is_refused_before_anything_is_stored(store: Store) -> None:
    """E16, F1, F2, F8: too many parts, a sender that is not ours, numbers that are none or not served."""
    async with open_api(store) as api:
        for change, code in REFUSED:
            answer = await api.alice.post("/v1/messages", json={**NOTICE, **change})
            assert (answer.status_code, answer.json()["code"]) == (422, code), change
            assert str(change.get("to", NUMBER)) not in answer.text
        assert await rows(api) == []


async def test_too_many_parts_tells_their_count(store: Store) -> None:
    """E16: the refusal names how many parts the text needs."""
    async with open_api(store) as api:
        answer = await api.alice.post("/v1/messages", json={**NOTICE, "text": "x" * 1_531})
        assert {"parts": 11, "most": 10}.items() <= answer.json().items()


async def test_a_national_number_is_read_with_its_region(store: Store) -> None:
    """F2: national form, spaces and other scripts' digits with a declared region."""
    async with open_api(store) as api:
        for text in ("06 12 34 56 78", "0033 6 12 34 56 78", "٠٦١٢٣٤٥٦٧٨"):
            answer = await api.alice.post("/v1/messages", json={**NOTICE, "to": text, "region": "FR"})
            assert answer.status_code == 202
        assert {row[2] for row in await rows(api)} == {NUMBER}


async def test_a_destination_that_no_route_serves_is_refused(store: Store) -> None:
    given = settings(routes={"france": {"accounts": ["sim"], "countries": ["FR"]}})
    async with open_api(store, given) as api:
        assert (await api.alice.post("/v1/messages", json=NOTICE)).status_code == 202
        answer = await api.alice.post("/v1/messages", json={**NOTICE, "to": "+12025550123"})
        assert (answer.status_code, answer.json()["code"]) == (422, NoRoute("no_route").code)


async def test_a_possible_but_unknown_number_is_sent_and_marked(store: Store) -> None:
    async with open_api(store) as api:
        answer = await api.alice.post("/v1/messages", json={**NOTICE, "to": "+262639123456"})
        assert answer.status_code == 202
        assert answer.json()["number_unverified"] in (True, False)
        [row] = await rows(api)
        assert row[2] == "+262639123456"


async def test_each_category_needs_its_scope(store: Store) -> None:
    async with open_api(store) as api:
        scopes = {
            "otp": "send:otp",
            "signature": "send:otp",
            "handover": "send:otp",
            "transactional": "send:transactional",
            "marketing": "send:bulk",
        }
        for own in sorted(set(scopes.values())):
            async with api.client(await api.key(own)) as client:
                for category, scope in scopes.items():
                    answer = await client.post("/v1/messages", json={**NOTICE, "category": category, "ttl_s": 60})
                    assert answer.status_code == (202 if own == scope else 403), (own, category)


async def test_a_batch_has_one_result_for_each_message_in_one_transaction(store: Store) -> None:
    async with open_api(store) as api:
        bodies = [NOTICE, {**NOTICE, "to": "12"}, {**NOTICE, "category": "otp"}, {**NOTICE, "category": "marketing"}]
        answer = await api.alice.post("/v1/messages/batch", json={"messages": bodies})
        assert answer.status_code == 200
        shown = answer.json()
        assert (shown["accepted"], shown["refused"]) == (2, 2)
        assert [one["status"] for one in shown["results"]] == [202, 422, 422, 202]
        assert [one["index"] for one in shown["results"]] == [0, 1, 2, 3]
        assert shown["results"][1]["problem"]["code"] == "number_needs_country"
        stored = {row[0] for row in await rows(api)}
        assert stored == {one["message"]["id"] for one in shown["results"] if "message" in one}
        messages.BatchShown.model_validate(shown)


async def test_a_batch_of_the_wrong_shape_is_refused_whole(store: Store) -> None:
    async with open_api(store) as api:
        answer = await api.alice.post("/v1/messages/batch", json={"messages": [NOTICE, {**NOTICE, "to": 7}]})
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["at"] == ["body", "messages", 1, "to"]
        thousand_and_one = await api.alice.post("/v1/messages/batch", json={"messages": [NOTICE] * 1_001})
        assert thousand_and_one.status_code == 422
        assert await rows(api) == []


async def test_a_batch_of_a_thousand_is_stored_whole(store: Store) -> None:
    async with open_api(store) as api:
        bodies = [{**NOTICE, "to": f"+3361234{index:04d}"} for index in range(1_000)]
        answer = await api.alice.post("/v1/messages/batch", json={"messages": bodies})
        assert answer.json()["accepted"] == 1_000
        assert len(await rows(api)) == 1_000


async def test_pages_run_newest_first_and_end(store: Store) -> None:
    async with open_api(store) as api:
        sent = [(await api.alice.post("/v1/messages", json=NOTICE)).json()["id"] for _ in range(5)]
        await api.bob.post("/v1/messages", json=NOTICE)
        found: list[str] = []
        cursor: str | None = None
        for _ in range(3):
            query = {"limit": "2", **({} if cursor is None else {"cursor": cursor})}
            page = (await api.alice.get("/v1/messages", params=query)).json()
            found += [one["id"] for one in page["data"]]
            cursor = page["next_cursor"]
        assert found == sent[::-1]
        assert cursor is None
        for cursor in ("nonsense", "msg_'; --", "é"):
            assert (await api.alice.get("/v1/messages", params={"cursor": cursor})).status_code == 422


async def test_a_number_is_shown_in_full_to_keys_that_may_read_it_alone(store: Store) -> None:
    async with open_api(store) as api:
        message_id = (await api.alice.post("/v1/messages", json=NOTICE)).json()["id"]
        full = (await api.alice.get(f"/v1/messages/{message_id}")).json()
        assert full["to"] == NUMBER
        messages.MessageShown.model_validate(full)
        scopes = tuple(scope for scope in EVERYTHING if scope != "read:pii")
        async with api.client(await api.key(*scopes)) as client:
            assert (await client.get(f"/v1/messages/{message_id}")).json()["to"] == "+336••••••78"
            assert NUMBER not in (await client.get("/v1/messages")).text


async def test_a_queued_message_is_canceled_once_and_tells_its_event(store: Store) -> None:
    async with open_api(store) as api:
        message_id = (await api.alice.post("/v1/messages", json=NOTICE)).json()["id"]
        canceled = await api.alice.post(f"/v1/messages/{message_id}/cancel")
        assert (canceled.status_code, canceled.json()["state"]) == (200, "canceled")
        again = await api.alice.post(f"/v1/messages/{message_id}/cancel")
        assert (again.status_code, again.json()["code"]) == (409, "already_sent")
        feed = (await api.alice.get("/v1/events")).json()["data"]
        assert [(one["type"], one["subject_id"]) for one in feed] == [("message.canceled", message_id)]
        timeline = (await api.alice.get(f"/v1/messages/{message_id}/timeline")).json()["data"]
        assert [one["what"] for one in timeline] == ["message.queued", "message.canceled"]


async def test_a_message_of_a_conversation_is_not_canceled_alone(store: Store) -> None:
    async with open_api(store) as api:
        started = await api.alice.post("/v1/verifications", json={"to": NUMBER})
        assert started.status_code == 201
        [message] = (await api.alice.get("/v1/messages")).json()["data"]
        assert message["case_id"] == started.json()["id"]
        refused = await api.alice.post(f"/v1/messages/{message['id']}/cancel")
        assert (refused.status_code, refused.json()["code"]) == (409, "belongs_to_case")


async def test_a_get_changes_nothing(store: Store) -> None:
    async with open_api(store) as api:
        message_id = (await api.alice.post("/v1/messages", json=NOTICE)).json()["id"]
        before = await rows(api)
        for path in ("", f"/{message_id}", f"/{message_id}/timeline", f"/{message_id}/cancel"):
            await api.alice.get(f"/v1/messages{path}")
        assert await rows(api) == before
        assert json.loads((await api.alice.get("/v1/events")).text)["data"] == []
