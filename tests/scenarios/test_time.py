"""Clocks that are set, zones that change, machines that sleep, operators that keep a message longer than its life."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest
import trio

from engine.clock import HOUR, MINUTE, SECOND, VirtualClock
from engine.keyring import KeyRing
from engine.smpp.pdu import absolute_time
from engine.store.connections import Database
from smppsim.behaviour import Cut
from smppsim.faults import Drop
from tests.rig import MESSAGES, PHONE, World, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, binds, enquiries, submits

QUICK = {"enquire_idle_s": 10, "enquire_answer_s": 5}
BACK, FORTH = -3 * 3_600.0, 3 * 3_600.0
SPRING_FORWARD = 1_806_195_600 * SECOND  # 28 March 2027, 01:00 UTC: France loses an hour


def account(window: int = 10, **figures: object) -> dict[str, object]:
    """One account with one bind."""
    return {"binds": {"main": bind_settings(window=window)}, **figures}


# G1: the wall clock is set.


@pytest.mark.parametrize("step", [BACK, FORTH])
async def test_setting_the_wall_clock_moves_no_timer_of_the_link(
    sqlite_database: Database, autojump_clock: Autojump, step: float
) -> None:
    """G1: enquire_link keeps its beat, a response its deadline, a dead link is found out, as if nothing had been."""
    async with rig(sqlite_database, account=account(timers=QUICK)) as pair:
        pair.sim.behave(response="never", receipts="never")
        await pair.settled(25)
        one = await pair.send("Le code 123456", category="otp", ttl_s=86_400)
        sent_at = trio.current_time()
        await pair.settled(1)
        pair.clock.step(step)
        await pair.until(one, "in_doubt", within_s=10)
        assert trio.current_time() - sent_at == pytest.approx(5, abs=0.2)
        asked = enquiries(pair.sim)
        assert asked[1] - asked[0] == pytest.approx(10, abs=0.2)
        pair.sim.behave(response="given")
        await pair.settled(60)
        gaps = [later - earlier for earlier, later in pairwise(enquiries(pair.sim))]
        assert all(gap <= 10.5 for gap in gaps)
        assert len(binds(pair.sim)) == 1
        pair.sim.cause(Drop(how=Cut.black_hole))
        cut_at = trio.current_time()
        while len(binds(pair.sim)) < 2:
            await trio.sleep(0.1)
        assert trio.current_time() - cut_at <= 22


async def test_a_pause_that_a_clock_set_back_would_make_hours_long_is_over_within_its_longest(
    database: Database, autojump_clock: Autojump
) -> None:
    """G1: −3 h while a message waits for its next try: it is not late by three hours."""
    async with rig(database) as pair:
        pair.sim.behave(answers=[{"status": "RSYSERR"}])
        one = await pair.send(ttl_s=86_400)
        await pair.until(one, "waiting", within_s=5)
        pair.sim.behave(answers=[{}])
        pair.clock.step(BACK)
        await pair.until(one, "delivered", within_s=65)
        assert (await pair.message(one))["attempts"] == 2


async def test_a_doubt_is_not_held_for_hours_by_a_clock_that_was_set_back(
    database: Database, autojump_clock: Autojump
) -> None:
    """G1: −3 h while a handover code is held for its receipt: sent once more, once."""
    async with rig(database) as pair:
        pair.sim.behave(response="never", receipts="never")
        one = await pair.send("Le code 123456", category="handover", ttl_s=86_400)
        await pair.until(one, "in_doubt", within_s=10)
        pair.sim.behave(response="given", receipts="as_asked")
        pair.clock.step(BACK)
        await pair.until(one, "delivered", within_s=200)
        row = await pair.message(one)
        assert (row["attempts"], row["doubts"]) == (2, 1)
        assert len(submits(pair.sim)) == 2


@pytest.mark.parametrize(("step", "waited_s", "answer"), [(FORTH, 0, "expired"), (BACK, 900, "approved")])
async def test_a_code_lives_until_its_stored_instant_whatever_the_clock_did_meanwhile(
    database: Database, autojump_clock: Autojump, step: float, waited_s: float, answer: str
) -> None:
    """G1: `expires_at` is an instant: three hours on it has passed, three hours back it is still to come."""
    async with rig(database, verification={"life_s": 600}) as pair:
        started = await pair.verify()
        await pair.sim.handset(PHONE).wait()
        await pair.settled(2)
        code = pair.sim.handset(PHONE).code
        assert code is not None
        pair.clock.step(step)
        # Not even the duty that ends lives has looked yet: the check itself asks the clock.
        checked = await pair.check(started.body["id"], code) if not waited_s else None
        await pair.settled(waited_s)
        checked = checked or await pair.check(started.body["id"], code)
        assert checked.code == answer


async def test_what_waits_expires_at_its_stored_instant_and_is_not_sent_when_the_clock_goes_forward(
    database: Database, autojump_clock: Autojump
) -> None:
    """G1, G5: +3 h with a code in the queue behind a full window: expired, never on the wire."""
    async with rig(database, account=account(window=1)) as pair:
        pair.sim.behave(response="hold")
        await pair.send("Le code 000001", category="otp", ttl_s=86_400)
        await pair.sim.until(lambda: pair.sim.held)
        late = await pair.send("Le code 000002", category="otp", ttl_s=600)
        pair.clock.step(FORTH)
        pair.sim.behave(response="given")
        pair.sim.release()
        await pair.until(late, "expired", within_s=5)
        assert (await pair.message(late))["reason"] == "expired_before_send"
        assert len(submits(pair.sim)) == 1


# G2 and G3: what the operator reads as the message's life.


@pytest.fixture(params=["UTC", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The process believes to live in this zone."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(
    ("validity", "before", "after"),
    [
        ("relative", b"000000010000000R", b"000000010000000R"),
        ("absolute", b"270328015900000+", b"270328020100000+"),
        ("none", b"", b""),
    ],
)
async def test_on_the_night_when_summer_time_begins_the_wire_carries_the_same_bytes_in_every_zone(
    sqlite_database: Database, autojump_clock: Autojump, zone: str, validity: str, before: bytes, after: bytes
) -> None:
    """G2, G3: a minute before and a minute after the gap; by setting relative, UTC with `00+`, or nothing."""
    clock = VirtualClock(SPRING_FORWARD - MINUTE)
    world = World(clock, KeyRing.generate(clock.entropy), simulator(), clock.now())
    async with trio.open_nursery() as nursery:
        await nursery.start(world.sim.run)
        async with rig(sqlite_database, world=world, account=account(validity=validity)) as pair:
            began = clock.now()
            await pair.until(await pair.send(ttl_s=3_600), "delivered")
            await pair.settled(120 - (clock.now() - began) / SECOND)
            await pair.until(await pair.send(ttl_s=3_600), "delivered")
            assert [seen.pdu.validity_period for seen in submits(pair.sim)] == [before, after]
            assert absolute_time(SPRING_FORWARD + HOUR) == b"270328020000000+"
        nursery.cancel_scope.cancel()


async def test_an_operator_that_refuses_absolute_periods_gets_none_either(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """G3: 0x62 to an absolute one: one retry without, and the account remembers."""
    async with rig(sqlite_database, account=account(validity="absolute")) as pair:
        pair.sim.behave(answers=[{"status": "RINVEXPIRY"}])
        one = await pair.send()
        await pair.sim.until(lambda: pair.sim.stats.refused)
        pair.sim.behave(answers=[{}])
        await pair.until(one, "delivered", within_s=10)
        await pair.until(await pair.send("Encore"), "delivered")
        periods = [seen.pdu.validity_period for seen in submits(pair.sim)]
        assert [len(period) for period in periods] == [16, 0, 0]


# G6: the operator delivers later than it was asked to.


async def test_a_code_that_the_operator_delivers_after_its_life_approves_nothing(
    database: Database, autojump_clock: Autojump
) -> None:
    """G6: the operator keeps for three minutes what lives one: our expiry decides, the late receipt is believed."""
    async with rig(database, account=account(validity="none"), verification={"life_s": 60}) as pair:
        pair.sim.behave(receipt_delay=180)
        started = await pair.verify()
        await pair.settled(185)
        code = pair.sim.handset(PHONE).code
        assert code is not None
        checked = await pair.check(started.body["id"], code)
        assert checked.code == "expired"
        [row] = await pair.rows(MESSAGES)
        assert row["state"] == "delivered"
        told = await pair.events_of(started.body["id"])
        assert told.count("verification.expired") == 1
        assert "verification.approved" not in told


# G7: the machine sleeps.


async def test_after_a_sleep_the_dead_link_is_found_out_lives_have_ended_and_the_rest_goes_on(
    database: Database, autojump_clock: Autojump
) -> None:
    """G7: two hours: monotonic time stood still, the wall clock did not, the peer has long forgotten the session."""
    async with rig(database, account=account(window=2, timers=QUICK)) as pair:
        pair.sim.behave(response="never", receipts="never")
        code = await pair.send("Le code 000001", category="otp", ttl_s=600)
        notice = await pair.send("Votre colis est en route", ttl_s=86_400)
        await pair.sim.until(lambda: len(submits(pair.sim)) == 2)
        queued = await pair.send("Le code 000002", category="otp", ttl_s=600)
        lasting = await pair.send("Le code 000003", category="otp", ttl_s=86_400)
        pair.sim.behave(response="given", receipts="as_asked")
        pair.sim.cause(Drop(how=Cut.black_hole))
        pair.clock.step(2 * 3_600)
        woken = trio.current_time()
        await pair.until(queued, "expired", within_s=5)
        await pair.until(lasting, "delivered", within_s=30)
        assert trio.current_time() - woken <= 22
        assert len(binds(pair.sim)) == 2
        await pair.until(notice, "delivered", within_s=300)
        attempts = {one: (await pair.message(one))["attempts"] for one in (code, notice, queued, lasting)}
        assert attempts == {code: 1, notice: 2, queued: 0, lasting: 1}
        assert await pair.state(code) == "unknown"  # its life ended in doubt: visible, and not sent again
        sent = Counter(seen.pdu.short_message for seen in submits(pair.sim))
        assert sent[b"Le code 000001"] == 1
        assert sent[b"Le code 000002"] == 0
