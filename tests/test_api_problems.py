"""Bad input, whatever its kind, gets a documented refusal that repeats nothing of it; never a 5xx."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio

from engine.api.problems import PROBLEMS, Problem, documented, wrong_field
from engine.errors import CommitUnknown, StoreUnavailable
from engine.store.doorway import Store
from tests.api_client import NUMBER, open_api

JSON = {"Content-Type": "application/json"}
SECRET = "482913"
NOTICE = {"to": NUMBER, "text": "x", "category": "transactional"}

BODIES: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "not json": (b"{", 400),
    "two values": (b"{}{}", 400),
    "not utf-8": (b'{"to":"\xff\xfe"}', 400),
    "a lone surrogate": (b'{"to":"\\ud800"}', 400),
    "deep": (b"[" * 100_000, 400),
    "deep objects": (b'{"to":' * 5_000 + b"1" + b"}" * 5_000, 400),
    "null": (b"null", 422),
    "a list": (b"[]", 422),
    "a number": (b"482913", 422),
    "NaN": (json.dumps({**NOTICE, "ttl_s": float("nan")}).encode(), 422),
    "infinity": (json.dumps({**NOTICE, "ttl_s": float("inf")}).encode(), 422),
    "2^63": (json.dumps({**NOTICE, "ttl_s": 2**63}).encode(), 422),
    "a number of 5,000 digits": (b'{"ttl_s":' + b"9" * 5_000 + b"}", 400),
    "a float": (json.dumps({**NOTICE, "ttl_s": 60.5}).encode(), 422),
    "a number as text": (json.dumps({**NOTICE, "ttl_s": "60"}).encode(), 422),
    "true": (json.dumps({**NOTICE, "to": True}).encode(), 422),
    "NUL": (json.dumps({**NOTICE, "text": "a\0b"}).encode(), 422),
    "empty text": (json.dumps({**NOTICE, "text": ""}).encode(), 422),
    "long text": (json.dumps({**NOTICE, "text": "x" * 4_001}).encode(), 422),
    "an unknown field": (json.dumps({**NOTICE, SECRET: SECRET}).encode(), 422),
    "an unknown category": (json.dumps({**NOTICE, "category": SECRET}).encode(), 422),
}


async def test_a_bad_body_is_refused_without_being_repeated(store: Store) -> None:
    async with open_api(store) as api:
        for name, (body, status) in BODIES.items():
            for path in ("/v1/messages", "/v1/verifications", "/v1/messages/batch", "/v1/preview", "/v1/keys"):
                answer = await api.alice.post(path, content=body, headers=JSON)
                assert answer.status_code == status or (path != "/v1/messages" and answer.status_code == 422), (
                    name,
                    path,
                )
                assert answer.headers["content-type"] == "application/problem+json"
                Problem.model_validate(answer.json())
                assert SECRET not in answer.text


KINDS = ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml"]


async def test_only_json_is_read(store: Store) -> None:
    async with open_api(store) as api:
        for kind in KINDS:
            answer = await api.alice.post("/v1/preview", content=b'{"text":"x"}', headers={"Content-Type": kind})
            assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type"), kind
        good = {"Content-Type": "application/json; charset=utf-8"}
        assert (await api.alice.post("/v1/preview", content=b'{"text":"x"}', headers=good)).status_code == 200


PATHS = [
    "/v1/messages/%00",
    "/v1/messages/x%00y/timeline",
    "/v1/messages?cursor=%00",
    "/v1/messages?limit=0",
    "/v1/messages?limit=201",
    "/v1/messages?limit=9223372036854775808",
    "/v1/messages?limit=x",
    "/v1/events?after=-1",
    "/v1/events?after=9223372036854775808",
    "/v1/events?types=nope",
    "/v1/lookup/%00",
    "/v1/lookup/x",
    "/v1/lookup/%ED%A0%80",
    "/v1/lookup/+33612345678?region=fr",
    "/v1/webhook-endpoints?cursor=" + "x" * 65,
    "/v1/profiles/%F0%9F%92%A9",
    "/v1/keys/' OR 1=1 --",
    "/v1/verifications/" + "x" * 5_000,
]


async def test_a_bad_address_is_refused(store: Store) -> None:
    async with open_api(store) as api:
        for path in PATHS:
            answer = await api.alice.get(path)
            assert answer.status_code in {400, 404, 422}, (path, answer.text)
            Problem.model_validate(answer.json())


async def test_the_names_of_wrong_fields_are_told_unless_they_are_the_callers_own(store: Store) -> None:
    async with open_api(store) as api:
        body = {"to": 1, "binding": {SECRET: 7}, SECRET: "x"}
        answer = await api.alice.post("/v1/verifications", json=body)
        places = [one["at"] for one in answer.json()["errors"]]
        assert places == [["body", "to"], ["body", "binding", "*"], ["body", "*"]]


async def test_a_method_that_an_address_does_not_know_names_those_that_it_does(store: Store) -> None:
    async with open_api(store) as api:
        answer = await api.alice.request("PATCH", "/v1/messages")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
        unknown = await api.alice.get("/v1/nothing")
        assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (StoreUnavailable("down"), 503, "store_unavailable"),
        (CommitUnknown("lost"), 503, "commit_unknown"),
        (RuntimeError(f"a secret {SECRET}"), 500, "internal"),
    ],
)
async def test_a_failure_inside_is_told_without_what_it_says(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    async with open_api(store) as api:

        async def fail(*_: Any, **__: Any) -> None:
            await trio.lowlevel.checkpoint()
            raise error

        await api.alice.get("/v1/applications")
        monkeypatch.setattr(store, "write", fail)
        answer = await api.alice.post("/v1/messages", json=NOTICE)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert SECRET not in answer.text
        assert ("retry-after" in answer.headers) == (status == 503)


async def test_rates_are_told_and_enforced(store: Store) -> None:
    from tests.api_client import settings

    async with open_api(store, settings(limits={"requests_per_key": {"count": 3, "per_s": 60}})) as api:
        answers = [await api.alice.get("/v1/applications") for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        assert answers[0].headers["ratelimit-policy"] == '"requests";q=3;w=60'
        assert [one.headers["ratelimit"].split(";")[1] for one in answers] == ["r=2", "r=1", "r=0", "r=0"]
        assert 1 <= int(answers[3].headers["retry-after"]) <= 20
        assert (await api.bob.get("/v1/applications")).status_code == 200


def test_the_table_has_no_success_and_every_code_is_one_word() -> None:
    assert all(kind.status >= 400 and kind.title for kind in PROBLEMS.values())
    assert all(code.replace("_", "").isalpha() and code.islower() for code in PROBLEMS)


def test_documented_answers_name_their_codes() -> None:
    made = documented(["not_found", "event_not_kept", "invalid"])
    assert set(made) == {404, 422}
    assert made[404]["description"] == "`not_found`, `event_not_kept`"


def test_an_error_of_pydantic_loses_its_input() -> None:
    error = {"type": "x", "loc": ("body", SECRET, 3), "msg": "m", "input": SECRET, "ctx": {"given": SECRET}}
    assert wrong_field(error) == {"at": ["body", "*", 3], "code": "x", "message": "m"}
