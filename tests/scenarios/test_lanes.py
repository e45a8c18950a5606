"""The lane of codes beside a backlog, slow binds, a slow database: what a code waits for, and what the rest keeps."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import trio

from engine.store.connections import Database
from engine.store.doorway import Store
from engine.store.transaction import Tx
from engine.transit.claiming import Claim
from engine.transit.classes import Lane
from smppsim.behaviour import Link
from smppsim.faults import Mute, Throttle
from tests.amounts import Figure, amounts
from tests.rig import PHONE, Rig, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, busiest, submits, texts

T = TypeVar("T")
MARGIN_S = 0.002  # the senders gather what comes free for so long


def account(window: int = 10, **figures: object) -> dict[str, object]:
    """One account with one bind."""
    return {"binds": {"main": bind_settings(window=window)}, **figures}


async def waits(pair: Rig, count: int, every_s: float, **asked: Any) -> list[float]:
    """Queue a code every so often; return how long each took from its commit to the wire."""
    found = []
    for number in range(count):
        pair.sim.smsc.log.clear()
        began = trio.current_time()
        await pair.send(f"code {number}", category="otp", ttl_s=300, **asked)
        await trio.sleep(every_s)
        # One that was throttled is there twice: the first time counts.
        at = next(seen.at for seen in submits(pair.sim) if seen.pdu.short_message == b"code %d" % number)
        found.append(at - began)
    return found


@pytest.mark.parametrize("backlog", amounts(2_000, 50_000))
async def test_a_code_each_second_passes_a_backlog_on_a_slow_bind_and_bulk_keeps_the_rest(
    sqlite_database: Database, autojump_clock: Autojump, backlog: int, figure: Figure
) -> None:
    """users-ask 14: 50/s: every code is on the wire within 100 ms; bulk uses what is left."""
    operator = simulator(link=Link(rate=50))
    operator.behave(response_delay=0.05, receipts="never")
    async with rig(sqlite_database, sim=operator, account=account(10, rate=50)) as pair:
        for _ in range(backlog // 1_000):
            await pair.send_many(["Bonjour"] * 1_000, category="marketing", ttl_s=86_400)
        await pair.settled(1)
        began, before = trio.current_time(), operator.stats.submits
        codes = backlog // 56  # as many seconds: the backlog outlasts them
        waited = await waits(pair, codes, 1.0)
        assert max(waited) <= 0.1
        sent = (operator.stats.submits - before) / (trio.current_time() - began)
        assert sent >= 0.95 * 49
        assert operator.stats.throttled == 0
        late = sorted(waited)[int(0.99 * codes)]
        figure(
            f"users-ask 14: {backlog:,} queued on 50/s, {codes} codes: p99 and longest to the wire, PDUs in all",
            f"{late * 1e3:.0f} ms, {max(waited) * 1e3:.0f} ms, {sent:.1f}/s",
        )


@pytest.mark.parametrize(("window", "rate"), [(10, 200), (1, None), (3, 10), (100, 50)])
async def test_a_code_waits_for_one_slot_and_one_token_at_most(
    sqlite_database: Database, autojump_clock: Autojump, window: int, rate: float | None
) -> None:
    """B22, C1: promise 4: with a backlog of bulk, whatever the window and the rate."""
    round_trip = 0.2
    operator = simulator()
    operator.behave(response_delay=round_trip, receipts="never")
    figures = {} if rate is None else {"rate": rate}
    async with rig(sqlite_database, sim=operator, account=account(window, **figures)) as pair:
        await pair.send_many(["Bonjour"] * 3_000, category="marketing", ttl_s=86_400)
        await pair.settled(3)
        waited = await waits(pair, 25, 0.77)
        token = 0.0 if rate is None else 1 / max(rate - max(1, rate // 100), rate / 2)
        # Under a window of four there is no reserve: then it is the next slot that comes free.
        slot = 0.0 if window >= 4 else round_trip
        assert max(waited) <= slot + token + MARGIN_S
        assert operator.stats.submits > 25


async def test_codes_go_first_while_the_operator_throttles(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """C1: promise 4: a fifth of everything is throttled; a code waits for a token of the lowered rate, no longer."""
    operator = simulator()
    operator.behave(response_delay=0.05, receipts="never")
    async with rig(sqlite_database, sim=operator, account=account(20, rate=100)) as pair:
        await pair.send_many(["Bonjour"] * 3_000, category="marketing", ttl_s=86_400)
        await pair.settled(1)
        operator.cause(Throttle(for_s=40, share=0.2))
        waited = []
        for number in range(30):
            began = trio.current_time()
            rate = pair.core.pool.status()[0].rate
            assert rate is not None
            await pair.send(f"code {number}", category="otp", ttl_s=300)
            await trio.sleep(1.3)
            at = next(seen.at for seen in submits(operator) if seen.pdu.short_message == b"code %d" % number)
            waited.append((at - began) * rate)
        # In tokens of the rate at that moment: its own, after those by which the last cut left the bucket empty.
        assert max(waited) <= 3


async def test_a_burst_of_codes_leaves_bulk_at_its_rate_once_it_is_over(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C10: 20 codes a second beside bulk at 200/s: bulk keeps at least 85 % of what it had."""
    operator = simulator()
    operator.behave(response_delay=0.05, receipts="never")
    async with rig(sqlite_database, sim=operator, account=account(50, rate=200)) as pair:
        await pair.send_many(["Bonjour"] * 6_000, category="marketing", ttl_s=86_400)
        await pair.settled(2)
        alone = await bulk_in(pair, 5)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waits_quietly, pair)
            beside = await bulk_in(pair, 5)
        assert alone >= 5 * 190
        assert beside >= 0.85 * alone
        assert busiest([seen.at for seen in submits(operator)], 1.0) <= 200


