"""One message out and its receipt back, on both databases."""

from __future__ import annotations

import pytest
import trio

from engine.store.connections import Database
from engine.store.moves import MESSAGE
from engine.transit.claiming import Wording
from smppsim.behaviour import Link
from tests.rig import EVENTS, PARTS, PHONE, RECEIPTS, bind_settings, rig, simulator
from tests.scenarios.wire import Autojump, binds, submits


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


@pytest.mark.parametrize("concatenation", ["sar", "payload"])
async def test_a_peer_without_optional_parameters_gets_long_texts_in_user_data_headers(
    database: Database, autojump_clock: Autojump, concatenation: str
) -> None:
    """B10: bind_resp names no version, so 3.3: what the account's contract says of its TLVs cannot be."""
    operator = simulator(link=Link(interface_version=None))
    text = ("Une phrase assez longue, répétée. " * 12).strip()
    async with rig(
        database, sim=operator, account={"binds": {"main": bind_settings()}, "concatenation": concatenation}
    ) as pair:
        one = await pair.send(text)
        await pair.until(one, "delivered", within_s=30)
        assert {(seen.pdu.esm_class & 0x40, seen.pdu.tlvs) for seen in submits(operator)} == {(0x40, ())}
        [inbox] = operator.handset(PHONE).messages
        assert inbox.text == text


async def test_what_no_session_can_carry_fails_and_what_was_claimed_with_it_goes(
    database: Database, autojump_clock: Autojump, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B10: a mistake of ours in one message costs neither the link nor the others; nothing of it left."""
    other = "+33612345699"
    async with rig(database, bound=0) as pair:
        ids = [await pair.send(f"Bonjour {number}", to) for number, to in enumerate((PHONE, other, PHONE))]
        composed = Wording.destination
        too_long = b"9" * 40
        monkeypatch.setattr(Wording, "destination", lambda self, to: too_long if to == other else composed(self, to))
        states = [await pair.until(one, *MESSAGE.final, within_s=30) for one in ids]
        assert states == ["delivered", "failed", "delivered"]
        assert (await pair.message(ids[1]))["reason"] == "NotEncodable"
        assert len(submits(pair.sim)) == 2
        assert len(binds(pair.sim)) == 1
