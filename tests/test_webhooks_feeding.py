"""Feeding endpoints, in virtual time, against a receiver in memory, on both databases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.clock import SECOND, to_rfc3339
from engine.errors import StoreUnavailable
from engine.store.doorway import Store
from engine.webhooks import endpoints, replays
from engine.webhooks.dispatcher import Webhooks
from engine.webhooks.signing import BadSignature, new_secret, verify
from tests.amounts import Figure, amounts
from tests.webhook_rig import PUBLIC, Desk, Got, Receiver, Reply, in_order

HOUR_S = 3600


@pytest.fixture
async def desk(store: Store, nursery: trio.Nursery) -> Desk:
    """An application without endpoints, and a receiver that answers 200."""
    return Desk(store, Receiver(nursery))


@asynccontextmanager
async def running(webhooks: Webhooks) -> AsyncIterator[Webhooks]:
    """Run webhooks while the block runs, then stop them."""
    async with trio.open_nursery() as nursery:
        await nursery.start(webhooks.run)
        yield webhooks
        nursery.cancel_scope.cancel()


async def settled(desk: Desk, within_s: float = 5.0) -> None:
    """Wait until no event is owed any more."""
    with trio.fail_after(within_s):
        while await desk.store.read(replays.waiting):
            await trio.sleep(within_s / 200)


async def test_events_are_posted_signed_and_in_the_order_of_their_subject(
    autojump_clock: MockClock, desk: Desk
) -> None:
    view = await desk.endpoint()
    signed = await desk.endpoint(url="https://hooks.example.com/asymmetric", scheme="v1a", event_types=("none.such",))
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a", "b", "a", "c", "a", "b"))
        await settled(desk)
    assert signed.scheme == "v1a"
    assert len(desk.receiver.got) == 6
    assert in_order(desk.receiver.got)
    for got in desk.receiver.got:
        desk.check_signature(view.id, got)
        assert got.target == "/in?from=sceau"
        assert got.headers["host"] == "hooks.example.com"
        assert got.headers["content-type"] == "application/json"
        assert got.events[0]["id"] == got.id
    assert {address for address, _ in desk.receiver.dialled} == {PUBLIC}
    assert [post.result for post in desk.posted] == ["delivered"] * 6


async def test_a_first_attempt_leaves_at_once(autojump_clock: MockClock, desk: Desk) -> None:
    await desk.endpoint()
    async with running(desk.webhooks()) as webhooks:
        await trio.sleep(10)
        began = trio.current_time()
        webhooks.ring(await desk.owe("a"))
        await desk.receiver.until(1)
        assert trio.current_time() - began < 0.1


async def test_a_bell_that_was_lost_is_healed_by_the_rows(autojump_clock: MockClock, desk: Desk) -> None:
    await desk.endpoint()
    async with running(desk.webhooks()):
        await trio.sleep(1)
        await desk.owe("a")
        await settled(desk, 31)


async def test_an_event_whose_predecessor_failed_waits_for_it_while_other_subjects_flow(
    autojump_clock: MockClock, desk: Desk
) -> None:
    view = await desk.endpoint()
    failures = 2

    def answer(got: Got) -> Reply:
        nonlocal failures
        if got.events[0]["subject_id"] == "bad" and failures:
            failures -= 1
            return Reply(500)
        return Reply()

    desk.receiver.answer = answer
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("bad", "bad", "good", "bad", "good"))
        await desk.receiver.until(3)
        await trio.sleep(1)
        webhooks.ring(await desk.owe("good", "bad"))
        await trio.sleep(2)
        assert [got.events[0]["sequence"] for got in desk.receiver.got if got.events[0]["subject_id"] == "good"] == [
            1,
            2,
            3,
        ]
        await settled(desk, 400)
    bad = [got for got in desk.receiver.got if got.events[0]["subject_id"] == "bad"]
    assert [got.events[0]["sequence"] for got in bad] == [1, 1, 1, 2, 3, 4]
    assert len({(got.id, got.body) for got in bad[:3]}) == 1
    assert len({got.headers["webhook-timestamp"] for got in bad[:3]}) == 3
    assert 5 <= bad[1].at - bad[0].at <= 6
    assert 300 <= bad[2].at - bad[1].at <= 331
    for got in bad:
        desk.check_signature(view.id, got)
    assert (await desk.rows())[0][3:] == (3, 200)


async def test_after_the_whole_table_an_event_is_dead_and_the_next_one_goes(
    autojump_clock: MockClock, desk: Desk
) -> None:
    """S19: attempts at 0, 5 s, 5 m, 30 m, 2 h, 5 h, 10 h, 14 h, 20 h, 24 h and jitter, then no more."""
    await desk.endpoint()
    desk.receiver.answer = lambda got: Reply(404 if got.events[0]["sequence"] == 1 else 200)
    async with running(desk.webhooks(look_s=600.0)) as webhooks:
        webhooks.ring(await desk.owe("a", "a"))
        await settled(desk, 100 * HOUR_S)
    first = [got for got in desk.receiver.got if got.events[0]["sequence"] == 1]
    pauses = [after.at - before.at for before, after in pairwise(first)]
    for pause, due in zip(pauses, (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400), strict=True):
        assert due <= pause <= due * 1.1 + 1
    assert len({(got.id, got.body) for got in first}) == 1
    assert [row[2:] for row in await desk.rows()] == [("dead", 10, 404), ("delivered", 1, 200)]


async def test_410_disables_the_endpoint_and_what_it_is_owed_flows_when_it_is_enabled_again(
    autojump_clock: MockClock, desk: Desk
) -> None:
    view = await desk.endpoint(concurrency=1)
    desk.receiver.answer = lambda _: Reply(410)
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a", "b", "c"))
        await desk.receiver.until(1)
        await trio.sleep(60)
        found = await desk.store.read(lambda tx: endpoints.get(tx, "app", view.id))
        assert found is not None
        assert (found.state, found.disabled_reason) == ("disabled", "gone")
        assert await desk.owe("d") == []
        await trio.sleep(2 * HOUR_S)
        assert len(desk.receiver.got) == 1
        desk.receiver.answer = lambda _: Reply()
        await desk.store.write(lambda tx: endpoints.update(tx, "app", view.id, {"state": "enabled"}))
        webhooks.ring([("app", view.id)])
        await settled(desk)
    assert await desk.states() == ["delivered"] * 3


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_honoured_for_the_whole_endpoint(autojump_clock: MockClock, desk: Desk, form: str) -> None:
    from email.utils import formatdate

    await desk.endpoint(concurrency=1)
    until = desk.clock.now() // SECOND + 120
    value = "120" if form == "seconds" else formatdate(until, usegmt=True)
    desk.receiver.answer = lambda got: Reply(429, (("retry-after", value),)) if desk.receiver.got[0] is got else Reply()
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a", "b", "c"))
        await settled(desk, 200)
    first, *rest = desk.receiver.got
    assert sorted(got.events[0]["subject_id"] for got in rest) == ["a", "b", "c"]
    assert all(got.at - first.at >= 118.9 for got in rest)
    assert all(got.at - first.at <= 122 for got in rest)


async def test_a_redirect_is_a_failure_and_is_not_followed(autojump_clock: MockClock, desk: Desk) -> None:
    """S18: 302 to the metadata address."""
    await desk.endpoint()
    desk.receiver.answer = lambda _: Reply(302, (("location", "http://169.254.169.254/latest/meta-data"),))
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a"))
        await desk.receiver.until(2)
    assert {got.target for got in desk.receiver.got} == {"/in?from=sceau"}
    assert {address for address, _ in desk.receiver.dialled} == {PUBLIC}
    assert (await desk.rows())[0][2:] in {("pending", 1, 302), ("pending", 2, 302)}


async def test_a_name_that_rebinds_to_loopback_is_never_connected_to(autojump_clock: MockClock, desk: Desk) -> None:
    """S18: the second connection resolves anew, and is refused."""
    await desk.endpoint()
    answers = [[PUBLIC], ["127.0.0.1"], [PUBLIC, "::ffff:127.0.0.1"], [PUBLIC]]
    desk.receiver.addresses = lambda _: answers.pop(0)
    desk.receiver.answer = lambda got: Reply(500 if len(desk.receiver.got) == 1 else 200, close=True)
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a"))
        await settled(desk, 9000)
    assert [address for address, _ in desk.receiver.dialled] == [PUBLIC, PUBLIC]
    assert [(post.status, post.problem) for post in desk.posted] == [
        (500, ""),
        (0, "refused"),
        (0, "refused"),
        (200, ""),
    ]


async def test_a_dripping_answer_ends_at_the_total_deadline(autojump_clock: MockClock, desk: Desk) -> None:
    """S18: a body dripped a byte at a time, never ending, costs one deadline; its 200 counts."""
    await desk.endpoint(concurrency=1)
    desk.receiver.answer = lambda got: Reply(chunks=(b"x",) * 1000, pause=1.0)
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a", "b"))
        await settled(desk, 60)
    assert [round(post.seconds) for post in desk.posted] == [15, 15]
    assert [post.result for post in desk.posted] == ["delivered"] * 2
    assert len(desk.receiver.dialled) == 2


async def test_an_answer_that_does_not_come_is_a_failure_after_the_deadline(
    autojump_clock: MockClock, desk: Desk
) -> None:
    await desk.endpoint()
    desk.receiver.answer = lambda got: Reply(delay=3600 if len(desk.receiver.got) == 1 else 0)
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a"))
        await settled(desk, 60)
    assert [(post.status, post.problem, round(post.seconds)) for post in desk.posted] == [
        (0, "timeout", 15),
        (200, "", 0),
    ]


async def test_an_endless_answer_is_cut_at_the_cap(autojump_clock: MockClock, desk: Desk) -> None:
    """S18: 64 KiB and no more are read."""
    await desk.endpoint(concurrency=1)
    desk.receiver.answer = lambda got: Reply(chunks=(b"x" * 4096,) * 10_000, pause=0.01)
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a"))
        await settled(desk, 20)
    assert 0.1 < desk.posted[0].seconds < 0.5
    assert desk.posted[0].result == "delivered"


async def test_a_connection_is_kept_and_a_dead_one_is_replaced_unseen(autojump_clock: MockClock, desk: Desk) -> None:
    await desk.endpoint(concurrency=1)
    desk.receiver.answer = lambda got: Reply(close=len(desk.receiver.got) == 5)
    async with running(desk.webhooks()) as webhooks:
        for _ in range(10):
            webhooks.ring(await desk.owe("a"))
            await settled(desk)
    assert [got.connection for got in desk.receiver.got] == [1] * 5 + [2] * 5
    assert {post.result for post in desk.posted} == {"delivered"}


async def test_a_slow_endpoint_holds_up_no_other(autojump_clock: MockClock, desk: Desk) -> None:
    slow = await desk.endpoint(url="http://slow.example.com/")
    await desk.endpoint(url="http://quick.example.com/")
    desk.receiver.answer = lambda got: Reply(delay=14 if got.headers["host"].startswith("slow") else 0)
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe(*[f"s{number}" for number in range(40)]))
        await trio.sleep(2)
        quick = [got for got in desk.receiver.got if got.headers["host"].startswith("quick")]
        assert len(quick) == 40
        assert len(desk.receiver.got) == 44
        await settled(desk, 200)
    assert sum(post.endpoint_id == slow.id for post in desk.posted) == 40


async def test_a_batch_keeps_its_id_its_members_and_its_octets_over_retries(
    autojump_clock: MockClock, desk: Desk
) -> None:
    view = await desk.endpoint(mode="batch", concurrency=1)
    desk.receiver.answer = lambda got: Reply(500 if len(desk.receiver.got) <= 2 else 200)
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a", "b", "a", "c"))
        await desk.receiver.until(1)
        webhooks.ring(await desk.owe("d", "a"))
        await desk.receiver.until(2)
        webhooks.ring(await desk.owe("e"))
        await settled(desk, 700)
    posts: dict[str, list[Got]] = defaultdict(list)
    for got in desk.receiver.got:
        desk.check_signature(view.id, got)
        posts[got.id].append(got)
    assert all(one.startswith("whb_") for one in posts)
    assert all(len({got.body for got in same}) == 1 for same in posts.values())
    first = desk.receiver.got[0]
    assert len(posts[first.id]) == 2
    assert [(event["subject_id"], event["sequence"]) for event in first.events] == [
        ("a", 1),
        ("b", 1),
        ("a", 2),
        ("c", 1),
    ]
    assert in_order(desk.receiver.got)
    late = next(got for got in desk.receiver.got if ("a", 3) in [(e["subject_id"], e["sequence"]) for e in got.events])
    assert late.at >= posts[first.id][-1].at
    assert await desk.states() == ["delivered"] * 7


async def test_batches_hold_at_most_a_hundred_events_and_256_kib(autojump_clock: MockClock, desk: Desk) -> None:
    await desk.endpoint(mode="batch")
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe(*[f"s{number}" for number in range(350)]))
        await settled(desk)
        counts = [len(got.events) for got in desk.receiver.got]
        assert max(counts) == 100
        assert len(counts) <= 6
        desk.receiver.got.clear()
        webhooks.ring(await desk.owe(*[f"s{number}" for number in range(40)], size=15_000))
        await settled(desk)
    assert max(len(got.body) for got in desk.receiver.got) <= 256 * 1024
    assert sorted(len(got.events) for got in desk.receiver.got) == [6, 17, 17]


@pytest.mark.parametrize("mode", ["single", "batch"])
async def test_a_process_killed_before_it_could_settle_posts_again_under_the_same_ids(
    autojump_clock: MockClock, desk: Desk, mode: str
) -> None:
    """Law 1: the rows say what is left; at least once, and told by the id."""
    await desk.endpoint(mode=mode)
    desk.receiver.answer = lambda got: Reply(delay=3)
    with trio.move_on_after(1):
        async with running(desk.webhooks()) as webhooks:
            webhooks.ring(await desk.owe("a", "b", "a", "c"))
            await trio.sleep_forever()
    killed = list(desk.receiver.got)
    assert killed
    assert await desk.states() == ["pending"] * 4
    desk.receiver.answer = lambda got: Reply()
    async with running(desk.webhooks()):
        await settled(desk, 40)
    again = {got.id: got.body for got in desk.receiver.got[len(killed) :]}
    assert all(again[got.id] == got.body for got in killed)
    assert in_order(desk.receiver.got)
    assert len(set(desk.receiver.event_ids)) == 4


async def test_a_clean_stop_settles_what_was_answered(autojump_clock: MockClock, desk: Desk) -> None:
    await desk.endpoint()
    async with running(desk.webhooks(gather_s=5.0)) as webhooks:
        webhooks.ring(await desk.owe("a", "b"))
        await desk.receiver.until(2)
        await trio.sleep(0.1)
        assert await desk.states() == ["pending"] * 2
    assert await desk.states() == ["delivered"] * 2


@pytest.mark.parametrize("each", amounts(5, 500))
@pytest.mark.parametrize("mode", ["single", "batch"])
async def test_a_receiver_that_was_down_for_an_hour_gets_everything_in_order(
    autojump_clock: MockClock, desk: Desk, mode: str, each: int, figure: Figure
) -> None:
    """Users-ask 30: `each` ten seconds; delivered later, per-subject order, signed, each with a stable id."""
    view = await desk.endpoint(mode=mode)
    desk.receiver.down = True
    owed = 0
    async with running(desk.webhooks()) as webhooks:
        for step in range(360):
            webhooks.ring(await desk.owe(*[f"s{(step * each + number) // 3}" for number in range(each)]))
            owed += each
            await trio.sleep(10)
        assert desk.receiver.got == []
        assert len(desk.posted) < 200  # a receiver that is down is asked, not flooded
        desk.receiver.down = False
        await settled(desk, 300)
    assert len(set(desk.receiver.event_ids)) == len(desk.receiver.event_ids) == owed == 360 * each
    assert in_order(desk.receiver.got)
    for got in desk.receiver.got:
        desk.check_signature(view.id, got)
    assert set(await desk.states()) == {"delivered"}
    figure(f"users-ask 30: an hour at {each / 10:g}/s, mode {mode}: events in order, twice, missing", f"{owed:,}, 0, 0")


async def test_a_thousand_owed_events_are_not_all_held_in_memory(autojump_clock: MockClock, desk: Desk) -> None:
    from engine.webhooks.feeder import Feeder

    await desk.endpoint(concurrency=2)
    desk.receiver.answer = lambda got: Reply(delay=10)
    webhooks = desk.webhooks()
    async with running(webhooks):
        webhooks.ring(await desk.owe(*[f"s{number}" for number in range(1000)]))
        await trio.sleep(5)
        [feeder] = webhooks._feeders.values()
        assert isinstance(feeder, Feeder)
        assert len(feeder._hand.held) <= 128
        assert len(desk.receiver.got) == 2


class Flaky:
    """A store that is out of order while `down`."""

    def __init__(self, store: Store) -> None:
        self.down = False
        self.database = store.database
        self._store = store

    async def write(self, job: Callable[[Any], Any], *, urgent: bool = False, apart: bool = False) -> Any:
        return await self._do(self._store.write, job)

    async def read(self, job: Callable[[Any], Any]) -> Any:
        return await self._do(self._store.read, job)

    async def _do(self, call: Callable[[Any], Awaitable[Any]], job: Callable[[Any], Any]) -> Any:
        await trio.lowlevel.checkpoint()
        if self.down:
            raise StoreUnavailable("the store is down")
        return await call(job)


@pytest.mark.parametrize("mode", ["single", "batch"])
async def test_a_store_that_fails_for_a_while_loses_and_repeats_nothing(
    autojump_clock: MockClock, desk: Desk, mode: str
) -> None:
    """D16: what was answered is settled when the store is back, and not posted again."""
    await desk.endpoint(mode=mode)
    flaky = Flaky(desk.store)

    def answer(got: Got) -> Reply:
        flaky.down = len(desk.receiver.got) < 3
        return Reply()

    desk.receiver.answer = answer
    async with running(desk.webhooks(store=flaky)) as webhooks:  # type: ignore[arg-type]
        webhooks.ring(await desk.owe("a", "b", "a", "b"))
        await desk.receiver.until(1)
        await trio.sleep(90)
        assert "delivered" not in await desk.states()
        flaky.down = False
        desk.receiver.answer = lambda _: Reply()
        webhooks.ring(await desk.owe("c"))
        await settled(desk, 40)
    assert len(desk.receiver.event_ids) == len(set(desk.receiver.event_ids)) == 5
    assert in_order(desk.receiver.got)


async def test_a_rotated_secret_signs_at_once_and_the_old_one_until_it_retires(
    autojump_clock: MockClock, desk: Desk
) -> None:
    view = await desk.endpoint()
    old, new = desk.secrets[view.id], new_secret("v1", desk.clock.entropy)

    def verifies(secret: str, got: Got) -> bool:
        try:
            return verify([secret], got.headers, got.body, desk.clock.now() // SECOND) == got.id
        except BadSignature:
            return False

    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a"))
        await settled(desk)
        now = desk.clock.now()
        await desk.store.write(
            lambda tx: endpoints.rotate(tx, "app", view.id, new, desk.keyring, now=now, overlap_s=60)
        )
        webhooks.ring([("app", view.id)])
        webhooks.ring(await desk.owe("a"))
        await settled(desk)
        assert [verifies(old, desk.receiver.got[-1]), verifies(new, desk.receiver.got[-1])] == [True, True]
        await trio.sleep(61)
        webhooks.ring(await desk.owe("a"))
        await settled(desk)
        assert [verifies(old, desk.receiver.got[-1]), verifies(new, desk.receiver.got[-1])] == [False, True]


async def test_a_changed_url_and_mode_hold_for_the_next_post(autojump_clock: MockClock, desk: Desk) -> None:
    view = await desk.endpoint()
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a"))
        await settled(desk)
        changes = {"url": "http://other.example.com/new", "mode": "batch"}
        await desk.store.write(lambda tx: endpoints.update(tx, "app", view.id, changes))
        webhooks.ring([("app", view.id)])
        webhooks.ring(await desk.owe("a", "b"))
        await settled(desk)
    first, second = desk.receiver.got
    assert (first.headers["host"], second.headers["host"]) == ("hooks.example.com", "other.example.com")
    assert (second.target, len(second.events)) == ("/new", 2)


async def test_a_deleted_endpoint_gets_nothing_more_and_what_it_was_owed_is_given_up(
    autojump_clock: MockClock, desk: Desk
) -> None:
    view = await desk.endpoint()
    desk.receiver.answer = lambda _: Reply(500)
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a", "a", "b"))
        await desk.receiver.until(2)
        await desk.store.write(lambda tx: endpoints.delete(tx, "app", view.id))
        webhooks.ring([("app", view.id)])
        await trio.sleep(3)
        count = len(desk.receiver.got)
        await trio.sleep(HOUR_S)
    assert len(desk.receiver.got) == count == 2
    assert await desk.states() == ["dead"] * 3


async def test_a_replayed_event_goes_again_with_its_id_and_octets(autojump_clock: MockClock, desk: Desk) -> None:
    """Users-ask 30: replay."""
    view = await desk.endpoint()
    desk.receiver.answer = lambda _: Reply(400)
    async with running(desk.webhooks(retry_s=(0, 1))) as webhooks:
        webhooks.ring(await desk.owe("a"))
        await settled(desk)
        assert await desk.states() == ["dead"]
        desk.receiver.answer = lambda _: Reply()
        now = desk.clock.now()
        assert await desk.store.write(lambda tx: replays.replay(tx, "app", view.id, [1], now)) == 1
        webhooks.ring([("app", view.id)])
        await settled(desk)
    assert len({(got.id, got.body) for got in desk.receiver.got}) == 1
    assert len(desk.receiver.got) == 3
    assert await desk.states() == ["delivered"]
    [told] = await desk.store.read(lambda tx: replays.deliveries_of(tx, "app", ["a"]))
    assert (told.state, told.attempts, told.last_status) == ("delivered", 1, 200)
    assert to_rfc3339(told.delivered_at or 0) >= to_rfc3339(now)


async def test_an_idle_feeder_ends_and_the_next_bell_starts_another(autojump_clock: MockClock, desk: Desk) -> None:
    await desk.endpoint()
    webhooks = desk.webhooks()
    async with running(webhooks):
        webhooks.ring(await desk.owe("a"))
        await settled(desk)
        await trio.sleep(100)
        assert webhooks._feeders == {}
        webhooks.ring(await desk.owe("a"))
        await settled(desk)
    assert len(desk.receiver.got) == 2


async def test_an_endpoint_whose_secrets_do_not_open_troubles_no_other(autojump_clock: MockClock, desk: Desk) -> None:
    from engine.keyring import KeyRing

    good = await desk.endpoint()
    desk.keyring, kept = KeyRing.generate(), desk.keyring
    await desk.endpoint(url="http://bad.example.com/")
    desk.keyring = kept
    async with running(desk.webhooks()) as webhooks:
        webhooks.ring(await desk.owe("a", "b"))
        await trio.sleep(120)
    assert {post.endpoint_id for post in desk.posted} == {good.id}
    assert sorted(await desk.states()) == ["delivered"] * 2 + ["pending"] * 2
