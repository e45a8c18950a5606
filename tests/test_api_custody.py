"""The routes of legal holds and of erasure: scopes, refusals with their reasons, tenants, repeats."""

from __future__ import annotations

from engine.api.context import Context
from engine.clock import DAY, to_rfc3339
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.tables import Message
from tests.api_client import ALICE, Api, open_api
from tests.test_api_signatures import ANNA, PATH, create

FINISH = Statement(lambda _: Message.__table__.update().values(state="delivered", final_at=1))  # type: ignore[attr-defined]


async def declined(api: Api) -> str:
    """A request that is over, whose messages have ended; its path."""
    shown = await create(api)
    path = f"{PATH}/{shown['id']}"
    await api.alice.post(f"{path}/signings/{shown['signings'][0]['id']}/decline", json={"reason": "no"})
    await finish(api.context)
    return path


async def finish(context: Context) -> None:
    await context.store.write(lambda tx: tx.run(FINISH))


async def test_a_hold_is_shown_until_it_is_lifted_and_forbids_erasure_with_its_reason(store: Store) -> None:
    async with open_api(store) as api:
        path = await declined(api)
        until = to_rfc3339(api.context.clock.now() + DAY)
        free = (await api.alice.get(f"{path}/hold")).json()
        assert (free["on_hold"], free["reason"]) == (False, None)
        held = await api.alice.put(f"{path}/hold", json={"reason": "claim 4711", "until": until})
        assert held.status_code == 200, held.text
        assert (await api.alice.get(f"{path}/hold")).json() == held.json()
        assert held.json()["on_hold"]
        refused = await api.alice.post("/v1/erasures", json={"phone": ANNA})
        assert (refused.status_code, refused.json()["code"]) == (409, "on_hold")
        assert (refused.json()["reason"], refused.json()["until"]) == ("claim 4711", until)
        assert ANNA not in refused.text
        assert not (await api.alice.delete(f"{path}/hold")).json()["on_hold"]
        erased = await api.alice.post("/v1/erasures", json={"phone": ANNA})
        assert erased.json() == {"evidence": 1, "cases": 0, "messages": 1, "replies": 0}


async def test_what_is_under_way_is_named_when_an_erasure_is_refused(store: Store) -> None:
    async with open_api(store) as api:
        shown = await create(api)
        await finish(api.context)
        refused = await api.alice.post("/v1/erasures", json={"phone": ANNA})
        assert (refused.status_code, refused.json()["code"]) == (409, "subject_active")
        assert refused.json()["ids"] == [shown["id"]]


async def test_a_repeat_under_the_same_key_is_told_what_the_first_was(store: Store) -> None:
    async with open_api(store) as api:
        await declined(api)
        headers = {"Idempotency-Key": "erase-anna"}
        first, again = [await api.alice.post("/v1/erasures", json={"phone": ANNA}, headers=headers) for _ in range(2)]
        assert first.json() == again.json()
        assert again.headers["Idempotency-Replayed"] == "true"


async def test_holds_and_erasures_need_their_own_scopes_and_an_end_in_the_future(store: Store) -> None:
    async with open_api(store) as api:
        path = await declined(api)
        admin = api.client(await api.key("admin", application_id=ALICE))
        async with admin:
            assert (await admin.post("/v1/erasures", json={"phone": ANNA})).json()["code"] == "scope_missing"
        past = await api.alice.put(f"{path}/hold", json={"reason": "late", "until": "2020-01-01T00:00:00Z"})
        vague = await api.alice.put(f"{path}/hold", json={"reason": "late", "until": "soon"})
        empty = await api.alice.put(f"{path}/hold", json={"reason": ""})
        assert [answer.status_code for answer in (past, vague, empty)] == [422, 422, 422]
        assert (await api.bob.put(f"{path}/hold", json={"reason": "mine"})).status_code == 404
        assert (await api.alice.get(f"{PATH}/sig_unknown/hold")).status_code == 404
        assert (await api.alice.post("/v1/erasures", json={"phone": "12"})).status_code == 422
