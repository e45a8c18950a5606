"""Windows and rates on the wire: full use of both, never more than either, whatever the operator answers."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest
import trio

from engine.smpp.pdu import DeliverSm, SubmitSm
from engine.smpp.text import concat_of
from engine.store.connections import Database
from smppsim.behaviour import Link
from smppsim.faults import Drop, Throttle
from tests.amounts import Figure, amounts
from tests.rig import MESSAGES, Rig, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, busiest, submits

LONG = "Une phrase assez longue, répétée. " * 9  # three parts


def account(window: int = 10, binds: int = 1, **figures: object) -> dict[str, object]:
    """One account with binds of one window."""
    return {"binds": {f"b{number}": bind_settings(window=window) for number in range(1, binds + 1)}, **figures}


async def all_delivered(pair: Rig, within_s: float = 3_600) -> None:
    """Wait until every message is delivered."""
    with trio.fail_after(within_s):
        while {row["state"] for row in await pair.rows(MESSAGES)} != {"delivered"}:
            await trio.sleep(0.5)


@pytest.mark.parametrize("seconds", amounts(5, 60))
async def test_a_round_trip_of_100_ms_does_not_hold_the_rate_down(
    sqlite_database: Database, autojump_clock: Autojump, seconds: int, figure: Figure
) -> None:
    """users-ask 8: window 50, 300/s: at least 285/s all the time, never more than 300 in any second."""
    operator = simulator(link=Link(rate=300))
    operator.behave(response_delay=0.1, receipts="never")
    async with rig(sqlite_database, sim=operator, account=account(50, rate=300)) as pair:
        began = trio.current_time()
        for _ in range(seconds * 3 // 10 + 1):
            await pair.send_many(["Bonjour"] * 1_000, category="marketing", ttl_s=86_400)
        await trio.sleep(seconds)
        took = pair.sim.stats.submits
        assert took / (trio.current_time() - began) >= 285
        busiest_second = pair.sim.account("sceau").busiest_second
        assert busiest_second <= 300
        assert pair.sim.stats.throttled == 0
        figure(
            f"users-ask 8: {seconds} s at 100 ms, window 50, 300/s: mean, and the busiest second",
            f"{took / (trio.current_time() - began):.1f}/s, {busiest_second}",
        )


async def test_the_window_is_never_overrun_even_over_a_reconnect_and_a_burst_of_codes(
    database: Database, autojump_clock: Autojump
) -> None:
    """users-ask 9: a simulator that refuses whatever exceeds window W refuses nothing."""
    operator = simulator(link=Link(window=20, window_status="RSUBMITFAIL"))
    operator.behave(response_delay={"kind": "uniform", "low": 0.05, "high": 0.4})
    async with rig(database, sim=operator, account=account(20)) as pair:
        await pair.send_many([f"Bonjour {number}" for number in range(400)], category="marketing")
        await pair.settled(1)
        await pair.send_many([f"code {number}" for number in range(40)], category="otp", ttl_s=300)
        await pair.settled(0.5)
        operator.cause(Drop())
        await pair.settled(2)
        await pair.send_many([f"code {number}" for number in range(40, 80)], category="otp", ttl_s=300)
        await pair.settled(60)
        assert operator.stats.window_overruns == 0
        assert operator.account("sceau").widest_window == 20
        rows = await pair.rows(MESSAGES)
        assert {row["state"] for row in rows if row["category"] == "otp"} == {"delivered"}
        # A campaign's doubts are shown, not sent again: no more than the window held.
        assert Counter(row["state"] for row in rows)["in_doubt"] <= 20


async def test_limits_count_pdus_and_the_parts_of_a_message_stay_together(
    database: Database, autojump_clock: Autojump
) -> None:
    """users-ask 10: 100 three-part messages at 30/s: 30 PDUs/s, nothing throttled, parts contiguous."""
    operator = simulator(link=Link(rate=30))
    async with rig(database, sim=operator, account=account(10, rate=30)) as pair:
        began = trio.current_time()
        await pair.send_many([f"{number:03} {LONG}" for number in range(100)], ttl_s=86_400)
        await all_delivered(pair)
        assert operator.stats.throttled == 0
        at = [seen.at for seen in submits(operator)]
        assert len(at) == 300
        assert busiest(at, 1.0) <= 30
        assert 300 / (at[-1] - began) >= 28
        order = [concat_of(DeliverSm(**common(seen.pdu))) for seen in submits(operator)]
        assert [one.sequence for one in order if one is not None] == [1, 2, 3] * 100
        assert all(len({one.reference for one in order[start : start + 3] if one}) == 1 for start in range(0, 300, 3))


def common(pdu: SubmitSm) -> dict[str, object]:
    """The fields of a submit_sm as a deliver_sm has them."""
    return {"esm_class": pdu.esm_class, "short_message": pdu.short_message, "tlvs": pdu.tlvs}


@pytest.mark.parametrize("seconds", amounts(30, 300))
async def test_throttling_slows_the_account_which_recovers_within_ten_seconds_of_its_end(
    sqlite_database: Database, autojump_clock: Autojump, seconds: int, figure: Figure
) -> None:
    """users-ask 11: 20 % throttled for 30 s: the rate drops, no storm, nothing lost, order per recipient kept."""
    operator = simulator()
    operator.behave(response_delay=0.05, receipts="never")
    async with rig(sqlite_database, sim=operator, account=account(20, rate=100)) as pair:
        operator.cause(Throttle(for_s=seconds, share=0.2))
        numbers = [f"+336123456{number:02}" for number in range(100)]
        rounds = seconds // 3
        for round_ in range(rounds):
            # Each recipient's next message comes when the one before may still be waiting for its turn.
            await pair.send_many([f"m{round_}"] * 100, to=numbers, category="marketing", ttl_s=86_400)
            await trio.sleep(3)
        during = pair.sim.account("sceau").submits / seconds
        assert during < 90
        assert pair.sim.stats.throttled < 0.3 * pair.sim.stats.submits
        await trio.sleep(10)
        await pair.send("Bonjour", "+12025550100", category="marketing")  # the rate is reckoned when it is asked for
        await trio.sleep(0.1)
        assert pair.core.pool.status()[0].rate == 100
        while {row["state"] for row in await pair.rows(MESSAGES)} != {"accepted"}:
            await trio.sleep(1)
        arrived: dict[bytes, list[str]] = defaultdict(list)
        for message in operator.smsc.messages:
            arrived[message.pdu.destination_addr].append(message.pdu.short_message.decode())
        arrived.pop(b"12025550100")
        assert len(arrived) == 100
        assert all(one == [f"m{round_}" for round_ in range(rounds)] for one in arrived.values())
        assert {row["attempts"] for row in await pair.rows(MESSAGES)} == {1}
        figure(
            f"users-ask 11: a fifth throttled for {seconds} s at 100/s: submits meanwhile; out of order or lost",
            f"{during:.0f}/s; 0 of {100 * rounds:,}",
        )


async def test_one_full_destination_does_not_slow_its_account_whatever_goes_there(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C2: the parts of a long message, and messages to one number, are full queues of one destination."""
    async with rig(sqlite_database, account=account(rate=1_000)) as pair:
        pair.sim.behave(answers=[{"status": "RMSGQFUL"}])
        await pair.send(LONG)
        await pair.send_many(["Bonjour"] * 4)
        await pair.settled(0.2)
        assert len(submits(pair.sim)) == 3 + 4
        assert pair.core.pool.status()[0].rate == 1_000
        # Two numbers are not several: the pauses of the messages end in the same round trip, too.
        await pair.send_many(["Bonjour"] * 4, to="+33612345601")
        await pair.settled(90)
        assert pair.core.metrics.protocol_errors.labels("sim", "b1", "queues_full")._value.get() == 0
        pair.sim.behave(answers=[{"status": "ROK"}])
        await all_delivered(pair)


