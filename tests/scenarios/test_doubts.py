"""Submits without an answer: what each class makes of them, and that every possible duplicate is counted."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from engine.smpp.pdu import Status
from engine.store.connections import Database
from smppsim.outcomes import Outcome
from tests.rig import MESSAGES, PHONE, accounts, bind_settings, check_invariants, rig, simulator
from tests.scenarios.wire import Autojump, submits

# category → how long a receipt may still resolve it, and whether it goes out once more
POLICIES = {
    "otp": (0, True),
    "signature": (0, True),
    "handover": (45, True),
    "transactional": (180, True),
    "marketing": (0, False),
}


@pytest.mark.parametrize("category", POLICIES)
async def test_the_class_of_a_message_decides_what_becomes_of_a_doubt(
    database: Database, autojump_clock: Autojump, category: str
) -> None:
    """B12, B15, users-ask 15: resent once with the same text through another account, or left visible."""
    hold_s, again = POLICIES[category]
    deadline_s = 5 if category in {"otp", "signature", "handover"} else 30
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare")) as pair:
        operator.behave("sceau", response="never", receipts="never")
        one = await pair.send("Le code 123456", category=category, ttl_s=3_000)
        await pair.until(one, "in_doubt")
        assert trio.current_time() == pytest.approx(deadline_s, abs=1)
        if not again:
            await pair.settled(300)
            assert await pair.state(one) == "in_doubt"
            assert len(submits(operator)) == 1
            return
        await pair.until(one, "delivered")
        assert trio.current_time() == pytest.approx(deadline_s + hold_s, abs=1.5)
        row = await pair.message(one)
        assert (row["attempts"], row["doubts"], row["account"]) == (2, 1, "spare")
        assert Counter(operator.deliveries()) == {(PHONE, "Le code 123456"): 2}


@pytest.mark.parametrize(("life_s", "sent"), [(60, 1), (64, 1), (75, 2)])
async def test_a_code_with_less_than_a_minute_left_is_not_sent_again(
    sqlite_database: Database, autojump_clock: Autojump, life_s: int, sent: int
) -> None:
    """B15, C4: a late code is useless; validity_period is the life that is left."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(response="never", receipts="never")
        await pair.send("Le code 123456", category="otp", ttl_s=life_s)
        await pair.settled(100)
        assert len(submits(pair.sim)) == sent
        if sent == 2:
            seconds = [int(seen.pdu.validity_period[8:12]) for seen in submits(pair.sim)]
            assert seconds in ([115, 109], [114, 109])  # mmss: 1 min 15 s, and a good 5 s later


