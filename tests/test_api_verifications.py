"""The verification routes: outcomes as HTTP, headers, scopes, what is never shown; on both databases."""

from __future__ import annotations

from typing import Any

import trio
from sqlalchemy import select

from engine.api.problems import PROBLEMS
from engine.codes import CodeSeed, derive
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables_cases import Case
from engine.store.tables_tenancy import Idempotency
from tests.api_client import NUMBER, Api, open_api
from workflows.verify import CLOSED

_case: Any = Case.__table__  # type: ignore[attr-defined]
_kept: Any = Idempotency.__table__  # type: ignore[attr-defined]
SEEDS = Statement(lambda _: select(_case.c.id, _case.c.seed))
KEPT = Statement(lambda _: select(_kept.c.body))
PATH = "/v1/verifications"


async def start(api: Api, **body: Any) -> str:
    answer = await api.alice.post(PATH, json={"to": NUMBER, **body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def code_of(api: Api, verification_id: str) -> str:
    seeds: dict[str, str] = dict(await api.context.store.read(lambda tx: tx.all(SEEDS)))
    seed = CodeSeed.from_json(seeds[verification_id])
    return derive(seed, api.context.keyring.code_key(seed.kid))


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}d}"


async def test_a_right_code_is_approved_once_and_then_already_approved(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api)
        code = await code_of(api, case)
        approved = await api.alice.post(f"{PATH}/{case}/checks", json={"code": f" {code[:3]}-{code[3:]} "})
        assert (approved.status_code, approved.json()["state"]) == (200, "approved")
        again = await api.alice.post(f"{PATH}/{case}/checks", json={"code": code})
        assert (again.status_code, again.json()["code"]) == (409, "already_approved")
        assert (await api.alice.get(f"{PATH}/{case}")).json()["state"] == "approved"


async def test_wrong_codes_spend_attempts_and_are_never_echoed(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api)
        entry = wrong(await code_of(api, case))
        answers = [await api.alice.post(f"{PATH}/{case}/checks", json={"code": entry}) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [422] * 5 + [429]
        assert [answer.json()["attempts_remaining"] for answer in answers[:5]] == [4, 3, 2, 1, 0]
        assert '"attempts";r=4' in answers[0].headers["ratelimit"]
        assert int(answers[5].headers.get("retry-after", "1")) >= 1
        assert not any(entry in answer.text for answer in answers)
        right = await api.alice.post(f"{PATH}/{case}/checks", json={"code": await code_of(api, case)})
        assert (right.status_code, right.json()["code"]) == (429, "max_attempts")


async def test_what_cannot_be_a_code_costs_no_attempt(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api)
        answer = await api.alice.post(f"{PATH}/{case}/checks", json={"code": "hello"})
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_format")
        assert answer.json()["attempts_remaining"] == 5


async def test_the_binding_must_be_repeated(store: Store) -> None:
    async with open_api(store) as api:
        binding = {"amount": "12.00 EUR", "payee": "ACME"}
        case = await start(api, binding=binding)
        code = await code_of(api, case)
        missing = await api.alice.post(f"{PATH}/{case}/checks", json={"code": code})
        other = await api.alice.post(f"{PATH}/{case}/checks", json={"code": code, "binding": {**binding, "payee": "X"}})
        assert (missing.json()["code"], other.json()["code"]) == ("binding_missing", "binding_mismatch")
        right = await api.alice.post(f"{PATH}/{case}/checks", json={"code": code, "binding": binding})
        assert right.status_code == 200


async def test_a_second_start_of_the_same_session_joins(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api, session="s1")
        joined = await api.alice.post(PATH, json={"to": NUMBER, "session": "s1"})
        assert (joined.status_code, joined.json()["id"]) == (200, case)


async def test_a_resend_too_early_says_when_to_come_back(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    async with open_api(store) as api:
        case = await start(api)
        early = await api.alice.post(f"{PATH}/{case}/resend")
        assert (early.status_code, early.json()["code"]) == (429, "cooldown")
        wait_s = int(early.headers["retry-after"])
        assert 25 <= wait_s <= 40
        await trio.sleep(wait_s)
        resent = await api.alice.post(f"{PATH}/{case}/resend")
        assert (resent.status_code, resent.json()["sends_remaining"]) == (200, 3)


async def test_a_canceled_verification_approves_nothing(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api)
        code = await code_of(api, case)
        assert (await api.alice.post(f"{PATH}/{case}/cancel")).json()["state"] == "canceled"
        checked = await api.alice.post(f"{PATH}/{case}/checks", json={"code": code})
        assert (checked.status_code, checked.json()["code"]) == (410, "canceled")


async def test_an_expired_verification_is_gone(store: Store, autojump_clock: trio.testing.MockClock) -> None:
    async with open_api(store) as api:
        case = await start(api)
        code = await code_of(api, case)
        await trio.sleep(601)
        checked = await api.alice.post(f"{PATH}/{case}/checks", json={"code": code})
        assert (checked.status_code, checked.json()["code"]) == (410, "expired")


async def test_the_spoken_code_is_given_out_but_not_kept(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api)
        keyed = {"Idempotency-Key": "voice-1"}
        first = await api.alice.post(f"{PATH}/{case}/voice-code", headers=keyed)
        assert first.status_code == 200
        spoken = first.json()["spoken_code"]
        assert spoken
        repeated = await api.alice.post(f"{PATH}/{case}/voice-code", headers=keyed)
        assert repeated.headers["idempotency-replayed"] == "true"
        assert repeated.json()["spoken_code"] is None
        kept = await store.read(lambda tx: tx.all(KEPT))
        assert not any(spoken in body for (body,) in kept)


async def test_the_spoken_code_needs_its_own_scope(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api)
        async with api.client(await api.key("admin")) as admin:
            refused = await admin.post(f"{PATH}/{case}/voice-code")
        assert (refused.status_code, refused.json()["scope"]) == (403, "verify:reveal")


async def test_neither_code_nor_number_is_in_any_answer(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api)
        code = await code_of(api, case)
        for path in (PATH, f"{PATH}/{case}", f"{PATH}/{case}/timeline", "/v1/events"):
            answer = await api.alice.get(path)
            assert answer.status_code == 200
            assert code not in answer.text
            assert NUMBER not in answer.text


async def test_a_foreign_id_answers_as_an_unknown_one(store: Store) -> None:
    async with open_api(store) as api:
        case = await start(api)
        unknown = "ver_" + "0" * 32
        for suffix in ("", "/timeline", "/checks", "/resend", "/cancel", "/voice-code"):
            body = {"code": "123456"} if suffix == "/checks" else None
            method = "GET" if suffix in ("", "/timeline") else "POST"
            foreign = await api.bob.request(method, f"{PATH}/{case}{suffix}", json=body)
            absent = await api.bob.request(method, f"{PATH}/{unknown}{suffix}", json=body)
            assert foreign.status_code == absent.status_code == 404, suffix
            assert foreign.json() == absent.json(), suffix


async def test_an_unknown_profile_is_named_as_such(store: Store) -> None:
    async with open_api(store) as api:
        answer = await api.alice.post(PATH, json={"to": NUMBER, "profile": "nope"})
        assert (answer.status_code, answer.json()["code"]) == (422, "profile_unknown")


def test_every_refusal_of_the_workflow_is_in_the_table() -> None:
    for code, status in CLOSED.values():
        assert PROBLEMS[code].status == status
