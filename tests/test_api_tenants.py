"""Two tenants: every operation of the OpenAPI document, called with the other's key, tells nothing (S33)."""

from __future__ import annotations

import json
import re
from typing import Any

from engine.store.doorway import Store
from engine.store.statements import column_kinds, insert
from engine.store.tables import Reply
from engine.store.transaction import Tx
from tests.api_client import ALICE, NUMBER, Api, open_api, settings

_INSERT_REPLY = insert(Reply, column_kinds(Reply))
CANARY = "canary-of-alice"
NUMBERS = {"main": {"address": "38000", "application": ALICE, "accounts": ["sim"]}}
REPLY = "rep_" + "5" * 32
# Values that any body of the document may be filled with; a schema's own type decides the rest.
KNOWN: dict[str, Any] = {
    "to": "+33612345679",
    "category": "transactional",
    "text": "hello",
    "code": "123456",
    "scopes": ["messages:read"],
    "url": "https://example.org/hook",
    "name": "a name",
    "phone": "+33612345679",
    "sha256": "0" * 64,
    "document_sha256": "0" * 64,
    "consent_at": "2026-11-26T12:00:00Z",
    "reason": "because",
    "secret": "a secret",
    "starts_at": "2027-01-01T10:00:00Z",
    "ends_at": "2027-01-01T12:00:00Z",
    "public_key": "A" * 43,
    "content": "{}",
    "signature": "A" * 86,
    "salt": "0" * 32,
    "value": "482913",
    "decision": "unlocked",
    "supervisor_id": "chief",
    "courier_id": "courier",
    "form": "a-form",
    "event": "visit",
    "words": "no more",
}


OWN_NAMES = ("/v1/profiles/{name}", "/v1/lead-models/{name}")


async def populate(api: Api) -> dict[str, str]:
    """Give Alice one of everything; return the values of path parameters and of ids in bodies."""
    notice = {"to": NUMBER, "text": "hello", "category": "transactional", "reference": CANARY}
    message = (await api.alice.post("/v1/messages", json=notice)).json()
    verification = (await api.alice.post("/v1/verifications", json={"to": NUMBER, "session": CANARY})).json()
    key = (await api.alice.post("/v1/keys", json={"name": CANARY, "scopes": ["messages:read"]})).json()
    url = f"https://example.org/{CANARY}"
    endpoint = (await api.alice.post("/v1/webhook-endpoints", json={"url": url})).json()
    await api.alice.put(f"/v1/profiles/{CANARY}", json={"brand": "Alice"})
    asked = {"documents": [{"name": CANARY, "sha256": "1" * 64}], "signers": [{"phone": NUMBER, "name": CANARY}]}
    signature = (await api.alice.post("/v1/signature-requests", json=asked)).json()
    started = {"claimed": NUMBER, "reference": CANARY}
    reverse = (await api.alice.post("/v1/reverse-verifications", json=started)).json()

    slot = {"starts_at": "2027-01-01T10:00:00Z", "ends_at": "2027-01-01T12:00:00Z"}
    parcel = {"recipient": {"phone": NUMBER, "name": CANARY}, "slot": slot, "title": CANARY, "reference": CANARY}
    filled = {"phone": NUMBER, "form": CANARY, "reference": CANARY, "fields": {"name": CANARY}}
    lead = (await api.alice.post("/v1/leads", json=filled)).json()
    await api.alice.put(f"/v1/lead-models/{CANARY}", json={"brand": "Alice"})
    delivery = (await api.alice.post("/v1/deliveries", json=parcel)).json()
    phone = {"courier_id": CANARY, "public_key": "A" * 43, "name": CANARY}
    device = (await api.alice.post("/v1/courier-devices", json=phone)).json()

    def reply(tx: Tx) -> None:
        row = {
            "id": REPLY,
            "application_id": ALICE,
            "case_id": None,
            "account": "sim",
            "source": NUMBER,
            "source_raw": NUMBER,
            "source_fp": "fp",
            "our_number": "38000",
            "sealed": api.context.keyring.seal(CANARY.encode(), REPLY),
            "state": "unmatched",
            "choice": "",
            "flags": "",
            "received_at": 1,
        }
        tx.batch(_INSERT_REPLY, [list(row.values())])

    await api.context.store.write(reply)
    return {
        "message_id": message["id"],
        "verification_id": verification["id"],
        "key_id": key["id"],
        "endpoint_id": endpoint["id"],
        "reply_id": REPLY,
        "request_id": signature["id"],
        "reverse_id": reverse["id"],
        "delivery_id": delivery["id"],
        "lead_id": lead["id"],
        "device_id": device["id"],
        "signing_id": signature["signings"][0]["id"],
        "signer_id": signature["signers"][0]["id"],
        "document_id": signature["documents"][0]["id"],
        "name": CANARY,
        "application_id": ALICE,
        "position": "1",
        "number": "+33612345679",
    }


