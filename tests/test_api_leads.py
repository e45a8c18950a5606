"""The routes of leads and of their models, on both databases: proof, score, funnel, consent, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import trio

from engine.cases.entering import code_of
from engine.cases.lead_models import LeadModels
from engine.crm.hubspot import signature
from engine.settings import Settings
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables_cases import Case
from engine.store.tables_signing import ConsentEntry
from tests.api_client import ALICE, Api, open_api
from tests.test_api_signatures import REPLIED
from workflows.lead_model import BANT

PATH = "/v1/leads"
ANNA = "+33612345671"
_case: Any = Case.__table__  # type: ignore[attr-defined]
SEEDS = Statement(lambda _: _case.select().with_only_columns(_case.c.id, _case.c.seed))
CONSENTS = Statement(lambda _: ConsentEntry.__table__.select())  # type: ignore[attr-defined]
CONSENT = {"text": "I agree to be asked.", "at": "2026-11-20T10:00:00Z"}


def opened(store: Store) -> Any:
    return open_api(store, Settings(**REPLIED))


async def create(api: Api, **changed: Any) -> dict[str, Any]:
    answer = await api.alice.post(PATH, json={"phone": ANNA, "form": "demo", **changed})
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def code(api: Api, lead: str) -> str:
    seeds: dict[str, str] = dict(await api.context.store.read(lambda tx: tx.all(SEEDS)))
    return code_of(api.context.keyring, seeds[lead])


async def check(api: Api, lead: str, entered: str) -> tuple[int, str]:
    answer = await api.alice.post(f"{PATH}/{lead}/checks", json={"code": entered})
    body = answer.json()
    return answer.status_code, body.get("code", body.get("state"))


async def test_a_lead_is_proven_scored_by_events_and_counted_in_its_funnel(store: Store) -> None:
    async with opened(store) as api:
        lead = (await create(api, source="ads", consent=CONSENT))["id"]
        right = await code(api, lead)
        assert await check(api, lead, "12") == (422, "bad_format")
        assert await check(api, lead, right) == (200, "open")
        assert await check(api, lead, right) == (409, "already_verified")
        told = await api.alice.post(f"{PATH}/{lead}/events", json={"event": "demo_request"})
        assert (told.json()["intent"], told.json()["stage"]) == (40, "cold")
        unknown = await api.alice.post(f"{PATH}/{lead}/events", json={"event": "sneeze"})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "event_unknown")
        today = (await api.alice.get(f"{PATH}/{lead}")).json()["created_at"][:10]
        [row] = (await api.alice.get("/v1/stats/leads", params={"first": today, "last": today})).json()["data"]
        assert row == {
            "day": today, "form": "demo", "source": "ads", "created": 1, "verified": 1, "asked": 1, "answered": 0,
            "warm": 0, "qualified": 0, "opted_out": 0, "unverified": 0,
        }  # fmt: skip
        closed = (await api.alice.post(f"{PATH}/{lead}/close", json={"reason": "converted"})).json()
        assert (closed["state"], closed["reason"]) == ("closed", "converted")
        assert (await api.alice.post(f"{PATH}/{lead}/resend")).status_code == 410
        assert [one["id"] for one in (await api.alice.get(PATH)).json()["data"]] == [lead]
        what = [one["what"] for one in (await api.alice.get(f"{PATH}/{lead}/timeline")).json()["data"]]
        assert {"lead.verified", "lead.scored", "check"} <= set(what)


async def test_the_words_of_consent_are_in_the_ledger_sealed(store: Store) -> None:
    async with opened(store) as api:
        lead = (await create(api, consent=CONSENT))["id"]
        [entry] = await api.context.store.read(lambda tx: tx.all(CONSENTS))
        row = dict(zip([column.name for column in ConsentEntry.__table__.c], entry, strict=True))  # type: ignore[attr-defined]
        assert (row["kind"], row["source"], row["source_id"], row["legal_basis"]) == (
            "granted",
            "form",
            lead,
            "consent",
        )
        assert api.context.keyring.unseal(row["sealed"], row["id"]).decode() == CONSENT["text"]
        assert row["application_id"] == ALICE


async def test_fields_of_the_form_score_as_the_model_says_and_are_not_shown(store: Store) -> None:
    model = {"fields": [{"name": "size", "axis": "fit", "points": 4, "value": "large"}], "questions": []}
    async with opened(store) as api:
        written = await api.alice.put("/v1/lead-models/sized", json=model)
        assert written.status_code == 200, written.text
        shown = await create(api, model="sized", fields={"size": "large", "name": "Anna Durand"})
        assert (shown["fit"], shown["points"][0]["source_id"]) == (4, "field:size")
        assert "Durand" not in str(shown)
        names = [one["name"] for one in (await api.alice.get("/v1/lead-models")).json()["data"]]
        assert names == ["bant", "sized"]
        assert (await api.alice.get("/v1/lead-models/bant")).json()["settings"] == BANT.dump()


async def test_models_of_the_settings_file_are_read_and_not_written_and_stand_before_an_application_s_own(
    store: Store,
) -> None:
    async with opened(store) as api:  # before the file had them
        assert (await api.alice.put("/v1/lead-models/fair", json={"brand": "Atelier"})).status_code == 200
        await api.alice.put("/v1/lead-models/own", json={})
        models = {"fair": {"brand": "Boutique"}, "hers": {"application": ALICE}, "bant": {"brand": "Boutique"}}
        file = LeadModels(Settings(lead_models=models).lead_models)
        leads = replace(api.context.leads, models=file)
        object.__setattr__(api.context, "leads", leads)
        shown = (await api.alice.get("/v1/lead-models")).json()["data"]
        assert [(one["name"], one["defined_by"]) for one in shown] == [
            ("bant", "settings"), ("fair", "settings"), ("hers", "settings"), ("own", "application"),
        ]  # fmt: skip
        assert (await api.alice.get("/v1/lead-models/fair")).json()["settings"]["brand"] == "Boutique"
        for name in ("fair", "hers", "bant"):
            refused = await api.alice.put(f"/v1/lead-models/{name}", json={})
            assert (refused.status_code, refused.json()["code"]) == (409, "model_in_settings")
        assert (await api.bob.get("/v1/lead-models/hers")).status_code == 404
        assert (await api.bob.put("/v1/lead-models/hers", json={})).json()["defined_by"] == "application"
        assert (await create(api, model="hers"))["model"] == "hers"


@pytest.mark.parametrize(
    ("model", "setting"),
    [({"questions": [{}]}, "questions[0]"), ({"weights": {"luck": 1}}, "weights"), ({"half_life_s": 1}, "half_life_s")],
)
async def test_a_model_that_cannot_be_is_refused_by_name(embedded: Store, model: dict[str, Any], setting: str) -> None:
    async with opened(embedded) as api:
        answer = await api.alice.put("/v1/lead-models/bad", json=model)
        assert (answer.status_code, answer.json()["code"], answer.json()["setting"]) == (422, "model_invalid", setting)
        assert (await api.alice.get("/v1/lead-models/bad")).status_code == 404


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"model": "nowhere"}, "model_unknown"),
        ({"phone": "+33899123456"}, "number_type_denied"),
        ({"form": "a form"}, "invalid"),
        ({"consent": {"text": "yes", "at": "yesterday"}}, "invalid"),
        ({"language": "pt"}, "language_not_offered"),
    ],
)
async def test_a_lead_that_cannot_be_is_refused_clearly(embedded: Store, change: dict[str, Any], code: str) -> None:
    async with opened(embedded) as api:
        answer = await api.alice.post(PATH, json={"phone": ANNA, "form": "demo", **change})
        assert (answer.status_code, answer.json()["code"]) == (422, code)


async def test_wrong_codes_at_once_are_five_attempts_and_close_the_lead(store: Store) -> None:
    async with opened(store) as api:
        lead = (await create(api))["id"]
        right = await code(api, lead)
        wrong = [f"{number:06}" for number in range(40) if f"{number:06}" != right]
        found: list[str] = []

        async def enter(value: str) -> None:
            found.append((await check(api, lead, value))[1])

        async with trio.open_nursery() as nursery:
            for value in wrong[:30]:
                nursery.start_soon(enter, value)
        assert (found.count("code_mismatch"), found.count("lead_closed")) == (5, 25)
        assert (await api.alice.get(f"{PATH}/{lead}")).json()["reason"] == "max_attempts"


async def test_a_number_gets_so_many_codes_a_day_whatever_the_form(embedded: Store) -> None:
    async with opened(embedded) as api:
        for _ in range(5):
            await create(api)
        refused = await api.alice.post(PATH, json={"phone": ANNA, "form": "other"})
        assert (refused.status_code, refused.json()["code"]) == (429, "day_limit")


async def test_what_a_crm_posts_is_taken_only_with_its_signature(store: Store) -> None:
    secret, uri = "not-a-real-secret", "https://sceau.test/crm/sales"
    tree = {
        **REPLIED,
        "http": {"public_url": "https://sceau.test"},
        "crm": {"sales": {"application": ALICE, "token": "pat-not-a-real-one", "client_secret": secret}},
    }
    async with open_api(store, Settings(**tree)) as api:
        timestamp = str(api.context.clock.now() // 1_000)
        body = b"[]"

        async def post(path: str, signed: str, content: bytes = body) -> int:
            headers = {"X-HubSpot-Signature-v3": signed, "X-HubSpot-Request-Timestamp": timestamp}
            return (await api.anonymous.post(path, content=content, headers=headers)).status_code

        right = signature(secret, "POST", uri, body, timestamp)
        assert await post("/crm/sales", right) == 204
        assert await post("/crm/sales", right, b"[1]") == 401
        assert await post("/crm/other", right) == 401
        assert await post("/crm/sales", signature(secret, "POST", uri, b"{}x", timestamp), b"{}x") == 400
        assert (await api.anonymous.post("/crm/sales")).status_code == 401


async def test_marketing_to_france_is_counted_with_where_stop_goes(embedded: Store) -> None:
    tree = {**REPLIED, "senders": {"main": {"address": "38123", "stop_address": "36180", "accounts": ["sim"]}}}
    text = "x" * 150
    async with open_api(embedded, Settings(**tree)) as api:

        async def parts(**asked: Any) -> int:
            shown = await api.alice.post("/v1/preview", json={"text": text, **asked})
            return int(shown.json()["parts"])

        assert await parts() == await parts(category="marketing", country="DE") == 1
        assert await parts(category="transactional", country="FR") == 1
        assert await parts(category="marketing", country="FR") == 2
        sent = await api.alice.post("/v1/messages", json={"to": ANNA, "text": text, "category": "marketing"})
        assert sent.json()["parts"] == 2


async def test_what_is_said_by_telephone_is_written_down_and_kept_to(store: Store) -> None:
    async with opened(store) as api:
        said = {"phone": ANNA, "words": "He asked me to stop.", "category": "marketing"}
        [standing] = (await api.alice.post("/v1/opt-outs", json=said)).json()["data"]
        assert (standing["sender"], standing["category"]) == ("", "marketing")
        wider = (await api.alice.post("/v1/opt-outs", json={**said, "category": "all"})).json()["data"]
        assert [one["category"] for one in wider] == ["all"]
        narrower = (await api.alice.post("/v1/opt-outs", json=said)).json()["data"]
        assert [one["category"] for one in narrower] == ["all"]
        assert (await api.alice.get("/v1/opt-outs", params={"phone": ANNA})).json()["data"] == wider
        assert (await api.bob.get("/v1/opt-outs", params={"phone": ANNA})).json()["data"] == []
        assert (await api.alice.post("/v1/opt-ins", json=said)).json()["data"] == []
        entries = await api.context.store.read(lambda tx: tx.all(CONSENTS))
        assert len(entries) == 4
