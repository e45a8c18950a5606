"""The routes of deliveries and couriers, and the page of a code, on both databases: outcomes, scopes, races, proofs."""

from __future__ import annotations

import base64
import io
import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import httpx2
import pytest
import trio
import zxingcpp
from PIL import Image

from engine.api.app import TABLES, build_app
from engine.api.idempotency import UNDER_WAY, InFlight
from engine.cases.outcomes import Wakes
from engine.clock import HOUR, to_rfc3339
from engine.errors import CommitUnknown, StoreUnavailable
from engine.evidence.bundle import collect
from engine.evidence.exporting import Exporter
from engine.evidence.verify_bundle import Outside, verify
from engine.handover_client import Log, check_qr, new_key
from engine.settings import Settings
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables import Event
from tests.api_client import ALICE, Api, open_api
from tests.test_api_signatures import REPLIED
from tests.test_api_tenants import body_of
from workflows.base import Outcome, Settled

PATH = "/v1/deliveries"
ANNA, BORIS = "+33612345671", "+33612345672"
COURIER = {"courier_id": "courier-17"}
EVENTS = Statement(lambda _: Event.__table__.select())  # type: ignore[attr-defined]
SETTINGS: dict[str, Any] = {**REPLIED, "http": {"public_url": "https://sceau.test"}}


def opened(store: Store) -> Any:
    return open_api(store, Settings(**SETTINGS))


def stop(api: Api, **changed: Any) -> dict[str, Any]:
    now = api.context.clock.now()
    slot = {"starts_at": to_rfc3339(now + HOUR), "ends_at": to_rfc3339(now + 3 * HOUR)}
    return {"recipient": {"phone": ANNA, "name": "Anna Durand"}, "slot": slot, "title": "colis 4471", **changed}


async def create(api: Api, **changed: Any) -> str:
    answer = await api.alice.post(PATH, json=stop(api, **changed))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def arrived(api: Api, **changed: Any) -> tuple[str, str]:
    """A delivery whose code an operator has taken; its id and the code."""
    delivery = await create(api, **changed)
    assert (await api.alice.post(f"{PATH}/{delivery}/arriving", json=COURIER)).status_code == 200
    await accepted(api, delivery)
    return delivery, await code(api, delivery)


async def accepted(api: Api, delivery: str) -> None:
    case, clock = api.context.deliveries, api.context.clock

    def take(tx: Any) -> None:
        held = case.load(tx, ALICE, delivery)
        assert held is not None
        event = Settled(held.case.messages[-1], Outcome.ACCEPTED)
        case.take(tx, held, event, clock.now(), Wakes(), "engine")

    await api.context.store.write(take)


async def code(api: Api, delivery: str) -> str:
    answer = await api.alice.post(f"{PATH}/{delivery}/reveal", json={"reason": "a test"})
    return str(answer.json()["code"])


async def confirm(api: Api, delivery: str, entered: str) -> tuple[int, str]:
    answer = await api.alice.post(f"{PATH}/{delivery}/confirm", json={**COURIER, "code": entered})
    body = answer.json()
    return answer.status_code, body.get("code", body.get("state"))


async def test_a_route_from_creation_to_proof(store: Store) -> None:
    async with opened(store) as api:
        delivery, right = await arrived(api)
        wrong = "000000" if right != "000000" else "111111"
        assert await confirm(api, delivery, wrong) == (422, "code_mismatch")
        assert await confirm(api, delivery, f"{right[:3]} {right[3:]}") == (200, "delivered")
        assert await confirm(api, delivery, right) == (409, "already_delivered")
        shown = (await api.alice.get(f"{PATH}/{delivery}")).json()
        assert (shown["state"], shown["to"], shown["assurance"]) == ("delivered", "+336••••••71", "code")
        assert (await api.alice.get(f"{PATH}/{delivery}/proof")).json()["closed"]
        pdf = await api.alice.get(f"{PATH}/{delivery}/proof.pdf")
        assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
        names = [one["id"] for one in (await api.alice.get(PATH)).json()["data"]]
        assert names == [delivery]


async def test_a_route_of_two_hundred_stops_is_one_call_and_each_stop_has_its_own_result(embedded: Store) -> None:
    async with opened(embedded) as api:
        stops = [stop(api, reference=f"stop-{number}") for number in range(200)]
        stops[7]["recipient"] = {"phone": "+3361234"}
        stops[8]["slot"] = {**stops[8]["slot"], "ends_at": stops[8]["slot"]["starts_at"]}
        answer = await api.alice.post(f"{PATH}/batch", json={"deliveries": stops})
        shown = answer.json()
        assert (shown["created"], shown["refused"]) == (198, 2)
        assert [one["problem"]["code"] for one in shown["results"][7:9]] == ["impossible_number", "bad_slot"]
        assert shown["results"][199]["delivery"]["reference"] == "stop-199"
        assert (await api.alice.post(f"{PATH}/batch", json={"deliveries": [*stops, stops[0]]})).status_code == 422


