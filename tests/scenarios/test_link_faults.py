"""A link that fails under submits: what was on it is in doubt or answered, nothing is lost, and the bind comes back."""

from __future__ import annotations

import pytest
import trio

from engine.smpp.pdu import (
    AlertNotification,
    DeliverSmResp,
    GenericNack,
    Outbind,
    Status,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    encode,
)
from engine.store.connections import Database
from smppsim import faults
from smppsim.behaviour import Cut
from smppsim.faults import Drop, Raw
from smppsim.pdulog import OUT
from tests.rig import MESSAGES, PARTS, Rig, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, Breaking, binds, breaking, enquiries, seen, submits

QUICK = {"enquire_idle_s": 10, "enquire_answer_s": 5}


def account(window: int = 10, **figures: object) -> dict[str, object]:
    """One account with one bind."""
    return {"binds": {"main": bind_settings(window=window)}, **figures}


async def states(pair: Rig) -> list[str]:
    """The states of all messages, oldest first."""
    return [row["state"] for row in await pair.rows(MESSAGES)]


async def test_a_link_that_goes_silent_under_submits_is_dropped_and_its_messages_are_sent_again(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B1, users-ask 21: no RST; detected within 20 s, in-flight marked, rebound."""
    async with rig(sqlite_database, account=account(timers=QUICK)) as pair:
        pair.sim.cause(Drop(how=Cut.black_hole))
        cut_at = trio.current_time()
        ids = await pair.send_many([f"Bonjour {number}" for number in range(5)])
        while len(binds(pair.sim)) < 2:
            await trio.sleep(0.1)
        assert trio.current_time() - cut_at <= 20
        for one in ids:
            await pair.until(one, "delivered")
        assert [row["doubts"] for row in await pair.rows(MESSAGES)] == [1] * 5


async def test_the_second_submit_of_a_code_is_not_spent_on_the_link_that_swallowed_the_first(
    database: Database, autojump_clock: Autojump
) -> None:
    """B1, B15: a silent link gets nothing more until the peer is heard again; the code goes out on the next session."""
    async with rig(database, account=account(timers=QUICK)) as pair:
        pair.sim.cause(Drop(how=Cut.black_hole))
        one = await pair.send("Le code 123456", category="otp", ttl_s=300)
        await pair.until(one, "in_doubt", within_s=6)
        later = await pair.send("Le code 654321", category="otp", ttl_s=300)
        for code in (one, later):
            await pair.until(code, "delivered", within_s=20)
        assert [(row["attempts"], row["doubts"]) for row in await pair.rows(MESSAGES)] == [(2, 1), (1, 0)]
        assert len(binds(pair.sim)) == 2


async def test_a_link_that_is_only_slow_to_answer_submits_goes_on_at_once_when_the_peer_is_heard(
    database: Database, autojump_clock: Autojump
) -> None:
    """B1, B15: the response is lost, enquire_link is answered: the code is sent again within the second."""
    async with rig(database, account=account(timers=QUICK)) as pair:
        pair.sim.behave(response="never", receipts="never")
        one = await pair.send("Le code 123456", category="otp", ttl_s=300)
        sent_at = trio.current_time()
        await pair.until(one, "in_doubt", within_s=6)
        pair.sim.behave(response="given", receipts="as_asked")
        await pair.until(one, "delivered", within_s=2)
        assert trio.current_time() - sent_at <= 6.5
        assert len(binds(pair.sim)) == 1


async def test_an_idle_link_that_goes_silent_is_found_out_by_enquire_link(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B1, users-ask 21: enquire 10 s, answer due in 5 s, two misses: within 20 s."""
    async with rig(sqlite_database, account=account(timers=QUICK)) as pair:
        pair.sim.cause(Drop(how=Cut.black_hole))
        cut_at = trio.current_time()
        while len(binds(pair.sim)) < 2:
            await trio.sleep(0.1)
        assert 15 <= trio.current_time() - cut_at <= 22


async def test_a_peer_that_answers_submits_and_no_enquire_link_is_kept(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B2: any PDU proves life; the miss is flagged, the link stays."""
    async with rig(sqlite_database, account=account(timers=QUICK)) as pair:
        pair.sim.link(enquire_link="ignored")
        for number in range(10):
            await pair.send(f"Bonjour {number}")
            await trio.sleep(12)
        assert len(enquiries(pair.sim)) > 1
        assert len(binds(pair.sim)) == 1
        assert set(await states(pair)) == {"delivered"}


async def test_an_unbind_of_the_smsc_is_answered_at_once_and_late_responses_still_count(
    database: Database, autojump_clock: Autojump
) -> None:
    """B11, users-ask 24: 20 in flight, unbind_resp within 1 s, rebound, nothing lost and nothing sent twice."""
    async with rig(database, account=account(window=30)) as pair:
        pair.sim.behave(response="hold")
        ids = await pair.send_many([f"Bonjour {number}" for number in range(20)])
        await pair.sim.until(lambda: len(pair.sim.held) == 20)
        pair.sim.cause(faults.Unbind())
        asked_at = trio.current_time()
        # The simulator closes at the answer; an SMSC that keeps its word gives the responses that it owes first.
        pair.sim.release()
        await pair.sim.until(lambda: seen(pair.sim, UnbindResp))
        assert seen(pair.sim, UnbindResp)[0].at - asked_at <= 1
        pair.sim.behave(response="given")
        for one in ids:
            await pair.until(one, "delivered", within_s=1_200)
        assert len(submits(pair.sim)) == 20
        assert len(binds(pair.sim)) == 2
        assert {row["doubts"] for row in await pair.rows(MESSAGES)} == {0}


async def test_a_link_closed_without_a_word_puts_all_ten_outstanding_in_doubt(
    database: Database, autojump_clock: Autojump
) -> None:
    """B12: window of 10 outstanding → 10 in doubt, none lost."""
    async with rig(database, account=account(window=20)) as pair:
        pair.sim.behave(response="never", receipts="never")
        await pair.send_many([f"Bonjour {number}" for number in range(10)], category="marketing")
        await pair.sim.until(lambda: pair.sim.stats.submits == 10)
        pair.sim.cause(Drop())
        await pair.settled(1)
        rows = await pair.rows(MESSAGES)
        assert [row["state"] for row in rows] == ["in_doubt"] * 10
        assert [part["state"] for part in await pair.rows(PARTS)] == ["in_doubt"] * 10
        await pair.settled(60)
        assert len(binds(pair.sim)) == 2
        assert pair.core.pool.status()[0].outstanding == 0


FRAME = 72  # octets of this submit_sm


@pytest.mark.parametrize("octets", [0, 1, 15, 16, 17, FRAME - 1, FRAME, 10_000])
async def test_a_write_cut_at_any_octet_leaves_the_message_in_doubt_or_answered_never_lost(
    sqlite_database: Database, autojump_clock: Autojump, octets: int
) -> None:
    """B13: in doubt from the first octet on; sent again once, as its class says."""
    made: list[Breaking] = []
    async with rig(sqlite_database, dial=breaking(made)) as pair:
        pair.sim.behave(response="hold")
        made[0].cut(octets)
        one = await pair.send("Bonjour", category="otp", ttl_s=300)
        await pair.settled(1)
        pair.sim.behave(response="given")
        pair.sim.release()
        await pair.until(one, "delivered")
        row = await pair.message(one)
        assert row["attempts"] <= 2
        assert {len(one.pdu.short_message) for one in submits(pair.sim)} == {7}
        assert row["doubts"] == (octets < FRAME)
        # The window of the new session is whole again.
        assert pair.core.pool.status()[0].outstanding == 0


async def test_slots_are_whole_again_after_a_link_was_lost_in_the_middle_of_a_write(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B13: what was counted for the dead session does not narrow the next one's window."""
    made: list[Breaking] = []
    async with rig(sqlite_database, dial=breaking(made)) as pair:
        for round_ in range(1, 6):
            made[-1].cut(200)
            await pair.send_many([f"Bonjour {round_} {number}" for number in range(8)], ttl_s=86_400)
            await trio.sleep(400)
            assert len(made) == round_ + 1
            assert pair.core.pool.status()[0].outstanding == 0
        assert set(await states(pair)) == {"delivered"}


async def test_a_response_nobody_asked_for_changes_nothing(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """B14."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(response="hold")
        one = await pair.send()
        await pair.sim.until(lambda: pair.sim.held)
        pair.sim.cause(Raw.of(encode(SubmitSmResp(message_id=b"77"), 4_000) + encode(DeliverSmResp(), 4_001)))
        await pair.settled(1)
        assert await pair.state(one) == "on_wire"
        pair.sim.release()
        await pair.until(one, "delivered")
        assert len(binds(pair.sim)) == 1


async def test_a_response_forty_minutes_late_is_still_recorded(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B15: the message is in doubt meanwhile, and accepted by the late response."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(response="hold", receipts="never")
        one = await pair.send(category="marketing", ttl_s=86_400)
        await pair.until(one, "in_doubt")
        assert trio.current_time() < 60
        await pair.settled(40 * 60)
        pair.sim.release()
        await pair.until(one, "accepted", within_s=5)
        assert await pair.events_of(one) == ["message.in_doubt", "message.accepted"]
        row = await pair.message(one)
        assert (row["attempts"], row["doubts"], row["unanswered"]) == (1, 1, 0)


async def test_a_late_response_after_the_second_submit_shows_the_possible_duplicate(
    database: Database, autojump_clock: Autojump
) -> None:
    """B15: two submits, both accepted: one message, one doubt, two attempts, one final event."""
    async with rig(database) as pair:
        pair.sim.behave(response="hold")
        one = await pair.send(category="otp", ttl_s=300)
        await pair.sim.until(lambda: len(pair.sim.held) == 2)  # the code's own second submit
        late, second = pair.sim.held
        pair.sim.release(second)
        await pair.until(one, "delivered")
        pair.sim.release(late)
        await pair.settled(5)
        row = await pair.message(one)
        assert (row["state"], row["attempts"], row["doubts"]) == ("delivered", 2, 1)
        assert [part["state"] for part in await pair.rows(PARTS)] == ["delivered", "delivered"]
        assert (await pair.events_of(one)).count("message.delivered") == 1


async def test_of_two_responses_the_first_counts_and_receipts_match_either_id(
    database: Database, autojump_clock: Autojump
) -> None:
    """B16: two responses, one change of state; the receipt names the second id."""
    async with rig(database) as pair:
        pair.sim.behave(receipts="never")
        one = await pair.send()
        await pair.until(one, "accepted")
        [submit] = submits(pair.sim)
        pair.sim.cause(Raw.of(encode(SubmitSmResp(message_id=b"4711"), submit.sequence)))
        await pair.settled(1)
        assert await pair.events_of(one) == ["message.accepted"]
        [taken] = pair.sim.smsc.messages
        taken.message_id = b"4711"
        pair.sim.receipt(taken, "delivered")
        await pair.until(one, "delivered", within_s=5)


async def test_a_response_of_another_kind_is_no_acceptance(database: Database, autojump_clock: Autojump) -> None:
    """B17: a deliver_sm_resp for a submit_sm: in doubt, flagged, never accepted."""
    async with rig(database) as pair:
        pair.sim.behave(response="ignored")
        one = await pair.send(category="marketing")
        await pair.sim.until(lambda: pair.sim.stats.submits)
        [submit] = submits(pair.sim)
        pair.sim.cause(Raw.of(encode(DeliverSmResp(), submit.sequence)))
        await pair.until(one, "in_doubt", within_s=5)
        assert (await pair.message(one))["doubts"] == 1


@pytest.mark.parametrize("status", [Status.ESME_RINVCMDID, Status.ESME_RINVCMDLEN, Status.ESME_RUNKNOWNERR])
async def test_a_submit_that_is_nacked_is_tried_once_more_at_most(
    sqlite_database: Database, autojump_clock: Autojump, status: int
) -> None:
    """B19: a definite refusal; the session stays."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(response="ignored")
        one = await pair.send()
        nacked = 0
        with trio.move_on_after(600):
            while True:
                await pair.sim.until(lambda: pair.sim.stats.submits > nacked)  # noqa: B023
                pair.sim.cause(Raw.of(encode(GenericNack(), submits(pair.sim)[nacked].sequence, status)))
                nacked += 1
        assert nacked <= 2
        row = await pair.message(one)
        assert (row["state"], row["status"], row["doubts"]) == ("rejected", status, 0)
        assert len(binds(pair.sim)) == 1


async def test_a_nack_without_a_number_ends_the_session_and_doubts_what_was_on_it(
    database: Database, autojump_clock: Autojump
) -> None:
    """B20: drained and rebound; outstanding → in doubt."""
    async with rig(database) as pair:
        pair.sim.behave(response="never", receipts="never")
        await pair.send_many([f"Bonjour {number}" for number in range(5)], category="marketing")
        await pair.sim.until(lambda: pair.sim.stats.submits == 5)
        pair.sim.cause(Raw.of(encode(GenericNack(), 0, Status.ESME_RINVCMDLEN)))
        await pair.settled(30)
        assert await states(pair) == ["in_doubt"] * 5
        assert len(binds(pair.sim)) == 2


async def test_a_bind_that_may_not_submit_alarms_and_loses_nothing(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B23: 0x04 → requeued without an attempt; sent when the operator has mended it."""
    async with rig(sqlite_database, account=account(window=10)) as pair:
        pair.sim.behave(answers=[{"status": "RINVBNDSTS"}])
        ids = await pair.send_many([f"Bonjour {number}" for number in range(20)])
        await pair.settled(60)
        assert set(await states(pair)) <= {"queued", "on_wire"}
        assert {row["attempts"] for row in await pair.rows(MESSAGES)} <= {0, 1}
        alarms = pair.core.metrics.alarms.labels("sim", "main", "session_refuses_submits")._value.get()
        assert alarms >= 1
        assert len(submits(pair.sim)) < 200
        pair.sim.behave(answers=[{"status": "ROK"}])
        for one in ids:
            await pair.until(one, "delivered")
        assert {row["doubts"] for row in await pair.rows(MESSAGES)} == {0}


async def test_outbind_and_alert_notification_are_not_answered(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B24, B25: off by default; nothing is sent back, the session goes on."""
    async with rig(sqlite_database) as pair:
        before = len(pair.sim.pdus)
        pair.sim.cause(Raw.of(encode(Outbind(system_id=b"x", password=b"y"), 1) + encode(AlertNotification(), 2)))
        await pair.settled(2)
        assert [row for row in pair.sim.pdus[before:] if row.direction != OUT] == []
        one = await pair.send()
        await pair.until(one, "delivered")


async def test_a_peer_that_stops_reading_is_given_up_and_the_other_bind_goes_on(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """A14, users-ask 25: the write has a deadline, the bind is recycled, the sibling's latency is unchanged."""
    stalled: list[Blocking] = []

    def dial(_bind: object, sim: object) -> object:
        async def open_stream() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            stalled.append(Blocking(sim.connect()))  # type: ignore[attr-defined]
            return stalled[-1]

        return open_stream

    two = {"binds": {"a1": bind_settings(), "a2": bind_settings()}}
    async with rig(sqlite_database, dial=dial, account=two) as pair:
        while pair.core.pool.bound() < 2:
            await trio.sleep(0.1)
        stalled[0].blocked = True
        waits = []
        for number in range(100):
            one = await pair.send(f"Bonjour {number}", to=f"+336123456{number:02}", category="otp", ttl_s=300)
            began = trio.current_time()
            if number % 10 == 9:
                await pair.until(one, "delivered")
                waits.append(trio.current_time() - began)
            await trio.sleep(0.5)
        # What had been handed to the stalled bind is in doubt and went out again over the other.
        while set(await states(pair)) != {"delivered"}:
            await trio.sleep(1)
        assert max(waits[4:]) <= 0.2
        assert len(stalled) == 3
        assert sum(row["doubts"] for row in await pair.rows(MESSAGES)) <= 10


class Blocking(Breaking):
    """A stream whose writes never end while it is blocked."""

    blocked = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Write, or wait for ever."""
        if self.blocked:
            await trio.sleep_forever()
        await super().send_all(data)


async def test_a_clean_stop_under_load_leaves_nothing_in_doubt(database: Database, autojump_clock: Autojump) -> None:
    """B26: claims stop, the long messages under way are finished, answers are waited for, then unbind."""
    slow = simulator()
    slow.behave(response_delay=0.4)
    async with rig(database, sim=slow, account=account(window=7, rate=40), grace_s=10) as pair:
        long = "Une phrase assez longue, répétée. " * 10
        await pair.send_many([f"{number} {long}" for number in range(40)], ttl_s=86_400)
        await pair.send_many([f"Bonjour {number}" for number in range(200)], category="marketing")
        await pair.settled(3.3)
    [unbind] = seen(slow, Unbind)
    assert unbind.at - submits(slow)[-1].at <= 5
    store = pair.core.store
    store.open()
    rows = await pair.rows(MESSAGES)
    assert {row["state"] for row in rows} <= {"queued", "accepted", "delivered"}
    assert {row["doubts"] for row in rows} == {0}
    assert sum(row["state"] == "queued" for row in rows) > 100
    await store.close()
