"""The clock: ids that rise, RFC 3339 both ways, and virtual time that follows trio."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from engine.clock import DAY, HOUR, SECOND, SystemClock, VirtualClock, from_rfc3339, to_rfc3339

START = 1_795_417_200 * SECOND  # 2026-11-23T07:00:00Z
FIRST = -62_135_596_800 * SECOND
LAST = 253_402_300_799 * SECOND


def test_an_instant_is_written_in_utc_with_milliseconds() -> None:
    assert to_rfc3339(START + 123_999) == "2026-11-23T07:00:00.123Z"
    assert to_rfc3339(0) == "1970-01-01T00:00:00.000Z"
    assert to_rfc3339(-1) == "1969-12-31T23:59:59.999Z"
    assert to_rfc3339(FIRST) == "0001-01-01T00:00:00.000Z"


@given(st.integers(FIRST, LAST))
def test_an_instant_survives_its_text_to_the_millisecond(instant: int) -> None:
    assert from_rfc3339(to_rfc3339(instant)) == instant - instant % 1000


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-23T07:00:00Z", START),
        ("2026-11-23t07:00:00z", START),
        ("2026-11-23T08:00:00+01:00", START),
        ("2026-11-22T23:30:00.25-07:30", START + 250_000),
        ("2026-11-23T07:00:00.123456789Z", START + 123_456),
    ],
)
def test_every_rfc_3339_form_is_read(text: str, instant: int) -> None:
    assert from_rfc3339(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-23",
        "2026-11-23T07:00:00",  # no offset
        "2026-11-23 07:00:00Z",
        "2026-W48-1T07:00:00Z",
        "20261123T070000Z",
        "2026-02-30T07:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T07:00:00,5Z",
        "2026-11-23T07:00:00Z\n",
        "٢٠٢٦-11-23T07:00:00Z",
    ],
)
def test_what_is_no_rfc_3339_date_time_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="date-time") as refusal:
        from_rfc3339(text)
    assert not text or text not in str(refusal.value)


def test_ids_are_uuidv7_of_their_instant_behind_a_prefix() -> None:
    prefix, _, text = VirtualClock(START).new_id("msg").partition("_")
    assert prefix == "msg"
    assert len(text) == 32
    assert int(text[:12], 16) == START // 1000
    assert text[12] == "7"
    assert text[16] in "89ab"


def test_ids_of_one_instant_rise_and_so_do_ids_after_the_clock_was_set_back() -> None:
    clock = VirtualClock(START)
    ids = [clock.new_id("msg") for _ in range(10_000)]
    clock.step(-3 * 3600)
    ids += [clock.new_id("msg") for _ in range(10)]
    clock.step(6 * 3600)
    ids.append(clock.new_id("msg"))
    assert ids == sorted(set(ids))


def test_ids_sort_as_their_instants_do() -> None:
    clock = VirtualClock(START)
    earlier = clock.new_id("msg")
    clock.advance(0.000_3)
    assert earlier < clock.new_id("msg")


def test_the_same_seed_gives_the_same_ids_dice_and_entropy() -> None:
    def drawn(seed: int) -> tuple[str, float, bytes]:
        clock = VirtualClock(seed=seed)
        return clock.new_id("x"), clock.random.random(), clock.entropy(16)

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_the_system_clock_tells_microseconds_of_this_century_and_unlike_ids() -> None:
    clock = SystemClock()
    assert from_rfc3339("2024-01-01T00:00:00Z") < clock.now() < from_rfc3339("2200-01-01T00:00:00Z")
    assert len({clock.new_id("a") for _ in range(1_000)}) == 1_000
    assert clock.entropy(32) != clock.entropy(32)


def test_monotonic_time_of_the_system_clock_belongs_to_trio() -> None:
    with pytest.raises(RuntimeError):
        SystemClock().monotonic()


async def test_inside_trio_the_system_clock_counts_as_deadlines_do() -> None:
    assert abs(SystemClock().monotonic() - trio.current_time()) < 5


async def test_virtual_instants_follow_trios_time(autojump_clock: trio.testing.MockClock) -> None:
    clock = VirtualClock(START)
    began = clock.monotonic()
    await trio.sleep(3_600)
    assert clock.now() == START + HOUR
    assert clock.monotonic() - began == 3_600


def test_virtual_time_goes_on_after_a_restart() -> None:
    clock = VirtualClock(START)

    async def live() -> None:
        clock.now()
        await trio.sleep(60)
        clock.now()

    for _ in range(2):
        trio.run(live, clock=trio.testing.MockClock(autojump_threshold=0))
    assert clock.now() == START + 120 * SECOND


def test_setting_the_wall_clock_leaves_monotonic_time_alone() -> None:
    """G1: timers run on monotonic time; only instants notice a step."""
    clock = VirtualClock(START)
    clock.step(-86_400)
    assert clock.now() == START - DAY
    assert clock.monotonic() == 0