async def test_a_second_silence_is_the_last_and_stays_visible(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B15: two submits at most, whatever happens; in doubt until its life and the grace end."""
    async with rig(sqlite_database) as pair:
        pair.sim.behave(response="never", receipts="never")
        one = await pair.send("Le code 123456", category="otp", ttl_s=300)
        await pair.settled(290)
        row = await pair.message(one)
        assert (row["state"], row["attempts"], row["doubts"]) == ("in_doubt", 2, 2)
        await pair.settled(3_600)
        assert await pair.state(one) == "in_doubt"
        await pair.until(one, "unknown", within_s=60)
        assert len(submits(pair.sim)) == 2


async def test_a_verifications_code_is_the_same_in_both_submits(database: Database, autojump_clock: Autojump) -> None:
    """B27, users-ask 15: same code, other account; the case is told once and approved by it."""
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare")) as pair:
        operator.behave("sceau", response="never", receipts="never")
        started = await pair.verify()
        await operator.handset(PHONE).wait(2)
        await pair.settled(1)
        first, second = operator.handset(PHONE).messages
        assert first.text == second.text
        assert {first.account, second.account} == {"sceau", "spare"}
        code = operator.handset(PHONE).code
        assert code is not None
        assert (await pair.check(started.body["id"], code)).code == "approved"
        [row] = await pair.rows(MESSAGES)
        assert (row["attempts"], row["doubts"]) == (2, 1)
        assert (await pair.events_of(started.body["id"])).count("verification.sent") == 1


async def test_a_refusal_of_the_second_submit_leaves_the_first_in_doubt(
    database: Database, autojump_clock: Autojump
) -> None:
    """B15, B27: sent without an answer is a maybe, whatever becomes of the second: the code stays good."""
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare")) as pair:
        operator.behave("sceau", response="never", receipts="never")
        operator.behave("spare", answers=[{"status": "RINVMSGLEN"}])
        started = await pair.verify()
        await pair.settled(20)
        [row] = await pair.rows(MESSAGES)
        assert (row["state"], row["attempts"], row["doubts"], row["due_at"]) == ("in_doubt", 2, 1, None)
        assert len(submits(operator)) == 2
        code = operator.handset(PHONE).code
        assert code is not None
        assert (await pair.check(started.body["id"], code)).code == "approved"
        await pair.until(row["id"], "unknown")
        assert len(submits(operator)) == 2
        await check_invariants(pair, stopped=False)


@pytest.mark.parametrize("status", [Status.ESME_RTHROTTLED, Status.ESME_RSYSERR, Status.ESME_RINVDSTADR])
async def test_a_refusal_of_the_second_submit_is_no_news_once_the_first_was_delivered(
    database: Database, autojump_clock: Autojump, status: int
) -> None:
    """B15, D10: the late answer and the receipt of the first came while the second was on the wire."""
    operator = simulator(others=("spare",))
    async with rig(database, sim=operator, bound=2, **accounts("sceau", "spare")) as pair:
        operator.behave(response="hold")
        one = await pair.send("Le code 123456", category="otp", ttl_s=600)
        await operator.until(lambda: len(operator.held) == 2)
        first, second = operator.held
        operator.release(first)
        await pair.settled(2)
        assert await pair.state(one) == "on_wire"
        operator.release(second, status=status)
        await pair.settled(20)
        row = await pair.message(one)
        assert (row["state"], row["reason"], row["doubts"]) == ("delivered", None, 1)
        assert (await pair.events_of(one))[-2:] == ["message.accepted", "message.delivered"]
        assert len(submits(operator)) == 2
        await check_invariants(pair, stopped=False)


async def test_a_receipt_within_the_hold_spares_the_second_submit(database: Database, autojump_clock: Autojump) -> None:
    """B27, D19: handover: held for 45 s; the receipt of an unknown id about this number resolves it."""
    async with rig(database) as pair:
        pair.sim.behave(response="never", receipt_delay=20)
        one = await pair.send("Le code 123456", category="handover", ttl_s=3_000)
        await pair.until(one, "delivered", within_s=40)
        row = await pair.message(one)
        assert (row["attempts"], row["doubts"]) == (1, 1)
        assert len(submits(pair.sim)) == 1


async def test_of_a_long_message_only_the_parts_in_doubt_go_again(database: Database, autojump_clock: Autojump) -> None:
    """B12, E19: same account, sender and reference; the handset joins them to one message."""
    text = ("Une phrase assez longue, répétée. " * 12).strip()
    async with rig(database) as pair:
        pair.sim.behave(response="hold", receipts="never")
        one = await pair.send(text, category="otp", ttl_s=600)
        await pair.sim.until(lambda: len(pair.sim.held) == 3)
        pair.sim.release(pair.sim.held[0], pair.sim.held[2])
        pair.sim.behave(response="given", receipts="as_asked")
        await pair.sim.until(lambda: len(submits(pair.sim)) == 4)
        again = submits(pair.sim)[3].pdu
        assert again.short_message == submits(pair.sim)[1].pdu.short_message
        await pair.settled(2)
        row = await pair.message(one)
        assert (row["state"], row["attempts"], row["doubts"], row["unanswered"]) == ("accepted", 2, 1, 0)
        [inbox] = pair.sim.handset(PHONE).messages
        assert (inbox.text, inbox.duplicates) == (text, 0)


async def test_a_part_that_was_throttled_and_another_in_doubt_both_go_again(
    database: Database, autojump_clock: Autojump
) -> None:
    """C1, B12: neither is forgotten for the other."""
    text = ("Une phrase assez longue, répétée. " * 12).strip()
    async with rig(database) as pair:
        pair.sim.behave(response="hold")
        one = await pair.send(text, category="otp", ttl_s=600)
        await pair.sim.until(lambda: len(pair.sim.held) == 3)
        throttled, silent, fine = pair.sim.held
        pair.sim.release(throttled, status=0x58)
        pair.sim.release(fine)
        pair.sim.behave(response="given")
        await pair.until(one, "delivered", within_s=30)
        [inbox] = pair.sim.handset(PHONE).messages
        assert inbox.text == text
        # The answer that was swallowed comes after all: nothing changes.
        pair.sim.release(silent)
        await pair.settled(5)
        assert await pair.state(one) == "delivered"


@pytest.mark.parametrize("late_after_s", [10, 20])
async def test_a_late_answer_leaves_the_throttled_part_to_go_again(
    sqlite_database: Database, autojump_clock: Autojump, late_after_s: int
) -> None:
    """B15, C1: the doubt is over, the throttled part is not."""
    text = ("Une phrase assez longue, répétée. " * 12).strip()
    classes = {"otp": {"hold_s": 15}}
    async with rig(sqlite_database, classes=classes) as pair:
        pair.sim.behave(response="hold")
        one = await pair.send(text, category="otp", ttl_s=600)
        await pair.sim.until(lambda: len(pair.sim.held) == 3)
        throttled, late, fine = pair.sim.held
        pair.sim.release(throttled, status=0x58)
        pair.sim.release(fine)
        pair.sim.behave(response="given")
        await pair.settled(late_after_s)
        if late in pair.sim.held:
            pair.sim.release(late)
        await pair.until(one, "delivered", within_s=30)
        [inbox] = pair.sim.handset(PHONE).messages
        assert inbox.text == text


async def test_a_twentieth_of_all_responses_swallowed_ends_visibly_for_every_message(
    database: Database, autojump_clock: Autojump
) -> None:
    """users-ask 15: resolved by receipt, by the one resend, or left in doubt; nothing lost, duplicates counted."""
    operator = simulator(seed=5)
    operator.behave(responses_lost=0.05, response_delay=0.02, receipt_delay=2, receipts_lost=0.1)
    async with rig(database, sim=operator, seed=5, account={"binds": {"main": bind_settings(window=50)}}) as pair:
        for index, category in enumerate(POLICIES):
            numbers = [f"+336123{index}{number:04}" for number in range(80)]
            await pair.send_many([f"{category} {number}" for number in range(80)], numbers, category=category)
        await pair.settled(600)
        rows = await pair.rows(MESSAGES)
        states = Counter(row["state"] for row in rows)
        assert operator.stats.unanswered >= 10
        assert states["delivered"] >= 340
        assert set(states) <= {"delivered", "accepted", "in_doubt"}
        assert {row["attempts"] for row in rows if row["category"] == "marketing"} == {1}
        reached = {number for number, _ in operator.deliveries()}
        assert len(reached) == 400
        duplicates = sum(operator.deliveries().values()) - 400
        assert duplicates <= sum(row["doubts"] for row in rows)


async def test_settings_change_what_a_class_makes_of_a_doubt(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """B15: `[classes.transactional] resends = false`, `[classes.otp] hold_s = 20`."""
    classes = {"transactional": {"resends": False}, "otp": {"hold_s": 20, "least_life_s": 10}}
    async with rig(sqlite_database, classes=classes) as pair:
        pair.sim.behave(response="never", receipts="never")
        notice = await pair.send("Bonjour", ttl_s=3_000)
        code = await pair.send("Le code 123456", category="otp", ttl_s=60)
        await pair.settled(24)
        assert (await pair.message(code))["attempts"] == 1
        await pair.settled(3)
        assert (await pair.message(code))["attempts"] == 2
        await pair.settled(600)
        assert (await pair.message(notice))["attempts"] == 1
        assert await pair.state(notice) == "in_doubt"


async def test_an_operator_that_lies_about_delivery_is_still_told_once(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """D12: the invariants do not depend on an honest operator."""
    async with rig(sqlite_database, honest=False) as pair:
        pair.sim.behave(outcomes=[Outcome(state="delivered", reaches_handset=False)])
        one = await pair.send()
        await pair.until(one, "delivered")
        assert pair.sim.deliveries() == {}