@pytest.mark.parametrize("seconds", amounts(5, 60))
async def test_slow_answers_among_quick_ones_do_not_stop_the_window(
    sqlite_database: Database, autojump_clock: Autojump, seconds: int, figure: Figure
) -> None:
    """users-ask 12: 80/15/5 % at 10/100/1,000 ms, window 100: at least 800/s (theory 1,370)."""
    operator = simulator()
    operator.behave(response_delay=0.01, receipts="never")
    operator.behave(destination="*[0-1][0-9]", response_delay=0.1)
    operator.behave(destination="*0[0-4]", response_delay=1.0)
    async with rig(sqlite_database, sim=operator, account=account(100)) as pair:
        numbers = [f"+336123456{number * 37 % 100:02}" for number in range(1_500)]
        for _ in range(seconds):
            await pair.send_many(["Bonjour"] * 1_500, to=numbers, category="marketing")
        await pair.settled(seconds)
        figure(
            f"users-ask 12: slow answers among quick ones for {seconds} s", f"{pair.sim.stats.submits / seconds:.0f}/s"
        )


async def test_the_binds_of_an_account_share_its_rate(database: Database, autojump_clock: Autojump) -> None:
    """C10: three binds, 60/s in all, in every tenth of a second."""
    async with rig(database, bound=3, account=account(10, binds=3, rate=60)) as pair:
        await pair.send_many([f"Bonjour {number}" for number in range(300)])
        await all_delivered(pair)
        at = [seen.at for seen in submits(pair.sim)]
        assert busiest(at, 1.0) <= 60
        assert busiest(at, 0.1) <= 7
        assert len({seen.session for seen in submits(pair.sim)}) == 3
        assert at[-1] - at[0] <= 300 / 55


