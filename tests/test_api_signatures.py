"""The routes of signature requests and of their evidence, on both databases: outcomes, counters, tenants, uploads."""

from __future__ import annotations

import hashlib
from collections import Counter
from random import Random
from typing import Any

import pytest
import trio
import trio.testing
from sqlalchemy import select

from engine.cases.entering import code_of
from engine.clock import to_rfc3339
from engine.settings import Settings
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables_signing import SigningRow
from engine.transit.replying import JoinedReply
from tests.api_client import ALICE, Api, open_api
from tests.test_docs import FOLDER, blocks

_signing: Any = SigningRow.__table__  # type: ignore[attr-defined]
SEEDS = Statement(lambda _: select(_signing.c.id, _signing.c.seed))
PATH = "/v1/signature-requests"
CONTRACT = b"%PDF-1.7 the contract"
OURS = "38123"
SHA = hashlib.sha256(CONTRACT).hexdigest()
ANNA, BORIS = "+33612345671", "+33612345672"
REPLIED: dict[str, Any] = {
    "accounts": {
        "sim": {
            "kind": "simulator",
            "binds": {"main": {"host": "127.0.0.1", "port": 2775, "system_id": "sceau", "password": "unused-here"}},
        }
    },
    "senders": {"main": {"address": OURS, "accounts": ["sim"]}},
    "numbers": {"main": {"address": OURS, "application": ALICE, "accounts": ["sim"]}},
}


async def create(api: Api, **body: Any) -> dict[str, Any]:
    given = {"documents": [{"name": "Bail", "sha256": SHA}], "signers": [{"phone": ANNA, "name": "Anna"}], **body}
    answer = await api.alice.post(PATH, json=given)
    assert answer.status_code == 201, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def code(api: Api, signing: str) -> str:
    seeds: dict[str, str] = dict(await api.context.store.read(lambda tx: tx.all(SEEDS)))
    return code_of(api.context.keyring, seeds[signing])


def statement(api: Api, entry: str, **changed: Any) -> dict[str, Any]:
    now = to_rfc3339(api.context.clock.now())
    return {"code": entry, "document_sha256": SHA, "consent_at": now, "ip": "192.0.2.1", **changed}


async def ready(api: Api) -> tuple[str, str]:
    """A request whose one signing has a code; the path of the signing, and the code."""
    shown = await create(api)
    path = f"{PATH}/{shown['id']}/signings/{shown['signings'][0]['id']}"
    assert (await api.alice.post(f"{path}/send")).status_code == 200
    return path, await code(api, shown["signings"][0]["id"])


async def test_a_signer_signs_on_the_page_and_the_request_is_complete(store: Store) -> None:
    async with open_api(store) as api:
        path, right = await ready(api)
        signed = await api.alice.post(f"{path}/sign", json=statement(api, f"{right[:3]} {right[3:]}"))
        assert signed.status_code == 200, signed.text
        assert (signed.json()["state"], signed.json()["signings"][0]["assurance"]) == ("completed", "otp_web")
        again = await api.alice.post(f"{path}/sign", json=statement(api, right))
        assert (again.status_code, again.json()["code"]) == (409, "completed")


async def test_the_code_that_the_page_shows_signs(store: Store) -> None:
    [shown] = blocks(FOLDER / "signing.md", "python")
    known: dict[str, Any] = {}
    exec(compile(shown, "signing.md", "exec"), known)  # our own page
    asked: list[Any] = []

    class Client:
        def post(self, path: str, json: Any) -> Any:
            asked.append((path, json))
            return type("Answer", (), {"status_code": 200})

    async with open_api(store) as api:
        path, right = await ready(api)
        request, signing = path.split("/")[3], path.split("/")[5]
        assert known["sign"](Client(), request, signing, right, CONTRACT, "192.0.2.1", "Browser")
        [(posted, body)] = asked
        assert posted == f"{path}/sign"
        body["consent_at"] = to_rfc3339(api.context.clock.now())  # virtual time is not the page's
        assert (await api.alice.post(posted, json=body)).status_code == 200


async def test_what_the_code_was_not_for_signs_nothing_and_costs_nothing(store: Store) -> None:
    async with open_api(store) as api:
        path, right = await ready(api)
        other = hashlib.sha256(b"another").hexdigest()
        mismatch = await api.alice.post(f"{path}/sign", json=statement(api, right, document_sha256=other))
        old = await api.alice.post(f"{path}/sign", json=statement(api, right, consent_at="2020-01-01T00:00:00Z"))
        nonsense = await api.alice.post(f"{path}/sign", json=statement(api, "hello"))
        codes = [answer.json()["code"] for answer in (mismatch, old, nonsense)]
        assert codes == ["document_mismatch", "consent_implausible", "bad_format"]
        assert nonsense.json()["attempts_remaining"] == 5