async def waits_quietly(pair: Rig) -> None:
    """Twenty codes a second for five seconds."""
    for number in range(100):
        await pair.send(f"code {number}", category="otp", ttl_s=300)
        await trio.sleep(0.05)


async def bulk_in(pair: Rig, seconds: float) -> int:
    """How many bulk messages reach the wire in so many seconds."""
    before = texts(pair.sim).count("Bonjour")
    await trio.sleep(seconds)
    return texts(pair.sim).count("Bonjour") - before


@pytest.mark.parametrize("share", [0.1, 0.4])
async def test_bulk_gets_its_minimum_share_against_transactional(
    sqlite_database: Database, autojump_clock: Autojump, share: float
) -> None:
    """C10: `lanes.bulk_min_share` of what codes leave, no more while the other lane has work."""
    operator = simulator()
    operator.behave(response_delay=0.05, receipts="never")
    lanes = {"bulk_min_share": share}
    async with rig(sqlite_database, sim=operator, account=account(50, rate=100), lanes=lanes) as pair:
        await pair.send_many(["b"] * 500, category="marketing", ttl_s=86_400)
        await pair.send_many(["t"] * 1_000, category="transactional", ttl_s=86_400)
        await pair.settled(9)
        sent = Counter(texts(operator))
        assert sent["b"] / sent.total() == pytest.approx(share, abs=0.03)


