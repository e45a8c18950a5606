"""The counters that outlive a code."""

from __future__ import annotations

from random import Random

import pytest

from workflows.window import Day, Limits, NotYet, Window

SECOND = 1_000_000
NOW = 1_795_000_000 * SECOND
LIMITS = Limits(attempts=5, sends=5, cooldown_s=(30, 60, 120, 240), window_s=600, lock_s=600, day_sends=10)


def test_the_pauses_grow_with_up_to_a_tenth_of_jitter() -> None:
    window, random = Window(), Random(1)
    for pause in (30, 60, 120, 240, 240):
        window = window.sent(LIMITS, NOW, random)
        assert pause * SECOND <= window.next_send_at - NOW <= pause * 1.1 * SECOND
    assert window.sends == 5
    assert len({Window().sent(LIMITS, NOW, random).next_send_at for _ in range(20)}) == 20


def test_a_message_waits_for_lock_then_count_then_day_then_pause() -> None:
    day = Day(NOW // (86_400 * SECOND))
    sent = Window().sent(LIMITS, NOW, Random(1))
    assert Window().not_yet(day, LIMITS, NOW) is None
    assert sent.not_yet(day, LIMITS, NOW) == NotYet("cooldown", sent.next_send_at)
    assert sent.not_yet(day, LIMITS, NOW, cooled=False) is None
    assert sent.not_yet(day, LIMITS, sent.next_send_at) is None
    full = Day(day.number, 10)
    assert Window().not_yet(full, LIMITS, NOW) == NotYet("day_limit", full.ends_at)
    assert Window(sends=5, last_at=NOW).not_yet(full, LIMITS, NOW) == NotYet("max_sends", NOW + 600 * SECOND)
    locked = Window(sends=5, last_at=NOW).locked(LIMITS, NOW)
    assert locked.not_yet(full, LIMITS, NOW) == NotYet("locked", NOW + 600 * SECOND)


@pytest.mark.parametrize("window", [Window(attempts=4, sends=3, last_at=NOW), Window(attempts=5).locked(LIMITS, NOW)])
def test_a_window_ends_whole_after_its_last_use_or_its_lock_and_not_before(window: Window) -> None:
    assert window.at(LIMITS, NOW + 600 * SECOND - 1) == window
    assert window.at(LIMITS, NOW + 600 * SECOND) == Window()


def test_an_approval_forgives_its_own_attempts_and_the_sends() -> None:
    window = Window(attempts=4, sends=3, next_send_at=NOW + 1, last_at=NOW).forgiven(3)
    assert window == Window(attempts=1, last_at=NOW)


def test_a_day_ends_at_midnight_utc() -> None:
    midnight = 20_000 * 86_400 * SECOND
    day = Day().at(midnight - 1).sent()
    assert day == Day(19_999, 1)
    assert day.ends_at == midnight
    assert day.at(midnight - 1) == day
    assert day.at(midnight) == Day(20_000, 0)


def test_counters_survive_json() -> None:
    window = Window(1, 2, 3, 4, 5)
    assert Window.load(window.dump()) == window
    assert Day.load(Day(7, 8).dump()) == Day(7, 8)
