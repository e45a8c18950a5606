"""The token bucket of an account, its reserve, its cuts and its recovery."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from engine.transit.pacing import UNLIMITED, Pace


def drain(pace: Pace, seconds: float, step: float = 0.001, *, reserved: bool = False) -> list[float]:
    """Take whatever is allowed, every `step`; return the instant of each PDU."""
    taken: list[float] = []
    for tick in range(round(seconds / step)):
        now = tick * step
        count = pace.available(now, reserved=reserved)
        if count:
            pace.take(count, now)
            taken += [now] * count
    return taken


@given(rate=st.floats(1, 2_000), step=st.sampled_from([0.001, 0.003, 0.02]))
def test_no_second_ever_exceeds_the_rate(rate: float, step: float) -> None:
    """C8, C10: submits are counted, whatever their outcome, in every window of one second."""
    taken = drain(Pace(rate, 0.0), 3.0, step)
    for index, start in enumerate(taken):
        assert bisect_left(taken, start + 1.0 - 1e-9) - index <= max(2, rate)


def test_a_bucket_that_is_asked_all_the_time_gives_nearly_the_whole_rate() -> None:
    assert 285 * 10 <= len(drain(Pace(300.0, 0.0), 10.0)) <= 3_000


def test_bulk_leaves_the_reserve_to_codes() -> None:
    pace = Pace(1_000.0, 0.0)
    while count := pace.available(0.0, reserved=False):
        pace.take(count, 0.0)
    assert pace.available(0.0, reserved=True) == pace.floor == 5


def test_a_code_waits_at_most_one_token_interval_when_the_reserve_is_gone() -> None:
    pace = Pace(50.0, 0.0)
    pace.take(pace.available(0.0, reserved=True), 0.0)
    assert 0 < pace.wait(0.0, reserved=True) <= 1 / 49 + 1e-9


def test_ten_throttled_answers_of_one_round_trip_are_one_cut() -> None:
    """C1: one multiplicative cut, however long the burst."""
    pace = Pace(100.0, 0.0)
    assert [pace.throttled(0.001 * number, round_trip=0.1) for number in range(10)] == [True] + [False] * 9
    assert pace.factor == 0.5


def test_a_cut_is_recovered_within_ten_seconds_of_quiet() -> None:
    pace = Pace(100.0, 0.0)
    pace.throttled(0.0, 0.1)
    for tick in range(1, 81):
        pace.available(tick / 10, reserved=False)
    assert pace.factor == 1.0


def test_an_unlimited_account_that_throttles_gets_a_rate_from_what_was_being_sent() -> None:
    pace = Pace(UNLIMITED, 0.0)
    for tick in range(20):
        pace.take(50, tick / 10)
    assert pace.throttled(2.0, 0.1)
    assert 200 <= pace.limit <= 300


def test_congestion_slows_the_lane_before_it_is_throttled() -> None:
    """C11: congestion_state 90 and more lowers the rate, 89 does not."""
    pace = Pace(100.0, 0.0)
    assert not pace.congestion(89, 0.0, 0.1)
    assert pace.congestion(90, 0.0, 0.1)
    assert pace.limit == 50.0


def test_tokens_given_back_never_exceed_the_depth() -> None:
    pace = Pace(100.0, 0.0)
    pace.left(50, 0, 0.0, 0.0)
    assert pace.available(0.0, reserved=True) == 1


@given(rate=st.sampled_from([2.0, 5.0, 12.0, 100.0]), seed=st.integers(0, 10_000))
def test_slow_commits_between_token_and_wire_never_fill_a_second_beyond_the_rate(rate: float, seed: int) -> None:
    """C8: the two loops of a bind take tokens, wait for a commit, and only then write; some find nothing to write."""
    dice = random.Random(seed)
    pace = Pace(rate, 0.0)
    ready = [(0.0, loop, 0, 0.0) for loop in range(2)]  # when, who, tokens that it holds, since when
    left: list[float] = []
    while ready[0][0] < 20:
        now, loop, held, since = heapq.heappop(ready)
        if held:
            used = held if dice.random() < 0.9 else 0
            pace.left(held, used, now, since)
            left += [now] * used
        room = min(pace.available(now, reserved=True), dice.randint(1, 5))
        if room:
            pace.take(room, now)
            heapq.heappush(ready, (now + dice.choice((0.001, 0.3, 1.5)), loop, room, now))
        else:
            heapq.heappush(ready, (now + pace.wait(now, reserved=True), loop, 0, now))
    for index, at in enumerate(left):
        assert sum(at <= other < at + 0.999 for other in left[index:]) <= rate