async def test_without_a_share_bulk_waits_for_the_transactional_lane_and_then_has_everything(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C10: strict priority when the share is nothing; no slot stays idle for a lane without work."""
    operator = simulator()
    operator.behave(receipts="never")
    async with rig(sqlite_database, sim=operator, account=account(50, rate=100), lanes={"bulk_min_share": 0}) as pair:
        await pair.send_many(["t"] * 300, category="transactional")
        await pair.send_many(["b"] * 300, category="marketing")
        await pair.settled(7)
        assert texts(operator) == ["t"] * 300 + ["b"] * 300


async def test_applications_take_turns_within_a_lane(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """C10: one application's campaign does not hold up another one's few messages."""
    operator = simulator()
    operator.behave(response_delay=0.05)
    async with rig(sqlite_database, sim=operator, account=account(10, rate=50)) as pair:
        await pair.send_many(["grande"] * 500, category="marketing", ttl_s=86_400, app="app_a")
        await pair.settled(1)
        ids = await pair.send_many(["petite"] * 10, category="marketing", app="app_b")
        await pair.settled(1)
        assert {await pair.state(one) for one in ids} <= {"accepted", "delivered"}


async def test_a_bind_dedicated_to_codes_carries_nothing_else(database: Database, autojump_clock: Autojump) -> None:
    """C10: and the others carry no code while it stands."""
    binds = {
        "otp": bind_settings(dedicated_lane="otp"),
        "bulk": bind_settings(dedicated_lane="bulk"),
    }
    async with rig(database, bound=2, account={"binds": binds}) as pair:
        await pair.send_many(["bulk"] * 50, category="marketing")
        await pair.send_many(["code"] * 50, category="otp", ttl_s=300)
        waiting = await pair.send("notice", category="transactional", ttl_s=30)
        await pair.settled(20)
        by_session: dict[int, set[bytes]] = {}
        for seen in submits(pair.sim):
            by_session.setdefault(seen.session, set()).add(seen.pdu.short_message)
        assert sorted(map(sorted, by_session.values())) == [[b"bulk"], [b"code"]]
        # No line carries this lane: it waits visibly, and ends with its life.
        assert await pair.state(waiting) == "queued"
        await pair.until(waiting, "expired", within_s=15)


async def test_a_code_of_two_parts_goes_through_a_window_of_one(database: Database, autojump_clock: Autojump) -> None:
    """E18, B22: slot by slot, before everything else that waits."""
    operator = simulator()
    operator.behave(response_delay=0.1)
    async with rig(database, sim=operator, account=account(1)) as pair:
        await pair.send_many(["bulk"] * 20, category="marketing")
        await pair.settled(0.5)
        text = "Votre code est le 123456. " * 7
        one = await pair.send(text.strip(), category="otp", ttl_s=300)
        began = trio.current_time()
        await pair.until(one, "delivered", within_s=2)
        assert trio.current_time() - began <= 0.5
        [inbox] = [message for message in pair.sim.handset(PHONE).messages if message.text != "bulk"]
        assert inbox.text == text.strip()


class SlowStore(Store):
    """A database whose commits of claims take time, one job after the other, the urgent first, as the writer does."""

    def __init__(self, database: Database, claim_s: float) -> None:
        super().__init__(database, inline=True)
        self.claim_s = claim_s
        self.claims: list[tuple[float, int]] = []
        self._busy = False
        self._waiting: tuple[deque[trio.Event], deque[trio.Event]] = (deque(), deque())

    async def write(self, job: Callable[[Tx], T], *, urgent: bool = False, apart: bool = False) -> T:
        """Take a turn."""
        with trio.CancelScope(shield=True):
            if self._busy:
                turn = trio.Event()
                self._waiting[not urgent].append(turn)
                await turn.wait()
            self._busy = True
            try:
                if isinstance(job, Claim):
                    self.claims.append((trio.current_time(), job.lane))
                    await trio.sleep(self.claim_s)
                return await super().write(job)
            finally:
                waiting = self._waiting[0] or self._waiting[1]
                if waiting:
                    waiting.popleft().set()
                else:
                    self._busy = False


async def test_a_code_waits_behind_one_claim_of_bulk_that_is_being_committed_and_no_more(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """C1: promise 4 in the database: its own claim is the next job, whatever waits."""
    operator = simulator()
    operator.behave(response_delay=0.01, receipts="never")
    store = SlowStore(sqlite_database, 0.03)
    three = {"binds": {name: bind_settings(window=100) for name in ("b1", "b2", "b3")}}
    async with rig(sqlite_database, sim=operator, bound=3, store=store, account=three) as pair:
        await pair.send_many(["Bonjour"] * 5_000, category="marketing", ttl_s=86_400)
        await pair.settled(0.4)
        for number in range(10):
            began = trio.current_time()
            # The call that queues it waits for the claim that runs; what is proven is what comes after.
            await pair.send(f"code {number}", category="otp", ttl_s=300)
            queued = trio.current_time()
            await trio.sleep(0.5)
            at = next(seen.at for seen in submits(operator) if seen.pdu.short_message == b"code %d" % number)
            assert queued - began <= 0.2
            assert at - queued <= 2 * 0.03 + MARGIN_S
            between = [lane for claimed, lane in store.claims if queued < claimed < at and lane == Lane.BULK]
            assert len(between) <= 1


async def test_a_slow_bind_of_three_holds_up_two_codes_and_no_more(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B22, users-ask 25: one of three binds answers after a minute: codes move to the others."""
    three = {"binds": {name: bind_settings(window=10) for name in ("b1", "b2", "b3")}}
    async with rig(sqlite_database, bound=3, account=three) as pair:
        slow = pair.sim.sessions[0].number
        took = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(keep_mute, pair, slow)
            for number in range(60):
                one = await pair.send(f"code {number}", to=f"+336123456{number:02}", category="otp", ttl_s=300)
                began = trio.current_time()
                await pair.until(one, "delivered", within_s=20)
                took.append(trio.current_time() - began)
                await trio.sleep(0.5)
            nursery.cancel_scope.cancel()
        assert sum(wait > 0.1 for wait in took) <= 2
        assert max(took) <= 6


async def keep_mute(pair: Rig, slow: int) -> None:
    """Let one session answer once a minute."""
    while True:
        pair.sim.cause(Mute(for_s=59, session=slow))
        await trio.sleep(60)