async def test_five_wrong_codes_block_a_signing_and_only_a_reset_frees_it(store: Store) -> None:
    async with open_api(store) as api:
        path, right = await ready(api)
        wrong = f"{(int(right) + 1) % 1_000_000:06}"
        answers = [await api.alice.post(f"{path}/sign", json=statement(api, wrong)) for _ in range(5)]
        assert [answer.json()["attempts_remaining"] for answer in answers] == [4, 3, 2, 1, 0]
        blocked = await api.alice.post(f"{path}/sign", json=statement(api, right))
        assert (blocked.status_code, blocked.json()["code"]) == (429, "signing_blocked")
        assert (await api.alice.post(f"{path}/reset", json={"reason": "called"})).status_code == 200
        assert (await api.alice.post(f"{path}/send")).status_code == 200
        fresh = await code(api, path.rpartition("/")[2])
        assert fresh != right
        old = await api.alice.post(f"{path}/sign", json=statement(api, right))
        assert (old.json()["code"], old.json()["attempts_remaining"]) == ("superseded", 5)
        assert (await api.alice.post(f"{path}/sign", json=statement(api, fresh))).status_code == 200


async def test_a_code_is_sent_again_only_after_its_pause_and_at_most_five_times(store: Store) -> None:
    async with open_api(store) as api:
        path, _ = await ready(api)
        early = await api.alice.post(f"{path}/send")
        assert (early.status_code, early.json()["code"]) == (429, "cooldown")
        assert early.json()["sends_remaining"] == 4


@pytest.mark.parametrize("order", ["parallel", "sequential"])
async def test_the_order_of_signers_holds(store: Store, order: str) -> None:
    async with open_api(store) as api:
        signers = [
            {"phone": ANNA, "role": "signer"},
            {"phone": BORIS, "role": "signer"},
            {"phone": "+33612345673", "role": "approver"},
        ]
        shown = await create(api, signers=signers, order=order)
        turns = [one["its_turn"] for one in shown["signings"]]
        assert turns == [False, False, True]  # approvers first, wherever they stand
        refused = await api.alice.post(f"{PATH}/{shown['id']}/signings/{shown['signings'][0]['id']}/send")
        assert (refused.status_code, refused.json()["code"]) == (409, "not_their_turn")
        approver = shown["signings"][2]["id"]
        await api.alice.post(f"{PATH}/{shown['id']}/signings/{approver}/send")
        body = statement(api, await code(api, approver))
        after = (await api.alice.post(f"{PATH}/{shown['id']}/signings/{approver}/sign", json=body)).json()
        assert [one["its_turn"] for one in after["signings"]] == [True, order == "parallel", True]


async def test_a_document_that_we_hashed_ourselves_is_marked_so(store: Store) -> None:
    async with open_api(store) as api:
        shown = await create(api)
        document = shown["documents"][0]["id"]
        path = f"{PATH}/{shown['id']}/documents/{document}/content"
        uploaded = await api.alice.put(path, content=CONTRACT, headers={"content-type": "application/pdf"})
        assert uploaded.status_code == 200, uploaded.text
        assert uploaded.json()["documents"][0] | {"uploaded": True, "sha256": SHA} == uploaded.json()["documents"][0]


async def test_a_document_of_several_mebibytes_is_hashed_as_it_comes_and_one_over_the_limit_refused(
    embedded: Store,
) -> None:
    octets = b"%PDF" * 1_000_000
    async with open_api(embedded) as api:
        shown = await create(api)
        path = f"{PATH}/{shown['id']}/documents/{shown['documents'][0]['id']}/content"
        uploaded = await api.alice.put(path, content=octets)
        assert uploaded.json()["documents"][0]["sha256"] == hashlib.sha256(octets).hexdigest()
        assert (await api.alice.put(path, content=b"x" * (65 << 20))).status_code == 413


async def test_another_number_voids_the_code_and_the_old_one_signs_nothing(store: Store) -> None:
    async with open_api(store) as api:
        path, right = await ready(api)
        request = path.split("/")[3]
        signer = (await api.alice.get(f"{PATH}/{request}")).json()["signers"][0]["id"]
        changed = await api.alice.patch(f"{PATH}/{request}/signers/{signer}", json={"phone": BORIS})
        assert changed.status_code == 200, changed.text
        assert changed.json()["signers"][0]["to"].endswith("72")
        refused = await api.alice.post(f"{path}/sign", json=statement(api, right))
        assert refused.json()["code"] == "no_code_sent"


