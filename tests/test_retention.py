"""What has been kept long enough goes, slice by slice, with all that belongs to it; the rest stays."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from sqlalchemy import func, select

from engine.cases.device_rows import EntryRow, entries_of, put_entries
from engine.clock import DAY, VirtualClock
from engine.duties.retention import Retention, id_before
from engine.settings_service import Retention as Ages
from engine.store.doorway import Store
from engine.store.statements import Statement, column_kinds, insert
from engine.store.tables import Event, Feed, Message, Parked, Part, ReceiptKey, ReceiptRow
from engine.store.tables_tenancy import WebhookDelivery
from engine.store.transaction import Tx
from engine.transit import queue
from engine.transit.parking import park, replayed
from engine.transit.queue import NewMessage
from engine.transit.receipting import ID_LIFE_US


def count(model: Any) -> Statement:
    table = model.__table__
    return Statement(lambda _: select(func.count()).select_from(table))


FINISH = Statement(
    lambda _: Message.__table__.update().values(state="delivered", final_at=Message.__table__.c.created_at)
)  # type: ignore[attr-defined]
BODIES = Statement(lambda _: select(Message.__table__.c.body).order_by(Message.__table__.c.id))  # type: ignore[attr-defined]
PARKED_IDS = Statement(lambda _: select(Parked.__table__.c.id))  # type: ignore[attr-defined]
PUT_PART = insert(
    Part,
    column_kinds(
        Part, "message_id", "number", "attempt", "application_id", "account", "bind", "run", "state", "sent_at"
    ),
)
PUT_KEY = insert(ReceiptKey, column_kinds(ReceiptKey))
PUT_EVENT = insert(Event, column_kinds(Event))
PUT_FEED = insert(Feed, column_kinds(Feed))
PUT_DELIVERY = insert(
    WebhookDelivery, column_kinds(WebhookDelivery, "endpoint_id", "position", "application_id", "subject_id", "next_at")
)


def aged(tx: Tx, clock: VirtualClock, age_days: int, position: int) -> str:
    """A delivered message of that age, with a part, a key, an event and a webhook still owed."""
    at = clock.now() - age_days * DAY
    message_id = f"{id_before('msg', at)}{position:020x}"
    queue.enqueue(
        tx,
        [
            NewMessage(
                message_id, "app", None, "transactional", "transactional", 1, "all/main", "+33612345678", "FR", "main",
                at, at + DAY, body="Bonjour",
            )
        ],
    )  # fmt: skip
    tx.batch(PUT_PART, [(message_id, 1, 1, "app", "sim", "sim/main", "run", "delivered", at)])
    tx.batch(PUT_KEY, [("sim", f"key{position}", message_id, 1, 1, "app", at)])
    tx.batch(PUT_EVENT, [("app", position, f"evt_{position}", "message.delivered", message_id, 1, "{}", at)])
    tx.batch(PUT_DELIVERY, [("ep_1", position, "app", message_id, at)])
    tx.run(FINISH)
    return message_id


async def purge(store: Store, clock: VirtualClock) -> None:
    retention = Retention(Ages())
    for _ in range(10):
        if not (await store.write(lambda tx: retention.purge(tx, clock.now()))).more:
            return
    pytest.fail("retention never comes to an end")


async def test_old_messages_go_with_all_that_belongs_to_them_and_young_ones_stay(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    """S23."""
    clock = VirtualClock()

    def fill(tx: Tx) -> None:
        tx.batch(PUT_FEED, [("app", 3)])
        for position, age in enumerate((100, 40, 1), 1):
            aged(tx, clock, age, position)

    await store.write(fill)
    await purge(store, clock)
    left = {
        model: (await store.read(lambda tx, m=model: tx.one(count(m))))[0]
        for model in (Message, Part, ReceiptKey, Event, WebhookDelivery, ReceiptRow)
    }  # type: ignore[index,misc]
    assert left == {Message: 2, Part: 2, ReceiptKey: 1, Event: 1, WebhookDelivery: 1, ReceiptRow: 0}
    bodies = [row[0] for row in await store.read(lambda tx: tx.all(BODIES))]
    assert bodies == [None, "Bonjour"]  # 40 days: the message is kept, its text is not


async def test_parked_deliveries_go_after_their_days_whether_they_were_replayed_or_not(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    """S23: what nobody replayed in three months nobody will; a sealed text is not kept for ever."""
    clock = VirtualClock()
    aged_ids = {age: f"{id_before('mo', clock.now() - age * DAY)}{age:020x}" for age in (200, 100, 91, 89, 1)}

    def fill(tx: Tx) -> None:
        for age, row_id in aged_ids.items():
            park(tx, [(row_id, "sim", "sim/main", "sealed", "KeyError", clock.now() - age * DAY)])
        replayed(tx, aged_ids[100], clock.now())
        replayed(tx, aged_ids[1], clock.now())

    await store.write(fill)
    await purge(store, clock)
    left = {row[0] for row in await store.read(lambda tx: tx.all(PARKED_IDS))}
    assert left == {aged_ids[89], aged_ids[1]}


async def test_what_devices_logged_about_no_delivery_goes_after_its_days_and_the_rest_stays(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    clock = VirtualClock()
    rows = [
        EntryRow("dev_1", seq, "app", "dlv_1", "0" * 64, None, result, clock.now(), clock.now() - age * DAY)
        for seq, (result, age) in enumerate([("not_found", 31), ("confirmed", 31), ("", 31), ("not_found", 29)])
    ]
    await store.write(lambda tx: put_entries(tx, rows))
    await purge(store, clock)
    left = await store.read(lambda tx: entries_of(tx, "dev_1", 0, 9))
    assert [(one.seq, one.result) for one in left] == [(1, "confirmed"), (2, ""), (3, "not_found")]


def test_an_id_sorts_before_every_id_of_its_instant_or_later() -> None:
    clock = VirtualClock()
    bound = id_before("msg", clock.now())
    assert bound <= clock.new_id("msg")
    assert id_before("msg", clock.now() - DAY) < bound
    assert ID_LIFE_US < 40 * DAY
