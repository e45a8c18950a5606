"""What users ask of links: failover, ghosts, flapping, refusals of every shape, octets that mean nothing."""

from __future__ import annotations

import gc
import os
import random
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio

from engine.smpp.events import Answered
from engine.smpp.pdu import Disposition, Status, Tag, Unbind, commands, disposition
from engine.store.connections import Database
from smppsim.behaviour import Cut
from smppsim.faults import Drop, Ghost, Raw, RefuseBinds
from smppsim.scenario import AccountSettings, Bounds, Scenario
from smppsim.simulator import Simulator
from tests.amounts import Figure, amounts
from tests.golden import GOLDEN
from tests.mutations import mutated_frame
from tests.rig import MESSAGES, OpenStream, Rig, accounts, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, binds, seen, submits
from tests.session_kit import bound, said, submitted

# -- 20: balancing and failover ---------------------------------------------------------------------------------

GROUP = {
    "accounts": {
        "a": {
            "kind": "simulator",
            "binds": {"a1": bind_settings(system_id="one"), "a2": bind_settings(system_id="two")},
        },
        "b": {"kind": "simulator", "binds": {"b1": bind_settings(system_id="spare")}},
    },
    "senders": {"main": {"address": "Sceau", "accounts": ["a", "b"]}},
}


async def test_traffic_of_a_bind_that_dies_moves_to_its_sibling_and_then_to_the_fallback_within_two_seconds(
    database: Database, autojump_clock: Autojump
) -> None:
    """users-ask 20: 20 messages a second over both binds of an account; both are killed, one after the other."""
    operator = simulator(others=("one", "two", "spare"))
    operator.behave(response_delay=0.05)
    async with rig(database, sim=operator, bound=3, **GROUP) as pair:
        queued_at: dict[str, float] = {}
        for number in range(600):
            if number in (200, 400):
                gone = "one" if number == 200 else "two"
                operator.cause(RefuseBinds(account=gone, for_s=1e6))
                operator.cause(Drop(account=gone))
            text = f"Bonjour {number}"
            queued_at[text] = trio.current_time()
            await pair.send(text, f"+33612{number:06}")
            await trio.sleep(0.05)
        await pair.settled(600)
        rows = await pair.rows(MESSAGES)
        assert {row["state"] for row in rows} == {"delivered"}
        # In flight when a link died: marked, and no more than a response's way can hold.
        assert 1 <= sum(row["doubts"] for row in rows) <= 8
        reached: dict[str, list[str]] = {"one": [], "two": [], "spare": []}
        for message in operator.smsc.messages:
            reached[message.account.system_id].append(message.pdu.short_message.decode())
        assert len(reached["one"]) >= 80, "both binds share the traffic"
        assert len(reached["two"]) >= 80 + 150
        assert len(reached["spare"]) >= 150
        first: dict[str, float] = {}
        for submit in submits(operator):
            first.setdefault(submit.pdu.short_message.decode(), submit.at)
        doubtful = {row["body"] for row in rows if row["doubts"]}
        assert max(first[text] - at for text, at in queued_at.items() if text not in doubtful) <= 2


# -- 22: ghosts ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ghosts", amounts(5, 100))
async def test_ghost_after_ghost_is_waited_out_with_jitter_and_every_session_ends_with_an_unbind(
    sqlite_database: Database, autojump_clock: Autojump, ghosts: int, figure: Figure
) -> None:
    """users-ask 22: 120 s each: bound at most a minute after it is gone, no hammering, nothing submitted before."""
    slowest, tries, waits = 0.0, 0, set()
    operator = simulator()
    async with rig(sqlite_database, sim=operator) as pair:
        for _ in range(ghosts):
            operator.smsc.log.clear()
            began = trio.current_time()
            operator.cause(Ghost(for_s=120))
            await pair.settled(1)
            one = await pair.send(ttl_s=86_400)
            await pair.settled(118)
            assert not submits(operator)
            await pair.until(one, "delivered", within_s=61)
            slowest = max(slowest, trio.current_time() - began - 120)
            knocked = binds(operator)
            tries = max(tries, len(knocked))
            waits |= {round(later - earlier, 3) for earlier, later in pairwise(knocked[1:])}
            await pair.settled(100)
        assert tries <= 10
        assert len(waits) >= 2 * ghosts
        assert min(waits) >= 15
        sessions = pair.core.pool.bound()
    assert (sessions, len(seen(operator, Unbind))) == (1, 1)
    figure(f"users-ask 22: {ghosts:,} ghosts, bound after the end of one at the latest", f"{slowest:.0f} s")
    figure(f"users-ask 22: {ghosts:,} ghosts, tries to bind a ghost at most", str(tries))


