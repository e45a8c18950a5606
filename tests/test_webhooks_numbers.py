"""Full numbers of who wrote: for endpoints that ask for them, as long as the number is kept, on both databases."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing

from engine.events import NewEvent, event_data, record
from engine.store.doorway import Store
from engine.store.statements import column_kinds, insert
from engine.store.tables import Reply
from engine.store.transaction import Tx
from engine.webhooks.claims import Due
from engine.webhooks.numbers import with_numbers
from tests.test_api_reverse import comes, opened, start
from tests.webhook_rig import Desk, Receiver

ANNA, MASKED = "+33612345671", "+336••••••71"
_INSERT = insert(Reply, column_kinds(Reply))
MockClock = trio.testing.MockClock


async def wrote(desk: Desk, reply_id: str, *, kept: bool = True) -> list[tuple[str, str]]:
    """Owe a `message.received`; return the bells."""

    def job(tx: Tx) -> list[tuple[str, str]]:
        if kept:
            row = dict.fromkeys(column_kinds(Reply), "") | {"id": reply_id, "source": ANNA, "received_at": 1}
            tx.batch(_INSERT, [tuple(row.values())])
        data = event_data("message.received", reply_id=reply_id, to="38123", flags="", **{"from": MASKED})
        return record(
            tx, [NewEvent("app", "message.received", reply_id, 1, data)], desk.clock.new_ids, desk.clock.now()
        )

    return await desk.store.write(job)


@pytest.mark.parametrize("mode", ["single", "batch"])
async def test_an_endpoint_that_asks_for_numbers_gets_them_and_another_does_not(
    store: Store, nursery: trio.Nursery, autojump_clock: MockClock, mode: str
) -> None:
    desk = Desk(store, Receiver(nursery))
    await desk.endpoint(url="http://full.example.com/in", mode=mode, full_numbers=True)
    await desk.endpoint(url="http://masked.example.com/in", mode=mode)
    await nursery.start((webhooks := desk.webhooks()).run)
    webhooks.ring([*await wrote(desk, "rpl_1"), *await wrote(desk, "rpl_2", kept=False)])
    with trio.fail_after(30):
        while sum(len(got.events) for got in desk.receiver.got) < 4:
            await trio.sleep(0.1)
    told = {
        (got.headers["host"], event["data"]["reply_id"]): event["data"]["from"]
        for got in desk.receiver.got
        for event in got.events
    }
    assert told == {
        ("full.example.com", "rpl_1"): ANNA,
        ("full.example.com", "rpl_2"): MASKED,  # no longer kept
        ("masked.example.com", "rpl_1"): MASKED,
        ("masked.example.com", "rpl_2"): MASKED,
    }
    nursery.cancel_scope.cancel()


async def test_whoever_sent_a_reverse_code_is_told_in_full(store: Store) -> None:
    async with opened(store) as api:
        case = await start(api)
        data = event_data("reverse.approved", reverse_id=case["id"], **{"from": MASKED})
        due = Due(1, case["id"], 0, 0, None, 0, "evt_1", "reverse.approved", 2, data, 0)
        other = due._replace(type="reverse.started")

        def look(tx: Tx) -> list[str]:
            return [json.loads(one.data)["from"] for one in with_numbers(tx, [due, other], api.context.keyring)]

        assert await store.read(look) == [MASKED, MASKED]
        await comes(api, case["code"])
        assert await store.read(look) == [ANNA, MASKED]