async def test_binds_with_rates_of_their_own_do_not_share(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """C10: `rate_per = "bind"`: 20/s each."""
    async with rig(sqlite_database, bound=3, account=account(10, binds=3, rate=20, rate_per="bind")) as pair:
        await pair.send_many([f"Bonjour {number}" for number in range(300)])
        await all_delivered(pair)
        by_bind: dict[int, list[float]] = defaultdict(list)
        for seen in submits(pair.sim):
            by_bind[seen.session].append(seen.at)
        assert len(by_bind) == 3
        assert all(busiest(at, 1.0) <= 20 for at in by_bind.values())
        at = sorted(at for times in by_bind.values() for at in times)
        assert at[-1] - at[0] <= 6


async def test_an_account_without_a_rate_finds_one_when_it_is_throttled_and_leaves_it_again(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C1, C8: the operator has an unwritten limit of 100/s: few are throttled, most of it is used."""
    operator = simulator(link=Link(rate=100))
    operator.behave(response_delay=0.05, receipts="never")
    async with rig(sqlite_database, sim=operator, account=account(50)) as pair:
        await pair.send_many(["Bonjour"] * 4_000, category="marketing", ttl_s=86_400)
        await pair.settled(40)
        assert operator.stats.accepted / 40 >= 65
        assert operator.stats.throttled <= 0.1 * operator.stats.submits


async def test_submits_are_counted_by_the_route_of_their_message(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """The first parts and those that found no slot at once: all under the route that the settings name."""
    routes = {"france": {"countries": ["FR"], "accounts": ["sim"]}}
    async with rig(sqlite_database, account=account(2), routes=routes) as pair:
        await pair.send_many([LONG] * 4)
        await all_delivered(pair)
        labels = {"lane": "transactional", "account": "sim", "route": "france"}
        figure = pair.core.metrics.registry.get_sample_value
        assert figure("sceau_submits_total", labels) == 12
        assert figure("sceau_accept_to_wire_seconds_count", labels) == 4
