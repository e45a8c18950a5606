"""Replies between handset, simulator and engine: long ones over several binds and restarts, and how they are shown."""

from __future__ import annotations

import json

import pytest
import trio

from engine.api.types import as_json
from engine.commands.showing import safe
from engine.store.connections import Database
from tests.rig import EVENTS, PHONE, REPLIES, Rig, World, bind_settings, rig

Autojump = trio.testing.MockClock
NUMBERS = {
    "short": {"address": "38123", "application": "app_test", "accounts": ["sim"]},
    "long": {"address": "+33937000001", "application": "app_other", "accounts": ["sim"]},
}
OTHER = "+33612345699"


async def texts(pair: Rig) -> list[str]:
    return [pair.core.keyring.unseal(row["sealed"], row["id"]).decode() for row in await pair.rows(REPLIES)]


@pytest.mark.parametrize("way", ["udh16", "udh8", "sar", "payload"])
async def test_long_replies_arrive_whole_over_two_binds_however_they_were_cut(
    database: Database, autojump_clock: Autojump, way: str
) -> None:
    """E7, E8, users-ask 29: two senders, emoji, parts spread over both binds of the account."""
    async with rig(database, account={"binds": {"a": bind_settings(), "b": bind_settings()}}, numbers=NUMBERS) as pair:
        await pair.settled(5)
        assert pair.core.pool.bound() == 2
        pair.sim.link(concatenation=way)
        mine = "Ça fait 150 € 😀, d'accord ? " * 9
        theirs = "plain words of another handset, long enough to be cut; " * 6
        pair.sim.handset(PHONE).reply(mine, to="38123")
        pair.sim.handset(OTHER).reply(theirs, to="38123")
        await pair.settled(5)
        assert set(await texts(pair)) == {mine, theirs}
        binds = {row.session for row in pair.sim.pdus if row.header.command_id == 5}
        assert len(binds) == 2


async def test_a_long_reply_that_comes_half_before_and_half_after_a_restart_is_whole(
    database: Database, autojump_clock: Autojump
) -> None:
    """E8: the rows hold the parts."""
    world = World.new()
    async with trio.open_nursery() as nursery:
        await nursery.start(world.sim.run)
        async with rig(database, world=world, numbers=NUMBERS) as pair:
            pair.sim.handset(PHONE).reply("trois parties, " * 25, to="38123")
            await pair.settled(2)
            held = [row.pdu for row in pair.sim.pdus if row.header.command_id == 5]
            assert len(await texts(pair)) == 1
            assert len(held) == 3
            pair.sim.link(concatenation="udh8")
            parts = pair.sim.handset(OTHER).reply("deux parties, " * 15, to="38123")
            await pair.settled(2)
            assert len(parts) == 2
            first, second = (part._replace(source_addr=b"33612345698") for part in parts)
            pair.sim.send("sceau", second)
            await pair.settled(2)
        async with rig(database, world=world, numbers=NUMBERS) as pair:
            pair.sim.send("sceau", first)
            await pair.settled(2)
            assert (await texts(pair))[-1] == "deux parties, " * 15
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(("pause_s", "replies"), [(20, 1), (200, 2)])
async def test_what_comes_again_soon_after_a_restart_is_a_redelivery_and_later_an_answer(
    database: Database, autojump_clock: Autojump, pause_s: float, replies: int
) -> None:
    """D17: our response was written, the process ended; whether the SMSC got it, nobody knows."""
    world = World.new()
    async with trio.open_nursery() as nursery:
        await nursery.start(world.sim.run)
        async with rig(database, world=world, numbers=NUMBERS) as pair:
            [pdu] = pair.sim.handset(PHONE).reply("OUI", to="38123")
            await pair.settled(2)
        await trio.sleep(pause_s)
        async with rig(database, world=world, numbers=NUMBERS) as pair:
            pair.sim.send("sceau", pdu)
            await pair.settled(2)
            assert await texts(pair) == ["OUI"] * replies
            pair.sim.send("sceau", pdu)
            await pair.settled(2)
            assert await texts(pair) == ["OUI"] * (replies + 1)
        nursery.cancel_scope.cancel()


async def test_a_reply_is_told_to_the_application_of_the_number_without_its_text(
    database: Database, autojump_clock: Autojump
) -> None:
    """F6: message.received, masked; a long number and a short code of different owners."""
    async with rig(database, numbers=NUMBERS) as pair:
        pair.sim.handset(PHONE).reply("bonjour", to="38123")
        pair.sim.handset(PHONE).reply("bonjour", to="+33937000001")
        await pair.settled(1)
        told = await pair.rows(EVENTS)
        assert [(event["type"], event["application_id"]) for event in told] == [
            ("message.received", "app_other"), ("message.received", "app_test"),
        ]  # fmt: skip
        assert all("bonjour" not in event["data"] for event in told)
        assert json.loads(told[0]["data"])["from"] == "+336••••••78"


async def test_one_reply_from_all_spellings_of_a_number_is_one_persons(
    database: Database, autojump_clock: Autojump
) -> None:
    """F2: the operator writes the handset's number as it likes."""
    async with rig(database, numbers=NUMBERS, account={"default_region": "FR"}) as pair:
        handset = pair.sim.handset(PHONE)
        for number, (source, form) in enumerate(
            [("33612345678", (1, 1)), ("+33612345678", (1, 1)), ("0033612345678", (0, 0)), ("0612345678", (2, 1))]
        ):
            handset.reply(f"texte {number}", to="38123", source=source, source_form=form)
        await pair.settled(1)
        assert {row["source"] for row in await pair.rows(REPLIES)} == {PHONE}
        assert len({row["source_fp"] for row in await pair.rows(REPLIES)}) == 1


NASTY = "a\x1b[2Jb\u202ec\u2066d\x07\u200fe\ufeff\x85f"


def test_what_a_terminal_or_a_reader_would_obey_is_written_out_wherever_a_reply_is_shown() -> None:
    """E23: the API's JSON carries escapes that decode to the very text; commands show the escapes themselves."""
    body = as_json({"text": NASTY, "from": "+336••••••78", "plain": "é €"})
    shown = str(safe(NASTY))
    for character in NASTY:
        if not character.isalnum() and character != "[":
            assert character not in body
            assert character not in shown
    assert json.loads(body) == {"text": NASTY, "from": "+336••••••78", "plain": "é €"}
    assert "é €" in body
    assert shown.startswith("a\\u001b[2Jb\\u202ec")


async def test_controls_in_a_reply_are_kept_as_they_are_in_the_sealed_text(
    database: Database, autojump_clock: Autojump
) -> None:
    """E23: escaping is for showing; nothing is lost in the store."""
    async with rig(database, numbers=NUMBERS) as pair:
        pair.sim.handset(PHONE).reply(NASTY, to="38123")
        await pair.settled(1)
        assert await texts(pair) == [NASTY]
