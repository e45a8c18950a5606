"""What an answer means and when to try again."""

from __future__ import annotations

import random
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import DAY, SECOND
from engine.webhooks.options import RETRY_S, WebhookOptions
from engine.webhooks.schedule import Pace, Verdict, judge, next_attempt, retry_after

NOW = 1_795_417_200 * SECOND
OPTIONS = WebhookOptions()


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (0, Verdict.FAILED),
        (301, Verdict.FAILED),
        (302, Verdict.FAILED),
        (400, Verdict.FAILED),
        (404, Verdict.FAILED),
        (410, Verdict.GONE),
        (429, Verdict.SLOW_DOWN),
        (500, Verdict.FAILED),
        (502, Verdict.SLOW_DOWN),
        (504, Verdict.SLOW_DOWN),
    ],
)
def test_only_2xx_delivers(status: int, verdict: Verdict) -> None:
    assert judge(status) is verdict


def test_the_table_is_that_of_standard_webhooks_with_jitter_on_top() -> None:
    dice = random.Random(1)
    assert RETRY_S == (0, 5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
    for attempts in range(1, 10):
        at = next_attempt(attempts, None, NOW, OPTIONS, dice)
        assert at is not None
        assert RETRY_S[attempts] <= (at - NOW) / SECOND <= RETRY_S[attempts] * 1.1
    assert next_attempt(10, None, NOW, OPTIONS, dice) is None


def test_a_retry_is_never_earlier_than_the_receiver_asked() -> None:
    asked = NOW + 3600 * SECOND
    assert next_attempt(1, asked, NOW, OPTIONS, random.Random(1)) == asked
    later = next_attempt(4, asked, NOW, OPTIONS, random.Random(1))
    assert later is not None
    assert later > asked


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("0", 0),
        (formatdate(NOW // SECOND + 90, usegmt=True), 90),
        (formatdate(NOW // SECOND - 90, usegmt=True), 0),
        ("99999999999999999999", 86_400),
        (formatdate(NOW // SECOND + 10**8, usegmt=True), 86_400),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("١٢", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_never_past_a_day(
    value: str | None, seconds: int | None
) -> None:
    assert retry_after(value, NOW) == (None if seconds is None else NOW + seconds * SECOND)


@given(st.text())
def test_no_retry_after_raises_or_leaves_the_day(value: str) -> None:
    at = retry_after(value, NOW)
    assert at is None or NOW <= at <= NOW + DAY


def test_failures_in_a_row_put_an_endpoint_to_rest_and_a_success_lets_it_rise() -> None:
    pace, dice, now = Pace(4), random.Random(1), NOW
    for _ in range(7):
        assert not pace.answered(Verdict.FAILED, None, now, dice)
        assert (pace.limit, pace.resting, pace.resume_at) == (4, False, 0)
    pauses = []
    for _ in range(12):
        pace.answered(Verdict.FAILED, None, now, dice)
        assert (pace.limit, pace.resting) == (1, True)
        pauses.append((pace.resume_at - now) / SECOND)
        now = pace.resume_at
    assert 1 <= pauses[0] <= 1.2
    assert 60 <= pauses[-1] <= 72
    assert pace.answered(Verdict.DELIVERED, None, now, dice)
    assert [pace.answered(Verdict.DELIVERED, None, now, dice) for _ in range(4)] == [False] * 4
    assert (pace.limit, pace.resting, pace.failures) == (4, False, 0)


def test_a_failure_among_successes_never_rests_the_endpoint() -> None:
    pace, dice = Pace(4), random.Random(1)
    for _ in range(100):
        pace.answered(Verdict.FAILED, None, NOW, dice)
        pace.answered(Verdict.DELIVERED, None, NOW, dice)
    assert (pace.limit, pace.resting, pace.resume_at) == (4, False, 0)


def test_answers_of_one_pause_slow_an_endpoint_down_once() -> None:
    pace, dice = Pace(8), random.Random(1)
    for _ in range(5):
        pace.answered(Verdict.SLOW_DOWN, NOW + 30 * SECOND, NOW, dice)
    assert (pace.limit, pace.resume_at) == (4, NOW + 30 * SECOND)
    pace.answered(Verdict.SLOW_DOWN, None, NOW + 31 * SECOND, dice)
    assert pace.limit == 2
    assert pace.resume_at > NOW + 31 * SECOND


def test_a_changed_setting_keeps_a_slowed_endpoint_slow() -> None:
    pace, dice = Pace(8), random.Random(1)
    pace.widen(16)
    assert pace.limit == 16
    pace.answered(Verdict.SLOW_DOWN, None, NOW, dice)
    pace.widen(12)
    assert pace.limit == 8
    pace.widen(4)
    assert (pace.limit, pace.most) == (4, 4)
