"""Waiting times between attempts, and the connect limiter."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.smpp.pdu import Status
from engine.smpp.reconnect import SCHEDULES, Backoff, ConnectLimiter, Failure, failure_of

draws = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        (Status.ESME_RINVPASWD, Failure.CREDENTIALS),
        (Status.ESME_RINVSYSID, Failure.CREDENTIALS),
        (Status.ESME_RINVSYSTYP, Failure.CREDENTIALS),
        (Status.ESME_RBINDFAIL, Failure.REFUSED),
        (Status.ESME_RALYBND, Failure.GHOST),
        (Status.ESME_RSYSERR, Failure.NETWORK),
        (Status.ESME_RINVCMDID, Failure.REFUSED),
        (0x4F1, Failure.REFUSED),
    ],
)
def test_each_bind_status_has_its_class(status: int, failure: Failure) -> None:
    """B6, B7, B8: the class decides the pace."""
    assert failure_of(status) is failure


@given(st.lists(draws, min_size=8, max_size=8))
def test_an_hour_of_bad_credentials_is_at_most_eight_attempts(dice: list[float]) -> None:
    """B6: whatever the dice say, and an alarm from the first."""
    backoff, at, attempts = Backoff(), 0.0, 0
    for draw in dice:
        attempts += at <= 3600.0
        retry = backoff.failed(Failure.CREDENTIALS, draw)
        assert 300.0 <= retry.wait_s <= 900.0
        assert retry.alarm
        at += retry.wait_s
    assert attempts <= 8
    assert at > 3600.0


@given(draws)
def test_network_waits_are_full_jitter_from_one_to_sixty_seconds(draw: float) -> None:
    """B12: anywhere from nothing to the ceiling, which doubles."""
    backoff = Backoff()
    ceilings = [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [backoff.failed(Failure.NETWORK, draw).wait_s for _ in ceilings] == [draw * c for c in ceilings]


@given(draws)
def test_a_refused_bind_alarms_after_three(draw: float) -> None:
    """B7: the schedule is followed, the third failure in a row is told."""
    backoff = Backoff()
    retries = [backoff.failed(Failure.REFUSED, draw) for _ in range(8)]
    assert [retry.alarm for retry in retries] == [False, False, True, True, True, True, True, True]
    for retry, ceiling in zip(retries, [10, 20, 40, 80, 160, 300, 300, 300], strict=True):
        assert ceiling / 2 <= retry.wait_s <= ceiling


@given(st.lists(draws, min_size=20, max_size=20))
def test_a_ghost_that_dies_at_120_seconds_is_followed_by_180(dice: list[float]) -> None:
    """B8: some attempt falls between, and none is hasty."""
    backoff, at, tries = Backoff(), 0.0, []
    for draw in dice:
        tries.append(at)
        wait = backoff.failed(Failure.GHOST, draw).wait_s
        assert wait >= 15.0
        at += wait
    assert any(120.0 < instant <= 180.0 for instant in tries)


def test_classes_are_counted_apart_and_forgotten_together() -> None:
    backoff = Backoff()
    first = backoff.failed(Failure.CREDENTIALS, 0.0).wait_s
    backoff.failed(Failure.NETWORK, 0.0)
    assert backoff.failed(Failure.CREDENTIALS, 0.0).wait_s > first
    assert backoff.attempts == 3
    backoff.forget()
    assert backoff.attempts == 0
    assert backoff.failed(Failure.CREDENTIALS, 0.0).wait_s == first


def test_years_of_failures_do_not_overflow() -> None:
    backoff = Backoff()
    for _ in range(3000):
        retry = backoff.failed(Failure.NETWORK, 0.999)
    assert retry.wait_s <= 60.0


def test_every_class_has_a_schedule() -> None:
    assert set(SCHEDULES) == set(Failure)


def test_a_hundred_binds_lost_at_once_connect_five_a_second() -> None:
    """B21: over any second, whatever the jitter."""
    limiter, dice = ConnectLimiter(5.0), random.Random(1)
    asked = sorted(Backoff().failed(Failure.NETWORK, dice.random()).wait_s for _ in range(100))
    turns = [limiter.reserve("smsc.example", at) for at in asked]
    assert turns == sorted(turns)
    assert all(later - earlier >= 0.2 - 1e-9 for earlier, later in itertools.pairwise(turns))


def test_hosts_do_not_wait_for_each_other_and_are_not_remembered_for_ever() -> None:
    """B21: the limit is of a host."""
    limiter = ConnectLimiter(1.0)
    assert [limiter.reserve("a", 0.0), limiter.reserve("b", 0.0), limiter.reserve("a", 0.0)] == [0.0, 0.0, 1.0]
    for n in range(3000):
        limiter.reserve(f"host-{n}", 100.0 + 2 * n)
    assert len(limiter._free_at) <= 1002
