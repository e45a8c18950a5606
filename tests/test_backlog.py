"""The hints in memory: turns among applications, bells, and work that arrives during a claim."""

from __future__ import annotations

import trio

from engine.transit.backlog import Backlog, Bell, QueueKey

A = QueueKey(2, "fr/Sceau", "app_a")
B = QueueKey(2, "fr/Sceau", "app_b")
C = QueueKey(0, "us/Sceau", "app_a")


def always(_plan: str, _lane: int) -> bool:
    return True


async def test_applications_take_turns_within_a_lane() -> None:
    backlog = Backlog()
    backlog.add([A, B, C])
    assert [backlog.next(2, always) for _ in range(4)] == [A, B, A, B]
    assert backlog.next(0, always) == C
    assert backlog.next(0, lambda plan, _lane: plan.startswith("fr")) is None


async def test_a_queue_found_empty_is_forgotten_unless_work_came_during_the_claim() -> None:
    backlog = Backlog()
    backlog.add([A])
    age = backlog.age(A)
    backlog.add([A])
    backlog.exhausted(A, age)
    assert backlog.next(2, always) == A
    backlog.exhausted(A, backlog.age(A))
    assert backlog.next(2, always) is None


async def test_only_the_senders_of_a_lane_are_woken(autojump_clock: trio.testing.MockClock) -> None:
    backlog = Backlog()
    codes, bulk = Bell(), Bell()
    backlog.listen([0], codes)
    backlog.listen([1, 2], bulk)
    backlog.add([A])
    with trio.fail_after(1):
        await bulk.wait()
    with trio.move_on_after(1) as scope:
        await codes.wait()
    assert scope.cancelled_caught


async def test_a_ring_that_nobody_heard_wakes_the_next_to_wait() -> None:
    bell = Bell()
    bell.ring()
    bell.ring()
    with trio.fail_after(1):
        await bell.wait()
    with trio.move_on_after(0.01) as scope:
        await bell.wait()
    assert scope.cancelled_caught