def body_of(document: dict[str, Any], operation: dict[str, Any], ids: dict[str, str]) -> Any:
    """Return the least body that an operation's schema asks for, with Alice's ids wherever one fits."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    return None if content is None else _filled(document, content["schema"], ids, "")


def _filled(document: dict[str, Any], schema: dict[str, Any], ids: dict[str, str], name: str) -> Any:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if name.endswith("_id") and name in ids:
        return ids[name]
    if name in KNOWN:
        return KNOWN[name]
    if schema.get("type") == "array":
        return [_filled(document, schema["items"], ids, "")]
    required = schema.get("required", [])
    return {one: _filled(document, schema["properties"][one], ids, one) for one in required}


async def state_of(api: Api, ids: dict[str, str]) -> list[str]:
    """Return everything of Alice's that a GET shows."""
    paths = [
        "/v1/messages",
        "/v1/verifications",
        "/v1/signature-requests",
        "/v1/reverse-verifications",
        "/v1/leads",
        "/v1/lead-models",
        "/v1/deliveries",
        "/v1/courier-devices",
        f"/v1/deliveries/{ids['delivery_id']}/proof",
        f"/v1/signature-requests/{ids['request_id']}/evidence",
        "/v1/webhook-endpoints",
        "/v1/profiles",
        "/v1/replies",
        "/v1/events",
        "/v1/applications",
        f"/v1/messages/{ids['message_id']}/timeline",
        f"/v1/verifications/{ids['verification_id']}/timeline",
    ]
    keys = (await api.alice.get("/v1/keys")).json()["data"]
    shown = [(await api.alice.get(path)).text for path in paths]
    return [*shown, json.dumps([{**key, "last_used_at": None} for key in keys])]


async def test_a_second_applications_key_sees_and_changes_nothing(store: Store) -> None:
    async with open_api(store, settings(numbers=NUMBERS)) as api:
        ids = await populate(api)
        before = await state_of(api, ids)
        secrets = [*(value for name, value in ids.items() if name.endswith("_id")), CANARY, NUMBER]
        document = (await api.anonymous.get("/openapi.json")).json()
        called = 0
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                body = body_of(document, operation, ids)
                filled = re.sub(r"\{(\w+)\}", lambda match: ids[match[1]], path)
                answer = await api.bob.request(method.upper(), filled, json=body)
                called += 1
                assert answer.status_code < 500, (method, path)
                assert str(answer.status_code) in operation["responses"], (method, path, answer.status_code)
                leaked = [secret for secret in secrets if secret in answer.text]
                own_name = [CANARY] if method == "put" and path in OWN_NAMES else []
                assert leaked == own_name, (method, path, answer.text)
                owned = "_id}" in path or path == "/v1/events/{position}/replay"
                if owned:
                    unknown = re.sub(r"\{(\w+)\}", lambda match: _unknown(match[1], ids), path)
                    absent = await api.bob.request(method.upper(), unknown, json=_without_ids(body))
                    assert (answer.status_code, answer.text) == (404, absent.text), (method, path)
        assert called == sum(len(operations) for operations in document["paths"].values()) >= 35
        assert await state_of(api, ids) == before


def _unknown(name: str, ids: dict[str, str]) -> str:
    return "7" if name == "position" else ids[name].partition("_")[0] + "_" + "0" * 32


def _without_ids(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    return {name: ("whe_" + "0" * 32 if name == "endpoint_id" else value) for name, value in body.items()}


async def test_cursors_and_positions_of_another_application_lead_nowhere(store: Store) -> None:
    async with open_api(store, settings(numbers=NUMBERS)) as api:
        ids = await populate(api)
        for path, cursor in (("messages", "message_id"), ("verifications", "verification_id"), ("keys", "key_id")):
            page = (await api.bob.get(f"/v1/{path}", params={"cursor": ids[cursor]})).json()
            assert not any(CANARY in str(one) for one in page["data"])
        assert (await api.bob.get("/v1/events")).json() == {"data": [], "next_after": 0, "next_cursor": None}
