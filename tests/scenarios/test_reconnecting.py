"""Binds that are refused, ignored or lost: when they come back, how often they knock, and what waits meanwhile."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio

from engine.clock import SECOND
from engine.store.connections import Database
from smppsim.behaviour import Link
from smppsim.faults import Drop, Ghost, RefuseConnections
from smppsim.simulator import Simulator
from tests.rig import MESSAGES, Rig, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, binds, busiest, submits


def refusing(status: str, **link: object) -> Simulator:
    """A simulator that refuses every bind."""
    return simulator(link=Link(bind_status=status, **link))


def health(pair: Rig) -> str:
    """What the pool shows of the first bind."""
    failure = pair.core.pool.status()[0].bind.failure
    return "" if failure is None else failure.value


def alarms(pair: Rig, kind: str) -> int:
    """How often an alarm of this kind was raised by the first bind."""
    return int(pair.core.metrics.alarms.labels("sim", "main", kind)._value.get())


@pytest.mark.parametrize(
    ("status", "for_s", "least", "most"),
    [("RINVPASWD", 3_600, 4, 8), ("RINVSYSID", 1_000, 2, 4), ("RINVSYSTYP", 1_000, 2, 4)],
)
async def test_wrong_credentials_are_tried_eight_times_an_hour_at_most(
    sqlite_database: Database, autojump_clock: Autojump, status: str, for_s: int, least: int, most: int
) -> None:
    """B6, users-ask 23: a try every five minutes at most, an alarm, and bound at once when told that it is mended."""
    async with rig(sqlite_database, sim=refusing(status), bound=0) as pair:
        one = await pair.send(ttl_s=86_400)
        await pair.settled(for_s)
        tries = binds(pair.sim)
        assert least <= len(tries) <= most
        assert min(later - earlier for earlier, later in pairwise(tries)) >= 300
        assert health(pair) == "credentials"
        assert alarms(pair, "credentials") >= 1
        assert await pair.state(one) == "queued"
        pair.sim.link(bind_status=0)
        assert pair.core.pool.retry_now("sim/main")
        await pair.until(one, "delivered", within_s=2)


async def test_a_wrong_password_on_one_account_leaves_the_other_alone(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B6: other binds continue."""
    two = {"binds": {"bad": bind_settings(password="wrongone"), "good": bind_settings()}}
    async with rig(sqlite_database, account=two) as pair:
        for number in range(10):
            await pair.until(await pair.send(f"Bonjour {number}"), "delivered")
            await pair.settled(30)
        assert pair.core.pool.bound() == 1


async def test_a_refused_bind_backs_off_with_jitter_and_alarms_after_three(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B7: 0x0D: waits of 5 to 10 s, 10 to 20 s, and so on up to five minutes."""
    async with rig(sqlite_database, sim=refusing("RBINDFAIL"), bound=0) as pair:
        await pair.settled(20)
        assert alarms(pair, "refused") == 0
        await pair.settled(1_800)
        tries = binds(pair.sim)
        waits = [later - earlier for earlier, later in pairwise(tries)]
        for number, wait in enumerate(waits):
            most = min(10 * 2**number, 300)
            assert most / 2 <= wait <= most + 1
        assert len(set(waits)) == len(waits)
        assert alarms(pair, "refused") >= 1


async def test_a_ghost_of_our_session_is_waited_out_and_never_taken_for_a_bind(
    database: Database, autojump_clock: Autojump
) -> None:
    """B8, users-ask 22: the slot is free after 120 s: bound by 180 s, no hammering, not one submit before."""
    async with rig(database) as pair:
        pair.sim.cause(Ghost(for_s=120))
        lost_at = trio.current_time()
        await pair.settled(1)
        one = await pair.send()
        await pair.settled(118)
        assert not submits(pair.sim)
        tries = [at for at in binds(pair.sim) if at > lost_at]
        assert 3 <= len(tries) <= 9
        await pair.until(one, "delivered", within_s=61)
        assert len(set(tries)) == len(tries)


async def test_a_bind_that_is_never_answered_is_given_up_after_thirty_seconds(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B9: closed at 30 s, then tried again."""
    silent = simulator(link=Link(bind_response="never", session_init_s=600))
    async with rig(sqlite_database, sim=silent, bound=0) as pair:
        await pair.settled(29)
        assert len(pair.sim.sessions) == 1
        await pair.settled(2.5)
        assert len(binds(pair.sim)) <= 2
        pair.sim.link(bind_response="given")
        await pair.until(await pair.send(), "delivered", within_s=70)


async def test_a_hundred_binds_lost_together_come_back_a_few_each_second(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B21: full jitter and a limit per host: five connects a second."""
    crowd = {"binds": {"main": bind_settings(sessions=60), "more": bind_settings(sessions=40)}}
    operator = simulator(link=Link(max_binds=200))
    async with rig(sqlite_database, sim=operator, account=crowd) as pair:
        while pair.core.pool.bound() < 100:
            await trio.sleep(0.5)
        lost_at = trio.current_time()
        pair.sim.cause(Drop())
        await trio.sleep(0.1)
        while pair.core.pool.bound() < 100:
            await trio.sleep(0.5)
        again = [at for at in binds(pair.sim) if at > lost_at]
        assert len(again) == 100
        assert busiest(again, 0.999) <= 6
        assert trio.current_time() - lost_at <= 60


async def test_ten_minutes_without_a_bind_cost_no_attempt_and_the_queue_leaves_within_two_seconds_of_it(
    database: Database, autojump_clock: Autojump
) -> None:
    """C9, users-ask 18: 1,000 queued; nothing is claimed while unbound."""
    operator = simulator()
    operator.cause(RefuseConnections(for_s=1e6))
    window = {"binds": {"main": bind_settings(window=100)}}
    async with rig(database, sim=operator, bound=0, account=window) as pair:
        await pair.send_many([f"Bonjour {number}" for number in range(1_000)], ttl_s=86_400)
        await pair.settled(600)
        rows = await pair.rows(MESSAGES)
        assert {(row["state"], row["attempts"], row["throttles"]) for row in rows} == {("queued", 0, 0)}
        operator.cause(RefuseConnections(for_s=0))
        while not binds(operator):
            await trio.sleep(0.1)
        await trio.sleep(2)
        assert submits(operator)[0].at - binds(operator)[0] <= 2
        while {row["state"] for row in await pair.rows(MESSAGES)} != {"delivered"}:
            await trio.sleep(1)
        assert len(submits(operator)) == 1_000


async def test_a_code_whose_life_ends_while_nothing_is_bound_is_never_sent(
    database: Database, autojump_clock: Autojump
) -> None:
    """C4, G5: expired_before_send, though the bind comes back a moment later."""
    operator = simulator()
    operator.cause(RefuseConnections(for_s=1e6))
    async with rig(database, sim=operator, bound=0) as pair:
        one = await pair.send(category="otp", ttl_s=60)
        await pair.settled(59)
        assert await pair.state(one) == "queued"
        await pair.until(one, "expired", within_s=4)
        row = await pair.message(one)
        assert row["reason"] == "expired_before_send"
        assert row["final_at"] - row["expires_at"] <= 2 * SECOND
        operator.cause(RefuseConnections(for_s=0))
        await pair.settled(120)
        assert not submits(operator)
