"""STOP: said in every marketing text to France, taken at its address, and looked at when a message leaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio.testing

from engine.cases.deliveries import Asked
from engine.consent import Said
from engine.store.connections import Database
from tests.couriers import ANNA, BORIS, OURS, SENDERS, Depot
from tests.rig import APP, EVENTS, MESSAGES, REPLIES, bind_settings, rig
from tests.scenarios.test_leads import Form
from tests.scenarios.test_signing import Desk, signer

Autojump = trio.testing.MockClock
STOP_AT, CODES = "36180", "38123"
OTHER = "app_other"
MARKETING = {"lane": "bulk", "stop_address": STOP_AT, "application": APP, "accounts": ["sim"]}
TREE: dict[str, Any] = {
    "senders": {
        "main": {"address": CODES, "lane": "otp", "accounts": ["sim"]},
        "news": {"address": "Boutique", **MARKETING},
        "sales": {"address": "Soldes", **MARKETING},
    },
}


async def test_stop_at_its_address_silences_every_sender_that_names_it_and_no_code(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **TREE) as pair:
        pair.sim.handset(ANNA).reply("Stop.", to=STOP_AT)
        await pair.settled(2)
        [reply] = await pair.rows(REPLIES)
        assert (reply["application_id"], reply["choice"]) == (APP, "opt_out_word")
        asked = [(name, ANNA, name) for name in ("news", "sales", "main")]
        silenced = await pair.core.store.read(lambda tx: pair.core.consent.silenced(tx, APP, asked))
        assert silenced == {"news", "sales"}
        verification = await pair.verify(ANNA, sender="main")
        assert verification.code == "created"
        await pair.settled(5)
        assert pair.sim.handset(ANNA).code is not None  # a code that was just asked for leaves all the same
        assert sorted(one.source for one in pair.sim.handset(ANNA).messages) == [
            "38123",
            "Boutique",
        ]  # code, confirmation
        pair.sim.handset(ANNA).reply("START", to=STOP_AT)
        await pair.settled(2)
        assert await pair.core.store.read(lambda tx: pair.core.consent.silenced(tx, APP, asked)) == set()


async def test_the_first_stop_is_confirmed_once_and_two_machines_fall_silent(
    database: Database, autojump_clock: Autojump
) -> None:
    """E21: the confirmation leaves although STOP stands; whatever answers it gets nothing more."""
    async with rig(database, **SENDERS) as pair:
        handset = pair.sim.handset(ANNA)
        for _ in range(10):
            handset.reply("STOP", to=OURS)
            await pair.settled(3)
        assert [one.text for one in handset.messages] == ["Sceau: noted, you will get no more messages from us."]
        [event] = [row for row in await pair.rows(EVENTS) if row["type"] == "consent.revoked"][:1]
        assert json.loads(event["data"])["exact"] is True


async def test_a_stop_for_several_applications_is_confirmed_once(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SHARED) as pair:
        handset = pair.sim.handset(ANNA)
        handset.reply("STOP", to=STOP_AT)
        await pair.settled(3)
        revoked = [row["application_id"] for row in await pair.rows(EVENTS) if row["type"] == "consent.revoked"]
        assert sorted(revoked) == [OTHER, APP]
        assert len(handset.messages) == 1


async def test_stop_and_start_in_turn_are_answered_up_to_the_cap_of_an_hour(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        handset = pair.sim.handset(ANNA)
        for _ in range(10):
            for word in ("STOP", "START"):
                handset.reply(word, to=OURS)
                await pair.settled(3)
        assert len(handset.messages) == 6
        handset.reply("STOP", to=OURS)
        await pair.settled(3)
        assert await pair.core.store.read(lambda tx: pair.core.consent.standing(tx, APP, ANNA)) != []
        await pair.settled(3_600)
        handset.reply("START", to=OURS)
        handset.reply("STOP", to=OURS)
        await pair.settled(3)
        assert len(handset.messages) == 7


async def test_words_that_mean_stop_act_for_marketing_alone_and_are_told_to_be_looked_at(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        handset = pair.sim.handset(ANNA)
        handset.reply("Bonjour, ne m'envoyez plus de pub svp", to=OURS)
        await pair.settled(3)
        [event] = [row for row in await pair.rows(EVENTS) if row["type"] == "consent.revoked"]
        told = json.loads(event["data"])
        assert (told["category"], told["exact"]) == ("marketing", False)
        promo = await pair.send("Promo !", ANNA, category="marketing")
        notice = await pair.send("Votre facture est prête.", ANNA)
        await pair.until(notice, "delivered")
        await pair.settled(5)
        row = await pair.message(promo)
        assert (row["state"], row["reason"]) == ("canceled", "opted_out")
        handset.reply("ARRET", to=OURS)  # now for everything
        await pair.settled(3)
        second = await pair.send("Votre colis arrive.", ANNA)
        await pair.settled(5)
        assert await pair.state(second) == "canceled"


async def test_stop_between_queueing_and_sending_stops_the_message(
    database: Database, autojump_clock: Autojump
) -> None:
    slow = {**SENDERS, "account": {"binds": {"main": bind_settings(window=1)}, "rate": 1}}
    async with rig(database, **slow) as pair:
        ids = await pair.send_many(["Promo !"] * 20, [f"+336123450{n:02}" for n in range(20)], category="marketing")
        last = f"+336123450{19:02}"
        pair.sim.handset(last).reply("STOP", to=OURS)
        await pair.settled(60)
        states = [await pair.state(one) for one in ids]
        assert states == ["delivered"] * 19 + ["canceled"]
        assert [one.text for one in pair.sim.handset(last).messages if "Promo" in one.text] == []


async def test_stop_at_a_shared_address_is_for_whoever_wrote_last(database: Database, autojump_clock: Autojump) -> None:
    shared = {
        "senders": {
            "news": {"address": "Boutique", **MARKETING},
            "theirs": {"address": "Autre", **MARKETING, "application": OTHER},
        }
    }
    async with rig(database, **shared) as pair:
        consent, now = pair.core.consent, pair.clock.now()
        for application, sender, phone in ((APP, "news", ANNA), (OTHER, "theirs", ANNA), (APP, "news", BORIS)):
            await pair.core.store.write(
                lambda tx, application=application, sent=(sender, phone): consent.reached(tx, application, [sent], now)
            )
        for phone in (ANNA, BORIS):
            pair.sim.handset(phone).reply("STOP", to=STOP_AT)
        await pair.settled(3)
        owners = {row["source"]: row["application_id"] for row in await pair.rows(REPLIES)}
        assert owners == {ANNA: OTHER, BORIS: APP}


SHARED: dict[str, Any] = {
    "senders": {
        "main": {"address": CODES, "stop_address": STOP_AT, "application": APP, "accounts": ["sim"]},
        "theirs": {"address": "Autre", **MARKETING, "application": OTHER},
    },
    "numbers": {"short": {"address": CODES, "application": APP, "accounts": ["sim"]}},
}


async def test_stop_that_ends_an_old_lead_is_also_for_whoever_wrote_last(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SHARED) as pair:
        form = Form(pair)
        lead = await form.proven()
        await pair.until(
            await pair.send("Soldes !", ANNA, category="marketing", app=OTHER, sender="theirs"), "delivered"
        )
        pair.sim.handset(ANNA).reply("STOP", to=STOP_AT)
        await pair.settled(3)
        assert (await form.shown(lead))["reason"] == "opted_out"
        [reply] = await pair.rows(REPLIES)
        assert (reply["application_id"], reply["case_id"]) == (APP, lead)
        again = await pair.send("Soldes !", ANNA, category="marketing", app=OTHER, sender="theirs")
        mine = await pair.send("Promo !", ANNA, category="marketing")
        await pair.settled(5)
        assert [(await pair.message(one))["reason"] for one in (again, mine)] == ["opted_out", "opted_out"]


async def test_stop_at_its_address_is_of_marketing_alone(database: Database, autojump_clock: Autojump) -> None:
    """Issue 5: codes, signature and handover are exempt from a marketing STOP."""
    async with rig(database, **SHARED) as pair:
        depot, desk = Depot(pair), Desk(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        pair.sim.handset(ANNA).reply("STOP", to=STOP_AT)
        await pair.settled(3)
        assert depot.texts()[-1] == "Sceau: noted, you will get no more advertising from us."
        for event in [row for row in await pair.rows(EVENTS) if row["type"] == "consent.revoked"]:
            told = json.loads(event["data"])
            assert (told["category"], told["exact"]) == ("marketing", True)
        assert (await depot.call("delegate", delivery, Asked(BORIS, "FR"))).code == "delegated"
        assert depot.texts()[-1].endswith("finissant par 72. Pas vous ? Répondez NON.")
        await desk.create(signer(ANNA))
        notice = await pair.send("Votre facture est prête.", ANNA)
        promo = await pair.send("Promo !", ANNA, category="marketing")
        await pair.settled(5)
        assert [await pair.state(one) for one in (notice, promo)] == ["delivered", "canceled"]
        assert await desk.states() == ["notified"]
        assert {row["state"] for row in await pair.rows(MESSAGES) if row["id"] != promo} == {"delivered"}


@pytest.mark.parametrize(("word", "is_told"), [("STOP", True), ("STOP ALL", False)])
async def test_a_recipient_who_said_stop_still_hears_of_a_delegate_unless_it_was_stop_all(
    database: Database, autojump_clock: Autojump, word: str, is_told: bool
) -> None:
    async with rig(database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        await depot.says(word)
        notice = await pair.send("Votre facture est prête.", ANNA)
        assert (await depot.call("delegate", delivery, Asked(BORIS, "FR"))).code == "delegated"
        await pair.settled(5)
        assert depot.texts()[-1].endswith("Répondez NON.") is is_told
        assert await pair.state(notice) == "canceled"


async def test_marketing_that_never_left_was_not_the_last(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SHARED) as pair:
        now = pair.clock.now()
        said = Said(OTHER, ANNA, "theirs", "He wants no more of it.", category="marketing")
        await pair.core.store.write(lambda tx: pair.core.consent.opt_out(tx, said, now))
        await pair.until(await pair.send("Promo !", ANNA, category="marketing"), "delivered")
        late = await pair.send("Soldes !", ANNA, category="marketing", app=OTHER, sender="theirs")
        await pair.until(late, "canceled")
        pair.sim.handset(ANNA).reply("STOP", to=STOP_AT)
        await pair.settled(3)
        [reply] = await pair.rows(REPLIES)
        assert reply["application_id"] == APP


@pytest.mark.parametrize("strict", [(), (APP,)])
async def test_stop_all_leaves_codes_alone_unless_the_application_says_so(
    sqlite_database: Database, autojump_clock: Autojump, strict: tuple[str, ...]
) -> None:
    async with rig(sqlite_database, **SENDERS, consent={"stop_all_stops_codes": strict}) as pair:
        handset = pair.sim.handset(ANNA)
        handset.reply("STOP ALL", to=OURS)
        await pair.settled(3)
        await pair.verify(ANNA)
        await pair.settled(5)
        assert (handset.code is None) is bool(strict)
