"""The feed and its replays, webhook endpoints, profiles, replies, numbers, stats: each by what a caller sees."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from engine.api import stats
from engine.events import EVENT_TYPES
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables_tenancy import Endpoint, Idempotency, WebhookDelivery
from tests.api_client import NUMBER, Api, open_api, settings
from tests.test_api_tenants import CANARY, NUMBERS, populate

_delivery: Any = WebhookDelivery.__table__  # type: ignore[attr-defined]
_endpoint: Any = Endpoint.__table__  # type: ignore[attr-defined]
_kept: Any = Idempotency.__table__  # type: ignore[attr-defined]
OWED = Statement(lambda _: select(_delivery.c.endpoint_id, _delivery.c.position, _delivery.c.state))
SECRETS = Statement(lambda _: select(_endpoint.c.secrets_sealed))
KEPT = Statement(lambda _: select(_kept.c.body))
HOOKS = "/v1/webhook-endpoints"


async def cancel_messages(api: Api, count: int) -> None:
    """Raise one event for each of some messages."""
    for _ in range(count):
        body = {"to": NUMBER, "text": "hello", "category": "transactional"}
        message = (await api.alice.post("/v1/messages", json=body)).json()["id"]
        await api.alice.post(f"/v1/messages/{message}/cancel")


async def test_the_feed_is_read_by_position_without_gaps_or_repeats(store: Store) -> None:
    async with open_api(store) as api:
        await cancel_messages(api, 5)
        found: list[int] = []
        after = 0
        for _ in range(3):
            page = (await api.alice.get("/v1/events", params={"after": after, "limit": 2})).json()
            found += [one["position"] for one in page["data"]]
            after = page["next_after"]
        assert (found, after, page["next_cursor"]) == ([1, 2, 3, 4, 5], 5, None)
        await cancel_messages(api, 1)
        rest = (await api.alice.get("/v1/events", params={"after": after})).json()
        assert [one["position"] for one in rest["data"]] == [6]


async def test_a_filtered_feed_still_moves_on(store: Store) -> None:
    async with open_api(store) as api:
        await cancel_messages(api, 3)
        await api.alice.post("/v1/verifications", json={"to": NUMBER})
        page = (await api.alice.get("/v1/events", params={"types": "verification.created"})).json()
        assert [one["type"] for one in page["data"]] == ["verification.created"]
        none = (await api.alice.get("/v1/events", params={"types": "message.received"})).json()
        assert (none["data"], none["next_after"]) == ([], page["next_after"])


async def test_every_event_in_the_feed_has_a_type_and_fields_of_the_table(store: Store) -> None:
    async with open_api(store) as api:
        await cancel_messages(api, 1)
        await api.alice.post("/v1/verifications", json={"to": NUMBER})
        for event in (await api.alice.get("/v1/events")).json()["data"]:
            assert event["data"].keys() <= EVENT_TYPES[event["type"]][1].keys()


async def test_an_endpoint_is_shown_its_secret_once_and_it_is_stored_sealed(store: Store) -> None:
    async with open_api(store) as api:
        keyed = {"Idempotency-Key": "hook"}
        body = {"url": "https://example.org/hook"}
        made = await api.alice.post(HOOKS, json=body, headers=keyed)
        assert made.status_code == 201
        secret = made.json()["secret"]
        assert secret.startswith("whsec_")
        assert (await api.alice.post(HOOKS, json=body, headers=keyed)).json()["secret"] is None
        path = f"{HOOKS}/{made.json()['id']}"
        turned = (await api.alice.post(f"{path}/rotate-secret", json={"overlap_s": 60})).json()["secret"]
        assert turned != secret
        shown = (await api.alice.get(HOOKS)).text + (await api.alice.get(path)).text
        kept = await store.read(lambda tx: [*tx.all(SECRETS), *tx.all(KEPT)])
        for one in (secret, turned):
            assert one not in shown
            assert not any(one in str(row) for row in kept)


async def test_an_endpoint_is_changed_disabled_and_deleted(store: Store) -> None:
    async with open_api(store) as api:
        made = (await api.alice.post(HOOKS, json={"url": "https://example.org/hook"})).json()
        path = f"{HOOKS}/{made['id']}"
        changed = await api.alice.patch(path, json={"mode": "batch", "event_types": ["message.delivered"]})
        assert (changed.json()["mode"], changed.json()["event_types"]) == ("batch", ["message.delivered"])
        assert (await api.alice.patch(path, json={"state": "disabled"})).json()["state"] == "disabled"
        await cancel_messages(api, 1)
        refused = await api.alice.post("/v1/events/1/replay", json={"endpoint_id": made["id"]})
        assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_gone")
        assert (await api.alice.delete(path)).status_code == 200
        assert (await api.alice.get(path)).status_code == 404
        assert (await api.alice.delete(path)).status_code == 404


async def test_addresses_that_may_not_be_called_are_refused(store: Store) -> None:
    """S18: the API's part; what a name resolves to is seen at each connection."""
    async with open_api(store) as api:
        for url in (
            "http://example.org/",
            "https://127.0.0.1/",
            "https://[::ffff:127.0.0.1]/",
            "https://169.254.169.254/latest",
            "https://user:password@example.org/",
            "https://example.org:22/",
            "ftp://example.org/",
        ):
            answer = await api.alice.post(HOOKS, json={"url": url})
            assert (answer.status_code, answer.json()["code"]) == (422, "endpoint_refused"), url
        unknown = await api.alice.post(HOOKS, json={"url": "https://example.org/", "event_types": ["nope"]})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "invalid")