BATCH = f"{PATH}/batch"


def failing(store: Store, monkeypatch: pytest.MonkeyPatch, at: int, error: Exception) -> None:
    """Have one of the store's writes fail, counted from now and from 1."""
    write, calls = store.write, [0]

    async def wrapped(job: Any, **how: Any) -> Any:
        calls[0] += 1
        if calls[0] == at:
            raise error
        return await write(job, **how)

    monkeypatch.setattr(store, "write", wrapped)


async def test_codes_pass_between_the_slices_of_a_route(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of 200 stops in one transaction would hold everybody up for some 300 ms."""
    async with opened(store) as api:
        write, codes = store.write, list[int]()

        async def watched(job: Any, **how: Any) -> Any:
            result = await write(job, **how)
            if getattr(result, "status", None) == UNDER_WAY:
                answer = await api.alice.post("/v1/verifications", json={"to": f"+3361234560{len(codes)}"})
                codes.append(answer.status_code)
            return result

        monkeypatch.setattr(store, "write", watched)
        answer = await api.alice.post(BATCH, json={"deliveries": [stop(api) for _ in range(50)]})
        assert (answer.json()["created"], codes) == (50, [201, 201])
        events = (await api.alice.get("/v1/events", params={"limit": 100})).json()["data"]
        places = [at for at, one in enumerate(events) if one["type"] == "verification.created"]
        assert places == [20, 41]


@pytest.mark.parametrize(
    ("error", "code"),
    [(StoreUnavailable("gone"), "store_unavailable"), (CommitUnknown("gone"), "commit_unknown")],
)
async def test_a_route_that_is_cut_short_tells_which_stops_are_missing_and_its_key_makes_them(
    embedded: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str
) -> None:
    async with opened(embedded) as api:
        body = {"deliveries": [stop(api, reference=f"stop-{number}") for number in range(70)]}
        body["deliveries"][3]["recipient"] = {"phone": "+3361234"}
        keyed = {"Idempotency-Key": "route-1"}
        with monkeypatch.context() as patch:
            failing(embedded, patch, 3, error)
            cut = await api.alice.post(BATCH, json=body, headers=keyed)
        assert cut.status_code == 200
        statuses = [one["status"] for one in cut.json()["results"]]
        assert statuses == [201] * 3 + [422] + [201] * 36 + [503] * 30
        assert [one["problem"]["code"] for one in cut.json()["results"][40:]] == [code] * 20 + [
            "store_unavailable"
        ] * 10
        whole = await api.alice.post(BATCH, json=body, headers=keyed)
        assert (whole.json()["created"], whole.json()["results"][:40]) == (69, cut.json()["results"][:40])
        assert "idempotency-replayed" not in whole.headers
        again = await api.alice.post(BATCH, json=body, headers=keyed)
        assert (again.text, again.headers["idempotency-replayed"]) == (whole.text, "true")
        other = await api.alice.post(BATCH, json={"deliveries": body["deliveries"][:2]}, headers=keyed)
        assert other.json()["code"] == "idempotency_mismatch"
        assert len((await api.alice.get(PATH, params={"limit": 100})).json()["data"]) == 69


async def test_a_route_of_which_nothing_was_stored_is_refused_whole(
    embedded: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(embedded) as api:
        body = {"deliveries": [stop(api) for _ in range(30)]}
        with monkeypatch.context() as patch:
            failing(embedded, patch, 1, StoreUnavailable("gone"))
            refused = await api.alice.post(BATCH, json=body)
        assert (refused.status_code, refused.json()["code"]) == (503, "store_unavailable")
        assert (await api.alice.get(PATH)).json()["data"] == []


async def test_two_processes_with_one_route_under_way_make_it_once(store: Store) -> None:
    async with opened(store) as api:
        context = replace(api.context, in_flight=InFlight())
        twin = Api(api.core, context, build_app(context), api.alice, api.bob, api.anonymous)
        key = api.alice.headers["authorization"].removeprefix("Bearer ")
        body = {"deliveries": [stop(api) for _ in range(50)]}
        texts: list[str] = []

        async def post(client: Any) -> None:
            texts.append((await client.post(BATCH, json=body, headers={"Idempotency-Key": "route-1"})).text)

        async with twin.client(key) as other, trio.open_nursery() as nursery:
            nursery.start_soon(post, api.alice)
            nursery.start_soon(post, other)
        assert texts[0] == texts[1]
        assert len((await api.alice.get(PATH, params={"limit": 100})).json()["data"]) == 50


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"title": "see www.evil.example"}, "bad_text"),
        ({"slot": {"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-01-01T01:00:00Z"}}, "bad_slot"),
        ({"slot": {"starts_at": "soon", "ends_at": "later"}}, "invalid"),
        ({"code_length": 5}, "invalid"),
        ({"recipient": {"phone": "+33899123456"}}, "number_type_denied"),
        ({"recipient": {"phone": ANNA, "language": "pt"}}, "language_not_offered"),
    ],
)
async def test_what_cannot_be_is_refused_clearly(embedded: Store, change: dict[str, Any], code: str) -> None:
    async with opened(embedded) as api:
        answer = await api.alice.post(PATH, json=stop(api, **change))
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_a_hundred_codes_at_once_are_five_attempts_and_one_right_one_confirms_once(store: Store) -> None:
    async with opened(store) as api:
        guessed, right = await arrived(api)
        wrong = [f"{number:06}" for number in range(60) if f"{number:06}" != right]
        answers: Counter[str] = Counter()

        async def enter(delivery: str, value: str) -> None:
            answers[(await confirm(api, delivery, value))[1]] += 1

        async with trio.open_nursery() as nursery:
            for value in wrong[:50]:
                nursery.start_soon(enter, guessed, value)
        assert answers == {"code_mismatch": 5, "delivery_locked": 45}
        answers.clear()
        other, right = await arrived(api, recipient={"phone": BORIS})
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(enter, other, right)
        assert answers == {"delivered": 1, "already_delivered": 49}


async def test_each_scope_opens_its_own_doors(embedded: Store) -> None:
    async with opened(embedded) as api:
        delivery, right = await arrived(api)
        clients = {
            name: api.client(await api.key(f"handover:{name}"))
            for name in ("courier", "merchant", "supervise", "reveal")
        }
        decision = {"decision": "unlocked", "supervisor_id": "chief-1", "reason": "why"}
        calls: dict[str, tuple[str, Any, set[str]]] = {
            "arriving": ("POST", COURIER, {"courier", "merchant"}),
            "position": ("POST", COURIER, {"courier", "merchant"}),
            "confirm": ("POST", {**COURIER, "code": "12"}, {"courier"}),
            "override": ("POST", decision, {"supervise"}),
            "reveal": ("POST", {"reason": "why"}, {"reveal"}),
            "regenerate": ("POST", None, {"merchant"}),
            "timeline": ("GET", None, {"merchant"}),
            "proof": ("GET", None, {"merchant"}),
        }
        for what, (method, body, allowed) in calls.items():
            opens = set()
            for name, client in clients.items():
                answer = await client.request(method, f"{PATH}/{delivery}/{what}", json=body)
                opens |= {name} if answer.status_code != 403 else set()
            assert opens == allowed, what
        assert (await clients["courier"].get(f"{PATH}/{delivery}")).status_code == 403
        admin = api.client(await api.key("admin"))
        assert (await admin.post(f"{PATH}/{delivery}/reveal", json={})).status_code == 403
        assert right


async def test_a_courier_finds_no_code_anywhere(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    """Complaint 12: every operation, page, error, webhook and log line, crawled with a courier's key."""
    async with opened(store) as api:
        delivery, right = await arrived(api)
        over, spent = await arrived(api, recipient={"phone": BORIS})
        assert await confirm(api, over, spent) == (200, "delivered")
        courier = api.client(await api.key("handover:courier"))
        document = (await api.anonymous.get("/openapi.json")).json()
        ids = {"delivery_id": delivery, "position": "1", "number": ANNA} | dict.fromkeys(
            ("request_id", "signing_id", "signer_id", "document_id", "message_id", "verification_id", "reverse_id",
             "key_id", "endpoint_id", "reply_id", "device_id", "lead_id", "name", "application_id"), delivery
        )  # fmt: skip
        heard: list[str] = []
        called = 0
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                for known in (delivery, over):
                    filled = re.sub(
                        r"\{(\w+)\}", lambda found, known=known: {**ids, "delivery_id": known}[found[1]], path
                    )
                    body = body_of(document, operation, {})
                    answer = await courier.request(method.upper(), filled, json=body)
                    heard += [answer.text, str(answer.headers)]
                    called += 1
        assert called == 2 * sum(len(table.endpoints) for table in TABLES)
        for door in ("/h/", "/r/", "/docs", "/nowhere/"):
            heard.append((await courier.get(f"{door}{delivery}")).text)
        rows = await api.context.store.read(lambda tx: tx.all(EVENTS))
        heard += [json.dumps([str(value) for value in row]) for row in rows]
        captured = capfd.readouterr()
        heard += [captured.out, captured.err]
        for secret in (right, spent):
            parts = {secret[start:end] for start in range(6) for end in range(start + 4, 7)}
            alone = {run for text in heard for run in re.findall(r"(?<![\w.-])\d{4,6}(?![\w.-])", text)}
            assert not alone & parts


async def test_the_page_is_kept_by_a_browser_and_its_qr_code_is_read_by_a_foreign_decoder(store: Store) -> None:
    async with opened(store) as api:
        delivery, _ = await arrived(api)
        revealed = (await api.alice.post(f"{PATH}/{delivery}/reveal", json={})).json()
        page = await api.anonymous.get(revealed["page"])
        assert page.status_code == 200
        assert re.fullmatch(r"private, max-age=[1-9][0-9]*", page.headers["cache-control"])
        assert "<script" not in page.text
        assert revealed["code"] not in page.text
        picture = re.findall(r'<img[^>]* src="data:image/png;base64,([^"]+)"', page.text)[0]
        [read] = zxingcpp.read_barcodes(Image.open(io.BytesIO(base64.b64decode(picture))))
        courier = api.client(await api.key("handover:courier"))
        keys = (await courier.get("/v1/handover-keys")).json()["keys"]
        assert check_qr(read.text, keys, delivery, api.context.clock.now() / 1e6) is not None
        assert await confirm(api, delivery, read.text) == (200, "delivered")
        after = await api.anonymous.get(revealed["page"])
        assert ("La livraison a été remise." in after.text, after.headers["cache-control"]) == (True, "no-store")
        unknown = await api.anonymous.get(f"/h/{'A' * 22}")
        assert (unknown.status_code, unknown.headers["cache-control"]) == (404, "no-store")


async def test_a_device_brings_its_log_home_by_http(store: Store, tmp_path: Any) -> None:
    async with opened(store) as api:
        delivery, right = await arrived(api)
        key, public = new_key()
        registered = await api.alice.post("/v1/courier-devices", json={**COURIER, "public_key": public})
        assert registered.status_code == 201, registered.text
        log = Log(tmp_path / "log.json", key, registered.json()["id"], lambda: api.context.clock.now() / 1e6)
        log.enter(delivery, "courier-17", right, "48.85661,2.35222")
        courier = api.client(await api.key("handover:courier"))
        first = await courier.post("/v1/handover-log", json=log.body(0, 0))
        assert (first.status_code, first.json()["state"]) == (200, "claimed")
        again = Log(log.path, key, log.device, log.clock)  # as after a restart of the device
        synced = (await courier.post("/v1/handover-log", json=again.body())).json()
        assert [one["result"] for one in synced["entries"]] == ["confirmed"]
        assert (await api.alice.get("/v1/courier-devices")).json()["data"][0]["adjudicated"] == 1
        bad = await api.alice.post("/v1/courier-devices", json={**COURIER, "public_key": "A" * 42 + "*"})
        assert bad.status_code == 422


async def test_the_proof_of_a_delivery_is_verified_as_a_signature_s_is(store: Store) -> None:
    async with opened(store) as api:
        delivery, right = await arrived(api)
        open_proof = (await api.alice.get(f"{PATH}/{delivery}/proof")).text
        assert right not in open_proof
        await confirm(api, delivery, right)
        context = api.context
        anchoring = next(duty for duty in api.core.rounds.duties if duty.name == "anchoring")
        await context.store.write(lambda tx: anchoring.look(tx, context.clock.now()))
        gathered = await context.store.read(lambda tx: collect(tx, ALICE, delivery, context.keyring))
        assert gathered is not None
        assert right in json.dumps(dict(gathered.openings))
        told = await trio.to_thread.run_sync(Exporter(context.keyring, context.clock).bundle, gathered)
        finding = verify(told, Outside(context.keyring.public_keys().values()))
        assert (finding.verdict, finding.where) == ("unanchored", ""), finding


async def test_a_delivery_s_life_ends_with_its_slot(embedded: Store) -> None:
    async with opened(embedded) as api:
        delivery, right = await arrived(api)
        api.context.clock.advance(9 * 86_400)
        assert await confirm(api, delivery, right) == (410, "expired")
        shown: httpx2.Response = await api.alice.get(f"{PATH}/{delivery}")
        assert shown.json()["state"] == "expired"
