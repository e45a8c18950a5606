"""Duties: those that are due together share a transaction, and none suffers from another's failure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import trio
from trio.testing import MockClock

from engine.clock import VirtualClock
from engine.duties.rounds import Done, Duty, Rounds
from engine.errors import StoreUnavailable
from engine.store.doorway import Store
from engine.store.transaction import Tx


async def rounds_of(store: Store, seconds: float, *duties: Duty) -> dict[str, list[str]]:
    """Run duties for so long; return what failed, by duty."""
    failures: dict[str, list[str]] = defaultdict(list)

    def failed(name: str, error: BaseException) -> None:
        failures[name].append(type(error).__name__)

    rounds = Rounds(store, VirtualClock(), duties, lambda _name, _done: None, failed)
    async with trio.open_nursery() as nursery:
        await nursery.start(rounds.run)
        await trio.sleep(seconds)
        nursery.cancel_scope.cancel()
    return failures


def counting(seen: list[tuple[str, int]], name: str, more: int = 0) -> Callable[[Tx, int], Done]:
    """A look that notes its name and its transaction, and has more to do so many times."""

    def look(tx: Tx, _now: int) -> Done:
        seen.append((name, id(tx)))
        return Done(more=sum(one == name for one, _ in seen) <= more)

    return look


async def test_duties_that_are_due_together_look_in_one_transaction(embedded: Store, autojump_clock: MockClock) -> None:
    seen: list[tuple[str, int]] = []
    duties = [Duty(name, every_s, counting(seen, name)) for name, every_s in (("quick", 0.5), ("slow", 1.0))]
    await rounds_of(embedded, 1.2, *duties)
    assert [name for name, _ in seen] == ["quick", "slow", "quick", "quick", "slow"]
    assert seen[0][1] == seen[1][1]


async def test_a_duty_with_more_to_do_looks_again_at_once_and_alone(embedded: Store, autojump_clock: MockClock) -> None:
    seen: list[tuple[str, int]] = []
    duties = [Duty("busy", 60.0, counting(seen, "busy", more=2)), Duty("other", 60.0, counting(seen, "other"))]
    await rounds_of(embedded, 1.0, *duties)
    assert [name for name, _ in seen] == ["busy", "other", "busy", "busy"]


async def test_a_duty_that_fails_is_told_and_the_others_do_theirs(embedded: Store, autojump_clock: MockClock) -> None:
    seen: list[tuple[str, int]] = []

    def fails(_tx: Tx, _now: int) -> Done:
        raise ValueError("a duty's own mistake")

    duties = [Duty("bad", 1.0, fails), Duty("good", 1.0, counting(seen, "good"))]
    assert await rounds_of(embedded, 1.5, *duties) == {"bad": ["ValueError"] * 2}
    assert len(seen) == 2


async def test_what_cannot_be_told_of_one_duty_is_told_of_the_others(
    embedded: Store, autojump_clock: MockClock
) -> None:
    told: list[str] = []
    failures: list[str] = []

    def tell(name: str, _done: Done) -> None:
        told.append(name)
        if name == "first":
            raise ValueError("nobody is there")

    def changes(_tx: Tx, _now: int) -> Done:
        return Done(rows=1)

    duties = [Duty(name, 60.0, changes) for name in ("first", "second")]
    rounds = Rounds(embedded, VirtualClock(), duties, tell, lambda name, _error: failures.append(name))
    async with trio.open_nursery() as nursery:
        await nursery.start(rounds.run)
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert (told, failures) == (["first", "second"], ["first"])


async def test_without_a_store_every_duty_says_so_once_a_round_and_the_rounds_go_on(
    embedded: Store, autojump_clock: MockClock
) -> None:
    def down(_tx: Tx, _now: int) -> Done:
        raise StoreUnavailable("the database is gone")

    duties = [Duty(name, 1.0, down) for name in ("one", "two")]
    assert await rounds_of(embedded, 2.5, *duties) == {"one": ["StoreUnavailable"] * 3, "two": ["StoreUnavailable"] * 3}