async def test_a_clean_stop_unbinds_every_session(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """users-ask 22: nothing of ours is left to be taken for alive."""
    several = {"binds": {"main": bind_settings(sessions=3), "more": bind_settings()}}
    operator = simulator()
    async with rig(sqlite_database, sim=operator, bound=4, account=several):
        pass
    assert len({one.session for one in seen(operator, Unbind)}) == 4
    assert operator.stats.sessions_lost == 0


# -- 26: flapping links -------------------------------------------------------------------------------------------


class Ledger:
    """What a process holds that it could fail to give back."""

    def __init__(self) -> None:
        gc.collect()
        self.tasks = trio.lowlevel.current_statistics().tasks_living
        self.descriptors = len(os.listdir("/proc/self/fd"))
        self.objects = len(gc.get_objects())
        self.resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def small_operator() -> Simulator:
    """One whose own memory is full from the beginning."""
    account = AccountSettings(system_id="sceau", password="secret08")
    bounds = Bounds(messages=20, handset_parts=20, pdus=50)
    return Simulator(Scenario(accounts=(account,), bounds=bounds))


async def flap(pair: Rig, times: int) -> None:
    """Lose the link so often, closed and reset in turn."""
    ways = (Cut.close, Cut.reset)
    for number in range(times):
        connections = pair.sim.stats.binds
        pair.sim.cause(Drop(how=ways[number % len(ways)]))
        while pair.sim.stats.binds == connections or pair.core.pool.bound() < 1:
            pair.core.pool.retry_now("sim/main")
            await trio.sleep(0.1)


async def at_rest(pair: Rig) -> None:
    """Wait until every timer of a connection that is gone has rung and the last one is bound."""
    await pair.settled(60)
    while pair.core.pool.bound() < 1:
        await trio.sleep(0.1)
    pair.sim.smsc.log.connections.clear()  # the operator's own list of them, bounded at ten thousand


async def stays_flat(pair: Rig, cycles: int) -> str:
    """Flap, and compare what is held after a tenth of it with what is held at the end; return the growth in words."""
    await flap(pair, cycles // 10)
    await at_rest(pair)
    early = Ledger()
    await flap(pair, cycles - cycles // 10)
    await at_rest(pair)
    late = Ledger()
    assert abs(late.tasks - early.tasks) <= 2
    assert late.descriptors == early.descriptors
    # A connection that leaked would leave a dozen objects: its link, session, streams, buffers.
    assert late.objects - early.objects < 3 * cycles + 200
    assert late.resident - early.resident < 8 << 20
    await pair.until(await pair.send("Bonjour"), "delivered")
    grown = late.tasks - early.tasks, late.objects - early.objects, (late.resident - early.resident) >> 10
    return "{} tasks, 0 descriptors, {:+,} objects, {:+,} KiB".format(*grown)


@pytest.mark.parametrize("cycles", amounts(200, 2_000))
async def test_a_flapping_link_leaves_no_task_object_or_memory_behind(
    sqlite_database: Database, autojump_clock: Autojump, cycles: int, figure: Figure
) -> None:
    """users-ask 26: connected and dropped again and again, in memory."""
    async with rig(sqlite_database, sim=small_operator(), honest=False) as pair:
        grown = await stays_flat(pair, cycles)
        figure(f"users-ask 26: {cycles:,} connections made and lost, in memory: growth", grown)


@pytest.mark.real
@pytest.mark.parametrize("cycles", amounts(50, 2_000))
async def test_a_flapping_tcp_link_leaves_no_descriptor_behind(
    sqlite_database: Database, mock_clock: Autojump, cycles: int, figure: Figure
) -> None:
    """users-ask 26: over TCP, on a clock that runs thirty times as fast: five connections a second are allowed."""
    mock_clock.rate = 30.0
    operator = small_operator()
    ports: list[int] = []

    def dial(_bind: Any, sim: Simulator) -> OpenStream:
        async def open_stream() -> trio.abc.Stream:
            if not ports:
                ports.append(await sim.listen())
            return await trio.open_tcp_stream("127.0.0.1", ports[0])

        return open_stream

    async with rig(sqlite_database, sim=operator, dial=dial, honest=False) as pair:
        grown = await stays_flat(pair, cycles)
        figure(f"users-ask 26: {cycles:,} connections made and lost, over TCP: growth", grown)


# -- 27: refusals of every shape ----------------------------------------------------------------------------------

BODIES = {
    "no body": b"",
    "empty id": b"\0",
    "id": b"4711\0",
    "id and parameters": b"4711\0" + struct.pack("!HHB", Tag.DELIVERY_FAILURE_REASON, 1, 2),
    "parameters alone": struct.pack("!HHB", Tag.DELIVERY_FAILURE_REASON, 1, 2),
}
STATUSES = [value for name, value in vars(Status).items() if name.startswith("ESME_R") and value]


def refusal(shape: str, status: int, sequence: int) -> bytes:
    """A submit_sm_resp as operators write it when they refuse."""
    body = BODIES[shape]
    return struct.pack("!IIII", 16 + len(body), commands.SUBMIT_SM_RESP, status, sequence) + body


@pytest.mark.parametrize("shape", BODIES)
def test_a_session_reads_a_refusal_of_any_status_and_shape_and_goes_on(shape: str) -> None:
    """users-ask 27: every status that we know, and three that nobody does."""
    session = bound()
    for status in (*STATUSES, 0x400, 0x4FF, 0xFFFFFFFF):
        [sequence] = submitted(session, [status])
        answers = [one for one in session.receive(refusal(shape, status, sequence), 0.0) if isinstance(one, Answered)]
        assert [(one.token, one.status) for one in answers] == [(status, status)]
    assert said(session) == []
    assert session.outstanding == 0


@pytest.mark.parametrize("shape", BODIES)
async def test_refusals_of_any_shape_end_their_messages_and_the_bind_survives(
    sqlite_database: Database, autojump_clock: Autojump, shape: str
) -> None:
    """users-ask 27: each status that ends a message, one after the other on one bind; then one that is delivered."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(response="ignored")
        # A refused validity period is tried once more without one.
        final = [
            status
            for status in STATUSES
            if disposition(status) is Disposition.PERM and status != Status.ESME_RINVEXPIRY
        ]
        assert len(final) > 10
        for number, status in enumerate(final):
            one = await pair.send(f"Bonjour {number}")
            await pair.sim.until(lambda: pair.sim.stats.submits > number)  # noqa: B023
            pair.sim.cause(Raw.of(refusal(shape, status, submits(pair.sim)[-1].sequence)))
            await pair.until(one, "rejected", within_s=5)
            row = await pair.message(one)
            assert (row["status"], row["attempts"], row["doubts"]) == (status, 1, 0)
        pair.sim.behave(response="given")
        await pair.until(await pair.send(), "delivered")
        assert len(binds(pair.sim)) == 1


# -- 28: octets that mean nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", amounts(3_000, 200_000))
async def test_damaged_frames_on_one_bind_are_nothing_to_the_other(
    sqlite_database: Database, autojump_clock: Autojump, frames: int, figure: Figure
) -> None:
    """users-ask 28: mutations of every PDU, HTTP and TLS on bind a; codes go through b meanwhile without a wait."""
    dice = random.Random(28)
    valid = [golden.frame for golden in GOLDEN.values()]
    noise = [b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", bytes.fromhex("1603010200010001fc0303"), b"\xff" * 64]
    operator = simulator(others=("noisy",))
    tree = accounts("sceau", "noisy", noisy={"timers": {"reconnect_most_s": 1}})
    tree["senders"]["main"]["accounts"] = ["sceau"]
    async with rig(sqlite_database, sim=operator, bound=2, **tree) as pair:
        noisy = operator.account("noisy")
        slowest, sent, codes = 0.0, 0, 0
        while sent < frames:
            while not [one for one in operator.sessions if one.account is noisy]:
                await trio.sleep(0.2)
            burst = [mutated_frame(dice.choice(valid), dice) for _ in range(dice.randint(1, 40))]
            if dice.random() < 0.05:
                burst.append(dice.choice(noise))
            operator.cause(Raw(account="noisy", hex=b"".join(burst).hex()))
            sent += len(burst)
            if sent >= 200 * codes:
                codes += 1
                began = trio.current_time()
                await pair.until(await pair.send("code", category="otp", ttl_s=300), "delivered", within_s=5)
                slowest = max(slowest, submits(operator)[-1].at - began)
            await trio.sleep(0.01)
        assert slowest <= 0.1
        assert operator.account("sceau").submits == codes
        assert [one.number for one in operator.sessions if one.account is operator.account("sceau")] in ([1], [2])
        assert operator.stats.binds > 2 + codes // 10, "nothing was bad enough to end a session"
        figure(
            "users-ask 28: damaged frames on one bind; a code on the other, accept to wire, at most",
            f"{sent:,}; {slowest * 1e3:.0f} ms",
        )