async def test_an_event_is_replayed_to_an_endpoint_of_the_same_application(store: Store) -> None:
    async with open_api(store) as api:
        await cancel_messages(api, 1)
        made = (await api.alice.post(HOOKS, json={"url": "https://example.org/hook"})).json()
        assert await store.read(lambda tx: tx.all(OWED)) == []
        replayed = await api.alice.post("/v1/events/1/replay", json={"endpoint_id": made["id"]})
        assert replayed.status_code == 202
        assert await store.read(lambda tx: tx.all(OWED)) == [(made["id"], 1, "pending")]
        gone = await api.alice.post("/v1/events/2/replay", json={"endpoint_id": made["id"]})
        assert (gone.status_code, gone.json()["code"]) == (404, "event_not_kept")
        foreign = await api.bob.post("/v1/events/1/replay", json={"endpoint_id": made["id"]})
        assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")


async def test_a_profile_is_written_whole_and_checked_by_the_workflow(store: Store) -> None:
    async with open_api(store) as api:
        written = await api.alice.put("/v1/profiles/payment", json={"code_length": 8, "resend_policy": "rotate"})
        assert written.status_code == 200
        settings_shown = written.json()["settings"]
        assert (settings_shown["code_length"], settings_shown["resend_policy"]) == (8, "rotate")
        assert (await api.alice.get("/v1/profiles/payment")).json() == written.json()
        again = await api.alice.put("/v1/profiles/payment", json={})
        assert again.json()["settings"]["code_length"] == 6
        refused = await api.alice.put("/v1/profiles/payment", json={"code_length": 4})
        assert (refused.status_code, refused.json()["code"], refused.json()["setting"]) == (
            422,
            "profile_invalid",
            "code_length",
        )
        names = [one["name"] for one in (await api.alice.get("/v1/profiles")).json()["data"]]
        assert names == ["default", "payment"]
        first = (await api.alice.get("/v1/profiles", params={"limit": 1})).json()
        rest = (await api.alice.get("/v1/profiles", params={"cursor": first["next_cursor"]})).json()
        assert [one["name"] for one in rest["data"]] == ["payment"]
        started = await api.alice.post("/v1/verifications", json={"to": NUMBER, "profile": "payment"})
        assert started.json()["profile"] == "payment"


async def test_a_reply_is_opened_for_keys_that_may_read_it_alone(store: Store) -> None:
    async with open_api(store, settings(numbers=NUMBERS)) as api:
        reply = (await populate(api))["reply_id"]
        assert (await api.alice.get(f"/v1/replies/{reply}")).json()["text"] == CANARY
        async with api.client(await api.key("admin")) as admin:
            assert (await admin.get(f"/v1/replies/{reply}")).status_code == 403
            listed = await admin.get("/v1/replies")
        assert [one["from_number"] for one in listed.json()["data"]] == ["+336••••••78"]
        assert CANARY not in listed.text


async def test_numbers_are_looked_up_offline(store: Store) -> None:
    async with open_api(store) as api:
        found = (await api.alice.get(f"/v1/lookup/{NUMBER}")).json()
        assert (found["country"], found["type"], found["valid"]) == ("FR", "mobile", True)
        assert found["original_network"]["mcc_mnc"]
        national = (await api.alice.get("/v1/lookup/06 12 34 56 78", params={"region": "FR"})).json()
        assert national == found
        refused = await api.alice.get("/v1/lookup/0612345678")
        assert (refused.status_code, refused.json()["code"]) == (422, "number_needs_country")


async def test_a_text_is_measured_before_it_is_sent(store: Store) -> None:
    """E14: the caller sees the alphabet, the parts, and the characters that cost them, first."""
    texts: list[tuple[str, str, int, list[str]]] = [
        ("hello", "gsm7", 1, []),
        ("reçu", "ucs2", 1, ["ç"]),
        ("€" * 81, "gsm7", 2, []),
        ("😀" * 36, "ucs2", 2, ["😀"]),
    ]
    async with open_api(store) as api:
        for text, alphabet, parts, non_gsm in texts:
            shown = (await api.alice.post("/v1/preview", json={"text": text})).json()
            assert (shown["alphabet"], shown["parts"], shown["non_gsm"]) == (alphabet, parts, non_gsm)


async def test_stats_count_the_applications_own_messages_and_show_every_bind(store: Store) -> None:
    async with open_api(store, settings()) as api:
        bodies = [{"to": NUMBER, "text": "x", "category": "marketing"}] * 3
        await api.alice.post("/v1/messages/batch", json={"messages": bodies})
        await api.alice.post("/v1/verifications", json={"to": NUMBER})
        await api.bob.post("/v1/messages/batch", json={"messages": bodies[:1]})
        shown = (await api.alice.get("/v1/stats")).json()
        stats.StatsShown.model_validate(shown)
        assert {one["lane"]: one["queued"] for one in shown["lanes"]} == {"otp": 1, "transactional": 0, "bulk": 3}
        assert [one["line"] for one in shown["binds"]] == ["sim/main"]
