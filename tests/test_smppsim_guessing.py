"""smppsim.guessing, and what whoever guesses passwords meets on the wire."""

from __future__ import annotations

from itertools import pairwise

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from engine.smpp.pdu import BindTransceiver, Status
from smppsim.guessing import FORGIVEN_AFTER_S, FREE, PAUSE_S, Guessing
from smppsim.simulator import Simulator
from tests.smppsim_client import Client


def guess(guessing: Guessing, host: str, system_id: str, now: float) -> float:
    """When a wrong password of `now` was looked at."""
    at = guessing.look_at(host, system_id, now)
    guessing.failed(host, system_id, at)
    return at


def test_a_few_mistakes_cost_nothing_and_then_ten_a_minute_are_looked_at() -> None:
    """H2: 100 tries at once are at most ten a minute."""
    guessing = Guessing()
    looks = [guess(guessing, "192.0.2.1", "demo", 0.0) for _ in range(100)]
    assert looks[:FREE] == [0.0] * FREE
    assert [later - earlier for earlier, later in pairwise(looks[FREE:])] == [PAUSE_S] * 94
    assert looks[FREE] == PAUSE_S


def test_neither_many_names_nor_many_addresses_are_faster() -> None:
    """H2: per address and per id."""
    by_names, by_hosts = Guessing(), Guessing()
    assert max(guess(by_names, "192.0.2.1", f"name{n}", 0.0) for n in range(20)) == 15 * PAUSE_S
    assert max(guess(by_hosts, f"192.0.2.{n}", "demo", 0.0) for n in range(20)) == 15 * PAUSE_S


def test_others_are_not_slowed_down() -> None:
    guessing = Guessing()
    for _ in range(50):
        guess(guessing, "192.0.2.1", "demo", 0.0)
    assert guessing.look_at("192.0.2.2", "other", 0.0) == 0.0


def test_a_right_password_and_a_quiet_quarter_of_an_hour_forgive() -> None:
    guessing = Guessing()
    for _ in range(FREE):
        guessing.failed("192.0.2.1", "demo", 0.0)
    assert guessing.look_at("192.0.2.1", "demo", 0.0) == PAUSE_S
    assert guessing.look_at("192.0.2.1", "demo", FORGIVEN_AFTER_S) == FORGIVEN_AFTER_S
    for _ in range(FREE):
        guessing.failed("192.0.2.1", "demo", FORGIVEN_AFTER_S)
    guessing.succeeded("192.0.2.1", "demo")
    assert guessing.look_at("192.0.2.1", "demo", FORGIVEN_AFTER_S) == FORGIVEN_AFTER_S


def test_the_alarm_is_given_once_for_each_guesser() -> None:
    """H2: the lockout alarm."""
    guessing = Guessing()
    assert [guessing.failed("", "demo", 0.0) for _ in range(FREE + 3)].count(True) == 1


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from(["x", "y"])), max_size=60))
def test_looks_of_one_name_are_never_closer_than_the_pause(tries: list[tuple[str, str]]) -> None:
    guessing = Guessing()
    looks: dict[str, list[float]] = {"x": [], "y": []}
    for host, name in tries:
        looks[name].append(guess(guessing, host, name, 0.0))
    for times in looks.values():
        slow = times[FREE:]
        assert all(later - earlier >= PAUSE_S for earlier, later in pairwise(slow))


async def test_a_guesser_learns_nothing_from_answers_and_their_times(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """H2: an unknown name, a wrong password and, once slowed down, the right one take the same time."""

    async def answer(system_id: bytes, password: bytes) -> tuple[int, float]:
        started = trio.current_time()
        client = Client(simulator.connect())
        header, _ = await client.ask(BindTransceiver(system_id, password))
        await client.stream.aclose()
        return header.command_status, trio.current_time() - started

    simulator = Simulator()
    await nursery.start(simulator.run)
    unknown = [await answer(b"nobody", b"wrong") for _ in range(FREE + 2)]
    known = [await answer(b"demo", b"wrong") for _ in range(FREE + 2)]
    assert known == unknown == [(Status.ESME_RINVPASWD, 0)] * FREE + [(Status.ESME_RINVPASWD, PAUSE_S)] * 2
    assert await answer(b"demo", b"demo") == (Status.ESME_ROK, PAUSE_S)
    assert await answer(b"demo", b"demo") == (Status.ESME_ROK, 0)
    assert simulator.stats.guessing_alarms == 2
