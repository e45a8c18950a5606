"""Timelines: what became of webhooks, delivered or not, each with its time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from engine.cases import timeline
from engine.clock import SECOND, VirtualClock, to_rfc3339
from engine.store.doorway import Store
from engine.webhooks import claims, endpoints
from tests.webhook_rig import URL, Desk, Receiver


def desk_on(store: Store) -> tuple[Desk, VirtualClock]:
    clock = VirtualClock()
    return Desk(store, Receiver(None), clock=clock), clock  # type: ignore[arg-type]


async def told(desk: Desk, subject: str, application: str = "app") -> list[dict[str, Any]]:
    return await desk.store.read(lambda tx: timeline.of_message(tx, application, subject))


def webhooks(entries: Sequence[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return these members of the webhooks among entries."""
    return [tuple(one.get(name) for name in names) for one in entries if one["what"].startswith("webhook.")]


async def test_a_webhook_that_is_owed_tried_again_or_given_up_is_told_with_its_state(store: Store) -> None:
    desk, clock = desk_on(store)
    made = await desk.endpoint()
    owed = clock.now()
    await desk.owe("a", "a", "a", "a", "b")
    clock.step(2)
    now, later = clock.now(), clock.now() + 300 * SECOND
    rows = [
        claims.Settled(1, "delivered", 200, now, now),
        claims.Settled(2, "dead", 400, now, None),
        claims.Settled(3, "pending", 503, later, None),
    ]
    await store.write(lambda tx: claims.settle(tx, made.id, rows, set(), now))
    entries = await told(desk, "a")
    assert webhooks(entries, "what", "at", "attempts", "http_status", "next_try_at") == [
        ("webhook.pending", to_rfc3339(owed), 1, 503, to_rfc3339(later)),
        ("webhook.pending", to_rfc3339(owed), 0, None, to_rfc3339(owed)),
        ("webhook.delivered", to_rfc3339(now), 1, 200, None),
        ("webhook.dead", to_rfc3339(now), 1, 400, None),
    ]
    assert [entry["at"] for entry in entries] == sorted(entry["at"] for entry in entries)
    events = {entry["event_id"] for entry in entries if entry["what"] == "message.accepted"}
    assert {event_id for (event_id,) in webhooks(entries, "event_id")} == events
    assert len(events) == 4


async def test_what_a_deleted_endpoint_was_owed_is_told_given_up_at_its_end(store: Store) -> None:
    desk, clock = desk_on(store)
    made = await desk.endpoint()
    await desk.owe("a")
    later = clock.now() + 300 * SECOND
    rows = [claims.Settled(1, "pending", 503, later, None)]
    await store.write(lambda tx: claims.settle(tx, made.id, rows, set(), clock.now()))
    clock.step(5)
    await store.write(lambda tx: endpoints.delete(tx, "app", made.id))
    ended = clock.now()
    await store.write(lambda tx: claims.abandon(tx, made.id, 10, ended))
    assert webhooks(await told(desk, "a"), "what", "at", "attempts") == [("webhook.dead", to_rfc3339(ended), 1)]


async def test_no_webhook_of_a_timeline_tells_its_url_or_secret_or_is_another_application_s(store: Store) -> None:
    desk, _ = desk_on(store)
    made = await desk.endpoint()
    await desk.owe("a")
    shown = json.dumps(await told(desk, "a"))
    assert made.id in shown
    assert URL not in shown
    assert desk.secrets[made.id] not in shown
    assert webhooks(await told(desk, "a", "other"), "what") == []
