"""One message out and its receipt back, on both databases."""

from __future__ import annotations

import trio

from engine.store.connections import Database
from tests.rig import EVENTS, PARTS, PHONE, RECEIPTS, rig


async def test_a_notice_travels_and_comes_back_delivered(
    database: Database, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(database) as pair:
        message_id = await pair.send("Bonjour à tous")
        assert await pair.until(message_id, "delivered") == "delivered"
        [inbox] = await pair.sim.handset(PHONE).wait()
        assert inbox.text == "Bonjour à tous"
        assert await pair.events_of(message_id) == ["message.accepted", "message.delivered"]
        [part] = await pair.rows(PARTS)
        assert (part["state"], part["attempt"], part["status"]) == ("delivered", 1, 0)
        [receipt] = await pair.rows(RECEIPTS)
        assert receipt["effect"] == "applied"
        row = await pair.message(message_id)
        assert (row["attempts"], row["doubts"], row["open_parts"], row["simulated"]) == (1, 0, 0, 1)
        assert [event["position"] for event in await pair.rows(EVENTS)] == [1, 2]


async def test_a_code_is_sent_typed_back_and_approved(
    database: Database, autojump_clock: trio.testing.MockClock
) -> None:
    async with rig(database) as pair:
        started = await pair.verify()
        assert started.code == "created"
        handset = pair.sim.handset(PHONE)
        await handset.wait()
        await pair.settled(2)
        code = handset.code
        assert code is not None
        case_id = started.body["id"]
        wrong = await pair.check(case_id, "000000" if code != "000000" else "111111")
        assert (wrong.code, wrong.body["attempts_remaining"]) == ("code_mismatch", 4)
        right = await pair.check(case_id, f" {code[:3]} {code[3:]} ")
        assert (right.code, right.body["state"]) == ("approved", "approved")
        assert (await pair.check(case_id, code)).code == "already_approved"
        told = await pair.events_of(case_id)
        assert told == [
            "verification.created", "verification.sent", "verification.delivered",
            "verification.check_failed", "verification.approved",
        ]  # fmt: skip


async def test_a_long_message_arrives_whole(database: Database, autojump_clock: trio.testing.MockClock) -> None:
    text = "Une phrase assez longue, répétée. " * 12
    async with rig(database) as pair:
        message_id = await pair.send(text.strip())
        await pair.until(message_id, "delivered")
        [inbox] = await pair.sim.handset(PHONE).wait()
        assert inbox.text == text.strip()
        assert (await pair.message(message_id))["parts"] == 3
