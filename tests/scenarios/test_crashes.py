"""The process dies at a named point or at any commit, and another one takes over: promises 1 to 3."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import trio

from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit.claiming import Claim
from tests.rig import MESSAGES, Rig, World, bind_settings, check_invariants, rig
from tests.scenarios.wire import Autojump, submits

T = TypeVar("T")


class Crash(BaseException):
    """The process is gone: nothing of it writes a row any more."""


class MortalStore(Store):
    """A store that dies with its process: before or after the commit of a job that the test names."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, inline=True)
        self.before: Callable[[Any], bool] = lambda _job: False
        self.after: Callable[[Any, Any], bool] = lambda _job, _result: False
        self.writes = 0
        self.dead = False

    async def write(self, job: Callable[[Tx], T], *, urgent: bool = False, apart: bool = False) -> T:
        """Run the job, or die."""
        self.writes += 1
        if self.dead or self.before(job):
            self.die()
        result = await super().write(job, urgent=urgent, apart=apart)
        if self.after(job, result):
            self.die()
        return result

    def die(self) -> None:
        """End the process here."""
        self.dead = True
        raise Crash


async def live(world: World, database: Database, play: Callable[[Rig, MortalStore], Any], **changed: Any) -> bool:
    """One life of an engine; True if it crashed."""
    store = MortalStore(database)
    try:
        async with rig(database, world=world, store=store, bound=0, **changed) as pair:
            await play(pair, store)
    except* Crash:
        pass
    return store.dead


def is_answering(job: Any) -> bool:
    """Whether a job is intake's."""
    return str(getattr(job, "__qualname__", "")).startswith("Intake.")


NUMBERS = [f"+3361234560{number}" for number in range(6)]
POINTS = ["after_commit", "after_send", "before_answer_commit"]


@pytest.mark.parametrize("category", ["otp", "transactional", "marketing"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_at_each_point_of_a_submit_loses_nothing_and_counts_what_may_be_twice(
    database: Database, autojump_clock: Autojump, point: str, category: str
) -> None:
    """B27: between commit and send, between send and response, between response and commit."""
    world = World.new()
    figures = {"account": {"binds": {"main": bind_settings(window=12)}}}  # one claim takes all six
    async with trio.open_nursery() as nursery:
        await nursery.start(world.sim.run)
        ids: list[str] = []

        async def first(pair: Rig, store: MortalStore) -> None:
            while not pair.core.pool.bound():
                await trio.sleep(0.1)
            if point == "after_commit":
                store.after = lambda job, claimed: isinstance(job, Claim) and bool(claimed.submits)
            elif point == "after_send":
                pair.sim.behave(response="hold")
            else:
                store.before = is_answering
            texts = [f"Bonjour {number}" for number in range(6)]
            ids.extend(await pair.send_many(texts, NUMBERS, category=category, ttl_s=900))
            if point == "after_send":
                await pair.sim.until(lambda: len(pair.sim.held) == 6)
                store.die()
            await trio.sleep_forever()

        assert await live(world, database, first, **figures)
        world.sim.smsc.submissions.answers.clear()
        world.sim.behave(response="given")
        taken = world.sim.stats.accepted
        assert taken == (0 if point == "after_commit" else 6)

        async def second(pair: Rig, _store: MortalStore) -> None:
            await pair.settled(250)
            rows = await pair.rows(MESSAGES)
            assert [row["id"] for row in rows] == ids
            if category == "marketing":
                # Nothing is sent again; the receipt of what was answered settles it.
                assert world.sim.stats.accepted == taken
                told = "delivered" if point == "before_answer_commit" else "in_doubt"
                assert {row["state"] for row in rows} == {told}
            else:
                assert {row["state"] for row in rows} == {"delivered"}
            assert {row["doubts"] for row in rows} == {1}
            assert max(row["attempts"] for row in rows) <= 2

        assert not await live(world, database, second, **figures)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("seed", range(4))
async def test_crashes_at_any_commit_keep_the_promises(
    sqlite_database: Database, autojump_clock: Autojump, seed: int
) -> None:
    """B27: three crashes at seeded commits under a mixed load; then a quiet life that ends everything."""
    await crash_and_recover(sqlite_database, seed)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 400))
async def test_crashes_at_any_commit_keep_the_promises_at_length(
    database: Database, autojump_clock: Autojump, seed: int
) -> None:
    """B27: the same, for hundreds of seeds on both databases."""
    await crash_and_recover(database, seed)


async def crash_and_recover(database: Database, seed: int) -> None:
    """See above."""
    dice = random.Random(seed)
    world = World.new(seed=seed)
    world.sim.behave(
        response_delay={"kind": "uniform", "low": 0.0, "high": 0.3},
        receipt_delay={"kind": "uniform", "low": 0.0, "high": 3.0},
        responses_lost=0.05,
        answers=[{"weight": 18}, {"status": "RTHROTTLED", "weight": 2}, {"status": "RSYSERR"}],
    )
    figures = {"account": {"binds": {"main": bind_settings(window=8, sessions=2)}, "rate": 60}}
    async with trio.open_nursery() as nursery:
        await nursery.start(world.sim.run)
        ids: list[str] = []
        number = 0

        async def busy(pair: Rig, store: MortalStore) -> None:
            nonlocal number
            fatal = store.writes + dice.randrange(10, 150)
            after = dice.random() < 0.5
            if after:
                store.after = lambda _job, _result: store.writes >= fatal
            else:
                store.before = lambda _job: store.writes >= fatal
            while True:
                category = dice.choice(["otp", "handover", "transactional", "marketing"])
                number += 1
                text = f"{category} {number}" + " et bien plus long que cela" * dice.choice([0, 0, 9])
                to = f"+336123456{dice.randrange(100):02}"
                ids.append(await pair.send(text, to, category=category, ttl_s=900))
                await trio.sleep(dice.random() * 0.2)

        for _ in range(3):
            assert await live(world, database, busy, seed=seed, **figures)

        async def quiet(pair: Rig, _store: MortalStore) -> None:
            pair.sim.behave(responses_lost=0, answers=[{}])
            rows = await pair.ended(900 + 3_700)
            assert {row["id"] for row in rows} >= set(ids)
            states = Counter(row["state"] for row in rows)
            assert set(states) <= {"delivered", "unknown", "rejected", "expired"}
            assert states["delivered"] >= 0.6 * len(rows)
            await check_invariants(pair, stopped=False)

        assert not await live(world, database, quiet, seed=seed, **figures)
        nursery.cancel_scope.cancel()
    assert submits(world.sim)
