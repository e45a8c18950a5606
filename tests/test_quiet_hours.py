"""Quiet hours: marketing leaves within hours in every zone in which a number may be, on both sides of clock changes."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.phones import zones_of
from workflows.base import SECOND
from workflows.quiet_hours import allowed_at, window

PARIS, EVERYWHERE = ["Europe/Paris"], ["America/New_York", "America/Chicago", "America/Los_Angeles", "Pacific/Honolulu"]


def at(text: str, zone: str = "Europe/Paris") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("asked", "allowed"),
    [
        ("2026-11-27T12:00", "2026-11-27T12:00"),
        ("2026-11-27T07:59", "2026-11-27T08:00"),
        ("2026-11-27T21:29", "2026-11-27T21:29"),
        ("2026-11-27T21:30", "2026-11-28T08:00"),  # the charter of 2026
        ("2025-11-27T21:45", "2025-11-27T21:45"),  # the earlier rule
        ("2025-12-31T22:30", "2026-01-01T08:00"),
        ("2026-03-28T23:00", "2026-03-29T08:00"),  # the night in which an hour is missing
        ("2026-10-24T23:00", "2026-10-25T08:00"),  # and the one in which an hour comes twice
    ],
)
def test_france_by_its_charter(asked: str, allowed: str) -> None:
    assert allowed_at(at(asked), "FR", PARIS) == at(allowed)


def test_a_number_of_several_zones_waits_for_the_last_of_them() -> None:
    """G8: quiet hours by the time of the reader, wherever the number may be."""
    morning = at("2026-11-27T09:00", "America/New_York")
    assert allowed_at(morning, "US", EVERYWHERE) == at("2026-11-27T08:00", "Pacific/Honolulu")


@given(
    st.integers(1_700_000_000, 1_900_000_000),
    st.sampled_from([(("FR"), PARIS), ("US", EVERYWHERE), ("JP", ["Asia/Tokyo"])]),
)
def test_what_is_allowed_is_within_hours_everywhere_and_never_earlier_than_asked(
    second: int, place: tuple[str, list[str]]
) -> None:
    country, zones = place
    found = allowed_at(second * SECOND, country, zones)
    assert found >= second * SECOND
    for zone in zones:
        local = datetime.fromtimestamp(found / SECOND, UTC).astimezone(ZoneInfo(zone)).time()
        assert time(8) <= local < time(22)


def test_the_zones_of_a_number_are_all_that_it_may_be_in() -> None:
    assert zones_of("+33612345678") == ("Europe/Paris",)
    assert len(zones_of("+18005550100")) > 10
    assert zones_of("+99912345") == ()


@pytest.mark.parametrize(
    ("asked", "opens", "closes"),
    [
        ("2026-11-27T12:00", "2026-11-27T12:00", "2026-11-27T21:30"),
        ("2026-11-27T21:20", "2026-11-27T21:20", "2026-11-27T21:30"),
        ("2026-11-27T21:21", "2026-11-28T08:00", "2026-11-28T21:30"),  # it might not find its bind in time
        ("2026-11-27T23:00", "2026-11-28T08:00", "2026-11-28T21:30"),
        ("2025-12-31T21:55", "2026-01-01T08:00", "2026-01-01T21:30"),
    ],
)
def test_a_window_says_until_when_and_what_is_left_of_the_day_must_be_worth_it(
    asked: str, opens: str, closes: str
) -> None:
    assert window(at(asked), "FR", PARIS) == (at(opens), at(closes))


def test_the_window_of_several_zones_is_closed_by_the_first_of_them() -> None:
    opens, closes = window(at("2026-11-27T14:30", "America/New_York"), "US", EVERYWHERE)
    assert (opens, closes) == (
        at("2026-11-27T14:30", "America/New_York"), at("2026-11-27T21:00", "America/New_York"),
    )  # fmt: skip
