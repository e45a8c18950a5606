"""Bearer keys (S16): proof, scopes, addresses, expiry, revocation, last use, and what refused callers are told."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import trio
from sqlalchemy import select

from engine.api.app import build_app, endpoints
from engine.api.auth import keep_last_used
from engine.api.context import Context
from engine.clock import SECOND
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables_tenancy import ApiKey
from tests.api_client import BOB, EVERYTHING, Api, open_api, settings

_key: Any = ApiKey.__table__  # type: ignore[attr-defined]
KEYS = Statement(lambda _: select(_key.c.id, _key.c.secret_digest, _key.c.last_used_at, _key.c.revoked_at))


async def ask(api: Api, key: str | None, peer: str = "127.0.0.1") -> httpx2.Response:
    async with api.client(key, peer) as client:
        return await client.get("/v1/applications")


async def test_a_request_without_a_key_is_told_how_to_authenticate(store: Store) -> None:
    async with open_api(store) as api:
        answer = await api.anonymous.get("/v1/messages")
        assert (answer.status_code, answer.json()["code"]) == (401, "missing_key")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_wrong_unknown_and_malformed_keys_get_one_answer(store: Store) -> None:
    async with open_api(store) as api:
        key = await api.key("admin")
        wrong = key[:-8] + ("A" if key[-8] != "A" else "B") + key[-7:]
        answers = [await ask(api, text) for text in (wrong, "sceau_test_nonsense", "x" * 3_000, "Basic")]
        assert {(one.status_code, one.text) for one in answers} == {(401, answers[0].text)}


async def test_a_key_of_a_closed_application_opens_nothing(store: Store) -> None:
    async with open_api(store) as api:
        assert (await ask(api, await api.key("admin", application_id="app_none"))).status_code == 401


async def test_a_revoked_key_is_refused_at_once_here_and_within_a_second_elsewhere(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    """S16: revocation."""
    async with open_api(store) as api:
        elsewhere = another_node(api)
        made = (await api.alice.post("/v1/keys", json={"name": "k", "scopes": ["admin"]})).json()
        key = made["key"]
        assert (await ask(api, key)).status_code == 200
        assert (await ask(elsewhere, key)).status_code == 200
        assert (await api.alice.delete(f"/v1/keys/{made['id']}")).status_code == 200
        assert (await ask(api, key)).status_code == 401
        await trio.sleep(0.99)
        assert (await ask(elsewhere, key)).status_code == 401


def another_node(api: Api) -> Api:
    """Return a second application on the same rows, as another node would have."""
    context = Context.of(api.core, api.context.resolver)
    return Api(api.core, context, build_app(context), api.alice, api.bob, api.anonymous)


async def test_an_expired_key_is_refused(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    async with open_api(store) as api:
        key = await api.key("admin", expires_at=api.context.clock.now() + 5 * SECOND)
        assert (await ask(api, key)).status_code == 200
        await trio.sleep(5)
        assert (await ask(api, key)).status_code == 401


async def test_a_key_is_good_from_its_addresses_alone(store: Store) -> None:
    async with open_api(store) as api:
        key = await api.key("admin", addresses=json.dumps(["192.0.2.0/24", "2001:db8::/32"]))
        assert (await ask(api, key, "192.0.2.9")).status_code == 200
        assert (await ask(api, key, "2001:db8::1")).status_code == 200
        assert (await ask(api, key, "::ffff:192.0.2.9")).status_code == 200
        refused = await ask(api, key, "198.51.100.1")
        assert (refused.status_code, refused.json()["code"]) == (403, "address_not_allowed")


async def test_behind_a_proxy_the_forwarded_address_counts_but_only_from_the_proxy(store: Store) -> None:
    async with open_api(store, settings(http={"behind_proxy": True})) as api:
        key = await api.key("admin", addresses=json.dumps(["192.0.2.0/24"]))
        forwarded = {"X-Forwarded-For": "203.0.113.7, 192.0.2.9"}
        async with api.client(key) as proxied, api.client(key, "198.51.100.1") as direct:
            assert (await proxied.get("/v1/applications", headers=forwarded)).status_code == 200
            spoofed = {"X-Forwarded-For": "192.0.2.9, 203.0.113.7"}
            assert (await proxied.get("/v1/applications", headers=spoofed)).status_code == 403
            assert (await direct.get("/v1/applications", headers=forwarded)).status_code == 403
            nonsense = {"X-Forwarded-For": "192.0.2.9, nonsense"}
            assert (await proxied.get("/v1/applications", headers=nonsense)).status_code == 403


async def test_a_guesser_of_keys_is_stopped(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    async with open_api(store) as api:
        key = await api.key("admin")
        answers = [await ask(api, "sceau_live_guess", "203.0.113.5") for _ in range(22)]
        assert [one.status_code for one in answers] == [401] * 20 + [429] * 2
        assert (await ask(api, key, "203.0.113.5")).status_code == 429
        assert (await ask(api, key, "203.0.113.6")).status_code == 200
        await trio.sleep(int(answers[-1].headers["retry-after"]))
        assert (await ask(api, key, "203.0.113.5")).status_code == 200


async def test_a_key_in_the_address_is_refused_whatever_else_is_right(store: Store) -> None:
    queries = ["api_key=x", "ACCESS_TOKEN=x", "token=1", "cursor=sceau_live_abc", "a=1&authorization=Bearer%20x"]
    async with open_api(store) as api:
        for query in queries:
            answer = await api.alice.get(f"/v1/messages?{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, "key_in_query"), query


async def test_every_operation_is_closed_to_a_key_without_its_scope(store: Store) -> None:
    """S16: the scope matrix, generated from the operations."""
    async with open_api(store) as api:
        document = (await api.anonymous.get("/openapi.json")).json()
        for method, path in endpoints():
            needed = document["paths"][path][method.lower()]["x-scopes"]
            if not needed:
                continue
            others = [scope for scope in EVERYTHING if scope not in {*needed, "admin"}]
            async with api.client(await api.key(*others)) as client:
                answer = await client.request(method, path.replace("{position}", "1").replace("{", "").replace("}", ""))
            assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), (method, path)


async def test_a_key_is_never_stored_and_shown_once(store: Store) -> None:
    async with open_api(store) as api:
        keyed = {"Idempotency-Key": "make"}
        body = {"name": "k", "scopes": ["send:otp"]}
        made = await api.alice.post("/v1/keys", json=body, headers=keyed)
        assert made.status_code == 201
        text = made.json()["key"]
        again = await api.alice.post("/v1/keys", json=body, headers=keyed)
        assert (again.status_code, again.json()["key"], again.json()["id"]) == (201, None, made.json()["id"])
        secret = text.split("_")[3]
        stored = await store.read(lambda tx: tx.all(KEYS))
        assert not any(secret in str(row) for row in stored)
        assert text not in (await api.alice.get("/v1/keys")).text
        assert (await api.alice.get(f"/v1/keys/{made.json()['id']}")).json()["scopes"] == ["send:otp"]


async def test_a_key_gives_no_scope_that_it_lacks(store: Store) -> None:
    async with open_api(store) as api, api.client(await api.key("keys:manage", "send:otp")) as client:
        given = await client.post("/v1/keys", json={"name": "k", "scopes": ["send:otp"]})
        assert given.status_code == 201
        refused = await client.post("/v1/keys", json={"name": "k", "scopes": ["send:otp", "read:pii"]})
        assert (refused.status_code, refused.json()["code"]) == (403, "scope_not_yours")


async def test_last_use_is_written_in_batches(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    async with open_api(store) as api:
        await api.alice.get("/v1/applications")
        before = {row[0]: row[2] for row in await store.read(lambda tx: tx.all(KEYS))}
        assert set(before.values()) == {None}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_last_used, api.context.door, store)
            await trio.sleep(6)
            nursery.cancel_scope.cancel()
        after = [row[2] for row in await store.read(lambda tx: tx.all(KEYS))]
        assert sum(instant is not None for instant in after) == 1


async def test_an_application_is_opened_with_a_key_that_sees_nothing_of_the_other(store: Store) -> None:
    async with open_api(store) as api:
        made = (await api.alice.post("/v1/applications", json={"name": "Carol"})).json()
        async with api.client(made["first_key"]["key"]) as carol:
            seen = (await carol.get("/v1/applications")).json()["data"]
            assert [one["id"] for one in seen] == [made["id"]]
            assert (await carol.get(f"/v1/applications/{BOB}")).status_code == 404
        assert (await api.alice.get(f"/v1/applications/{made['id']}")).status_code == 404
