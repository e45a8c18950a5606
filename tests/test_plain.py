"""The plain way of most messages ends in the same rows as the long way, and what is not plain goes the long way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.transaction import GuardLost, Tx
from engine.transit import plain, queue
from engine.transit.answers import Answer
from engine.transit.inbox import Batch
from engine.transit.intake import TakenIn, take_in
from tests.databases import fresh_sqlite
from tests.intake_kit import EVENTS, MESSAGES, PARTS, RECEIPTS, IntakeKit, intake_kit, receipt

NUMBERS = [f"+336123456{n:02}" for n in range(4)]


def carefully(job: Callable[[Tx], TakenIn]) -> Callable[[Tx], TakenIn]:
    """Run a job the long way."""

    def run(tx: Tx) -> TakenIn:
        tx.careful = True
        return job(tx)

    return run


async def rows_of(kit: IntakeKit) -> list[list[dict[str, Any]]]:
    """Return everything that an answer or a receipt changes, without the ids of events, which are drawn."""
    found = [await kit.rows(statement) for statement in (MESSAGES, PARTS, RECEIPTS, EVENTS)]
    by_subject = sorted(found[3], key=lambda row: (row["subject_id"], row["sequence"]))
    found[3] = [{key: row[key] for key in row.keys() - {"id", "position"}} for row in by_subject]
    return [[dict(sorted(row.items())) for row in rows] for rows in found]


async def taken_in(store: Store, what: list[tuple[int, int, str, bool]], wrap: Callable[[Any], Any]) -> Any:
    """Send a message to each number and take one batch in; return the rows and what was counted."""
    kit = await intake_kit(store)
    tokens = [(await kit.sent(parts, to))[0] for parts, to in zip((1, 1, 1, 2), NUMBERS, strict=True)]
    batch = Batch()
    for index, status, stat, to_another in what:
        if not any(answer.token is tokens[index] for answer in batch.answers):
            batch.answers.append(Answer(tokens[index], status, f"4{index}" if not status else "", False))
        if stat:
            to = NUMBERS[(index + to_another) % len(NUMBERS)]
            batch.arrivals.append(kit.read(receipt(f"4{index}", stat, to)))
    now = kit.clock.now()
    taken = await store.write(wrap(lambda tx: take_in(tx, batch, kit.desk, now)))
    counted = (taken.receipts, taken.orphans, taken.queued, taken.refused_senders)
    return await rows_of(kit), counted


events = st.tuples(
    st.integers(0, 3),
    st.sampled_from([0, 0, 0, 0x58, 0x0B]),
    st.sampled_from(["", "DELIVRD", "DELIVRD", "UNDELIV", "ENROUTE"]),
    st.booleans(),
)


@given(st.lists(events, min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_both_ways_end_in_the_same_rows(what: list[tuple[int, int, str, bool]]) -> None:
    with TemporaryDirectory(prefix="sceau-plain-") as folder:
        ended = []
        for wrap in (lambda job: job, carefully):
            store = Store(Database.at(fresh_sqlite(Path(folder))), inline=True)
            store.open()
            ended.append(trio.run(taken_in, store, what, wrap, clock=MockClock()))
            trio.run(store.close)
        assert ended[0] == ended[1]


async def test_an_answer_with_its_receipt_goes_the_plain_way(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    kit = await intake_kit(store)
    [token] = await kit.sent()
    monkeypatch.setattr(queue, "load", _never)
    taken = await kit.take(answers=[Answer(token, 0, "77", False)], arrivals=[kit.read(receipt("77"))])
    assert (taken.receipts, taken.delivered) == ({"delivered": 1}, {token.lane: 1})
    monkeypatch.undo()
    message = await kit.message(token)
    assert (message["state"], message["open_parts"], message["worst"], message["sequence"]) == (
        "delivered", 0, "delivered", 2,
    )  # fmt: skip
    assert await kit.events(token) == ["accepted", "delivered"]
    assert await kit.effects() == ["applied"]


def _never(*_: object) -> dict[str, Any]:
    return {}


async def test_a_message_that_moved_meanwhile_is_found_out_and_goes_the_long_way(store: Store) -> None:
    kit = await intake_kit(store)
    [token], [other] = await kit.sent(to=NUMBERS[0]), await kit.sent(to=NUMBERS[1])
    await kit.silence(token)  # the answer below comes late, but nobody says so
    await kit.take(answers=[Answer(token, 0, "71", False), Answer(other, 0, "72", False)])
    assert [await kit.state(token), await kit.state(other)] == ["accepted", "accepted"]
    assert await kit.events(token) == ["in_doubt", "accepted"]
    assert await kit.events(other) == ["accepted"]


async def test_a_guard_that_does_not_hold_leaves_nothing_behind(store: Store) -> None:
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.silence(token)
    assert token.plain is not None
    sorted_out = plain.sort_out([Answer(token, 0, "71", False)], [], kit.desk.rules)

    def settle(tx: Tx) -> None:
        plain.settle(tx, sorted_out, "sim", kit.clock.now())
        tx.flush()

    def job(tx: Tx) -> None:
        with pytest.raises(GuardLost):
            settle(tx)

    await store.write(job)
    assert await kit.state(token) == "in_doubt"
    assert [row["state"] for row in await kit.rows(PARTS)] == ["in_doubt"]


async def test_what_is_not_plain_is_left_for_the_long_way(store: Store) -> None:
    kit = await intake_kit(store)
    [token] = await kit.sent()
    parts = await kit.sent(2)
    answers = [
        Answer(token, 0x58, "", False),  # refused
        Answer(token, 0, "1", True),  # late
        Answer(token, 0, "1", False, nacked=True),
        Answer(parts[0], 0, "2", False),  # of several parts
    ]
    receipts = [kit.read(receipt("9")).receipt]
    sorted_out = plain.sort_out(answers, [one for one in receipts if one is not None], kit.desk.rules)
    assert sorted_out.answers == answers
    assert not sorted_out.taken
    assert len(sorted_out.receipts) == 1