async def test_a_foreign_request_is_answered_like_an_unknown_one(store: Store) -> None:
    async with open_api(store) as api:
        path, right = await ready(api)
        request = "/".join(path.split("/")[:4])
        for answer in (
            await api.bob.get(request),
            await api.bob.get(f"{request}/evidence"),
            await api.bob.get(f"{request}/evidence.zip"),
            await api.bob.post(f"{path}/send"),
            await api.bob.post(f"{path}/sign", json=statement(api, right)),
            await api.bob.post(f"{request}/cancel"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert (await api.bob.get(PATH)).json()["data"] == []


async def test_a_code_never_leaves_by_the_api_before_its_signing_is_closed(store: Store) -> None:
    async with open_api(store) as api:
        path, right = await ready(api)
        request = "/".join(path.split("/")[:4])
        shown = [(await api.alice.get(request + more)).text for more in ("", "/timeline", "/evidence")]
        assert not any(right in text for text in shown)
        assert (await api.alice.post(f"{path}/sign", json=statement(api, right))).status_code == 200
        assert f'"value":"{right}"' in (await api.alice.get(f"{request}/evidence")).text


async def test_fifty_right_codes_at_once_sign_once(threaded_store: Store) -> None:
    async with open_api(threaded_store) as api:
        path, right = await ready(api)
        answers: list[int] = []

        async def one() -> None:
            answers.append((await api.alice.post(f"{path}/sign", json=statement(api, right))).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
        assert sorted(answers) == [200] + [409] * 49


async def test_a_code_typed_and_answered_at_the_same_instant_signs_once_and_both_are_told(
    threaded_store: Store,
) -> None:
    """Both databases: whichever door is first signs, the other hears that it is done, and the evidence has both."""
    doors, dice = Counter[str](), Random(38123)
    async with open_api(threaded_store, Settings(**REPLIED)) as api:
        for number in range(6):
            shown = await create(api, signers=[{"phone": ANNA, "mode": "reply", "language": "fr"}], auto_send=True)
            request, signing = shown["id"], shown["signings"][0]["id"]
            right = await code(api, signing)
            page: list[Any] = []

            async def types(signing: str = signing, request: str = request, right: str = right) -> None:
                path = f"{PATH}/{request}/signings/{signing}/sign"
                page.append(await api.alice.post(path, json=statement(api, right)))  # noqa: B023

            async def answers(right: str = right) -> None:
                clock = api.context.clock
                reply = JoinedReply(clock.new_id("rpl"), "sim", ANNA, ANNA[1:], OURS, right, "whole", "", clock.now())
                await threaded_store.write(lambda tx: api.core.pool.joining.on_replies(tx, [reply], clock.now()))

            async with trio.open_nursery() as nursery:
                for act in dice.sample([types, answers], 2) if number else [answers, types]:
                    nursery.start_soon(act)
                    if number == 0:  # the one order that the writer, which prefers calls, leaves to chance
                        await trio.testing.wait_all_tasks_blocked()
                        await threaded_store.write(lambda tx: None)
            told = (await api.alice.get(f"{PATH}/{request}/timeline")).json()["data"]
            kinds = Counter(one["what"] for one in told)
            assert (kinds["signature.signed"], kinds["signature.reply_received"]) == (1, 1)
            evidence = (await api.alice.get(f"{PATH}/{request}/evidence")).json()
            entries = [one["entry"] for one in evidence["entries"]]
            checks = [one["body"]["result"] for one in entries if one["kind"] == "check.done"]
            [signed] = [one["body"] for one in entries if one["kind"] == "signing.signed"]
            assert checks == ["right"]
            [heard] = [one["body"] for one in entries if one["kind"] == "reply.received"]
            assert heard["choice"]
            roles = [one["body"]["role"] for one in entries if one["kind"] == "message.queued"]
            if signed["assurance"] == "otp_web":
                assert page[0].status_code == 200
                assert "answer" in roles  # the courteous reply: it is signed already
            else:
                assert (page[0].status_code, page[0].json()["code"]) == (409, "completed")
                assert "confirm" in roles
            doors[signed["assurance"]] += 1
    assert len(doors) == 2, doors


async def test_fifty_wrong_codes_at_once_are_evaluated_five_times(threaded_store: Store) -> None:
    async with open_api(threaded_store) as api:
        path, right = await ready(api)
        wrong = f"{(int(right) + 1) % 1_000_000:06}"
        answers: list[int] = []

        async def one() -> None:
            answers.append((await api.alice.post(f"{path}/sign", json=statement(api, wrong))).status_code)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
        assert sorted(answers) == [422] * 5 + [429] * 45


async def test_codes_pending_for_one_number_differ_over_all_requests(threaded_store: Store) -> None:
    async with open_api(threaded_store) as api:
        paths: list[str] = []

        async def one() -> None:
            shown = await create(api, auto_send=True)
            paths.append(shown["signings"][0]["id"])

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(one)
        codes = [await code(api, signing) for signing in paths]
        assert len(set(codes)) == 20


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        ({"signers": []}, 422, "invalid"),
        ({"signers": [{"phone": ANNA, "role": "copy"}]}, 422, "nobody_signs"),
        ({"signers": [{"phone": ANNA, "mode": "reply"}]}, 422, "no_reply_route"),
        ({"signers": [{"phone": ANNA, "link": "http://example.com"}]}, 422, "invalid"),
        ({"documents": [{"name": "www.example.com", "sha256": SHA}]}, 422, "bad_text"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, 422, "invalid"),
        ({"expires_at": "soon"}, 422, "invalid"),
        ({"signers": [{"phone": "+3361"}]}, 422, "impossible_number"),
    ],
)
async def test_a_request_that_cannot_be_is_refused_by_its_reason(
    store: Store, body: dict[str, Any], status: int, problem: str
) -> None:
    async with open_api(store) as api:
        given = {"documents": [{"name": "Bail", "sha256": SHA}], "signers": [{"phone": ANNA}], **body}
        answer = await api.alice.post(PATH, json=given)
        assert (answer.status_code, answer.json()["code"]) == (status, problem), answer.text
