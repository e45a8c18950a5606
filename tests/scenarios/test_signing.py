"""Signing over the air: a code typed on a page or answered by SMS, between engine, simulator and handsets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing

from engine.cases.outcomes import Outcome
from engine.cases.signatures import AskedDocument, AskedSigner, CreateRequest, Statement, changed_document
from engine.clock import DAY
from engine.store.connections import Database
from engine.store.transaction import Tx
from tests.rig import APP, EVENTS, MESSAGES, REPLIES, Rig, bind_settings, rig

Autojump = trio.testing.MockClock
ANNA, BORIS = "+33612345671", "+33612345672"
OURS = "38123"
SHA = hashlib.sha256(b"%PDF the contract").hexdigest()
SETTINGS: dict[str, Any] = {
    "numbers": {"short": {"address": OURS, "application": APP, "accounts": ["sim"]}},
    "senders": {"main": {"address": OURS, "accounts": ["sim"]}},
}


def signer(phone: str, mode: str = "reply", **more: Any) -> AskedSigner:
    return AskedSigner(phone, "FR", name="Anna Martin", mode=mode, language="fr", **more)


class Desk:
    """What a signature platform does, on a rig."""

    def __init__(self, pair: Rig) -> None:
        self.pair = pair
        self.request = ""

    async def call(self, run: Callable[[Tx, int], Outcome]) -> Outcome:
        core = self.pair.core
        now = self.pair.clock.now()
        outcome = await core.store.write(lambda tx: run(tx, now))
        core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        return outcome

    async def create(self, *signers: AskedSigner, documents: int = 1, **more: Any) -> Outcome:
        asked = [AskedDocument(f"Bail {number + 1}", SHA) for number in range(documents)]
        given = {"expires_at": self.pair.clock.now() + DAY, **more}
        signatures = self.pair.core.signatures
        outcome = await self.call(
            lambda tx, now: signatures.create(tx, APP, CreateRequest(asked, signers, **given), "key_1", now)
        )
        self.request = outcome.body.get("id", "")
        return outcome

    async def sign(self, signing: str, code: str, sha256: str = SHA) -> Outcome:
        signatures = self.pair.core.signatures
        return await self.call(
            lambda tx, now: signatures.sign(
                tx, APP, self.request, signing, code, Statement(sha256, now, "192.0.2.1", "Browser"), "key_1", now
            )
        )

    async def send(self, signing: str) -> Outcome:
        signatures = self.pair.core.signatures
        return await self.call(lambda tx, now: signatures.send(tx, APP, self.request, signing, "key_1", now))

    async def view(self) -> dict[str, Any]:
        signatures = self.pair.core.signatures
        found = await self.pair.core.store.read(lambda tx: signatures.read(tx, APP, self.request))
        assert found is not None
        return found

    async def states(self) -> list[str]:
        return [one["state"] for one in (await self.view())["signings"]]

    async def events(self) -> list[str]:
        return [kind.partition(".")[2] for kind in await self.pair.events_of(self.request)]

    def texts(self, phone: str) -> list[str]:
        return [message.text for message in self.pair.sim.handset(phone).messages]

    def code(self, phone: str) -> str:
        found = [re.search(r"\b\d{6}\b", text) for text in self.texts(phone)]
        return [match[0] for match in found if match is not None][-1]

    async def says(self, phone: str, text: str, seconds: float = 3.0) -> None:
        self.pair.sim.handset(phone).reply(text, to=OURS)
        await self.pair.settled(seconds)


@pytest.mark.parametrize("answer", ["{}", "OUI {}", "je signe {}.", " ok: {} "])
async def test_a_signer_signs_by_answering_the_sms_and_everybody_is_told(
    database: Database, autojump_clock: Autojump, answer: str
) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), signer(BORIS, "code"))
        await pair.settled(3)
        await desk.says(ANNA, "oui")
        code = desk.code(ANNA)
        await desk.says(ANNA, answer.format(f"{code[:3]} {code[3:]}"))
        assert await desk.states() == ["signed", "notified"]
        second = (await desk.view())["signings"][1]["id"]
        await desk.send(second)
        await pair.settled(3)
        assert (await desk.sign(second, desk.code(BORIS))).code == "signed"
        await pair.settled(3)
        shown = await desk.view()
        assert shown["state"] == "completed"
        assert [one["assurance"] for one in shown["signings"]] == ["sms_reply", "otp_web"]
        assert "tous ont signé" in desk.texts(ANNA)[-1]
        assert "tous ont signé" in desk.texts(BORIS)[-1]
        assert await desk.events() == [
            "created", "reply_received", "otp_sent", "reply_received", "signed", "otp_sent", "signed", "completed",
        ]  # fmt: skip


async def test_a_right_code_from_another_number_never_signs(database: Database, autojump_clock: Autojump) -> None:
    """2.7, complaint 10: whose number it is decides, and the reply is kept."""
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        await desk.says(BORIS, desk.code(ANNA))
        assert await desk.states() == ["otp_sent"]
        assert [row["state"] for row in await pair.rows(REPLIES)] == ["unmatched"]
        await desk.says(ANNA, desk.code(ANNA))
        assert await desk.states() == ["signed"]


async def test_the_code_chooses_the_document(database: Database, autojump_clock: Autojump) -> None:
    """F6: one number, several conversations: the code decides."""
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), documents=3, auto_send=True)
        await pair.settled(5)
        codes = [match[0] for text in desk.texts(ANNA) if (match := re.search(r"\b\d{6}\b", text))]
        assert len(set(codes)) == 3
        second = next(text for text in desk.texts(ANNA) if "Bail 2" in text)
        await desk.says(ANNA, re.search(r"\b\d{6}\b", second)[0])  # type: ignore[index]
        assert await desk.states() == ["otp_sent", "signed", "otp_sent"]


async def test_two_numbers_or_a_refusal_beside_a_code_sign_nothing_and_cost_nothing(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        code = desk.code(ANNA)
        await desk.says(ANNA, f"{code} ou 000000")
        await desk.says(ANNA, f"non, pas {code}")
        shown = (await desk.view())["signings"][0]
        assert (shown["state"], shown["attempts_remaining"]) == ("otp_sent", 5)
        assert (await desk.events())[-2:] == ["reply_ambiguous", "reply_ambiguous"]
        assert "Rien n'est signé" in desk.texts(ANNA)[-1]


async def test_five_wrong_answers_block_the_signing_until_a_reset(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        code = desk.code(ANNA)
        wrong = f"{(int(code) + 1) % 1_000_000:06}"
        for _ in range(5):
            await desk.says(ANNA, wrong)
        assert await desk.states() == ["blocked"]
        await desk.says(ANNA, code)
        assert await desk.states() == ["blocked"]
        signing = (await desk.view())["signings"][0]["id"]
        signatures = pair.core.signatures
        reset = await desk.call(
            lambda tx, now: signatures.reset(tx, APP, desk.request, signing, "asked by phone", "key_1", now)
        )
        assert reset.code == "reset"
        await desk.send(signing)
        await pair.settled(3)
        assert desk.code(ANNA) != code
        await desk.says(ANNA, desk.code(ANNA))
        assert await desk.states() == ["signed"]


async def test_a_right_code_after_its_life_brings_a_new_one(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(700)
        old = desk.code(ANNA)
        await desk.says(ANNA, old)
        assert await desk.states() == ["otp_sent"]
        assert desk.code(ANNA) != old
        await desk.says(ANNA, desk.code(ANNA))
        assert await desk.states() == ["signed"]


async def test_stop_signs_nothing_silences_reminders_and_leaves_the_signing_open(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), reminders_s=(120,))
        await pair.settled(3)
        await desk.says(ANNA, "STOP")
        assert (await desk.events())[-1] == "opted_out"
        told = len(desk.texts(ANNA))
        await pair.settled(300)
        assert len(desk.texts(ANNA)) == told
        signing = (await desk.view())["signings"][0]["id"]
        assert (await desk.send(signing)).code == "sent"  # a code that was asked for is no reminder
        await pair.settled(3)
        await desk.says(ANNA, desk.code(ANNA))
        assert await desk.states() == ["signed"]


async def test_stop_between_the_queueing_and_the_sending_of_a_reminder_stops_it(
    database: Database, autojump_clock: Autojump
) -> None:
    """The reminder is due while an account of one PDU a second has a minute's worth before it; STOP comes meanwhile."""
    async with rig(database, **SETTINGS, account={"rate": 1, "binds": {"main": bind_settings()}}) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), signer(BORIS), reminders_s=(120,))
        await pair.settled(110)
        await pair.send_many(["Bonjour"] * 60, "+33612345699")
        await pair.settled(10.5)
        waiting = {row["recipient"]: row["id"] for row in await pair.rows(MESSAGES) if row["state"] == "queued"}
        assert {ANNA, BORIS} <= waiting.keys()
        told = len(desk.texts(ANNA))
        await desk.says(ANNA, "STOP", 120)
        assert len(desk.texts(ANNA)) == told + 1  # the confirmation of the STOP, and no reminder
        assert (await pair.message(waiting[ANNA]))["reason"] == "opted_out"
        assert (await pair.message(waiting[BORIS]))["state"] == "delivered"  # who did not say STOP is reminded
        assert await desk.states() == ["notified", "notified"]


async def test_a_signer_of_the_page_never_signs_by_sms(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA, "code"), auto_send=True)
        await pair.settled(3)
        await desk.says(ANNA, desk.code(ANNA))
        shown = (await desk.view())["signings"][0]
        assert (shown["state"], shown["attempts_remaining"]) == ("otp_sent", 5)
        assert "ne se signe pas par SMS" in desk.texts(ANNA)[-1]


async def test_a_second_answer_gets_one_courteous_reply_and_no_second_signature(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), signer(BORIS), auto_send=True)
        await pair.settled(3)
        code = desk.code(ANNA)
        await desk.says(ANNA, code)
        told = len(desk.texts(ANNA))
        await desk.says(ANNA, code)
        await desk.says(ANNA, f"oui {code}")
        assert len(desk.texts(ANNA)) == told + 1
        assert "déjà signé" in desk.texts(ANNA)[-1]
        assert (await desk.events()).count("signed") == 1


async def test_a_bare_refusal_declines_only_what_it_can_be_meant_for(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SETTINGS) as pair:
        two, one = Desk(pair), Desk(pair)
        await two.create(signer(BORIS), documents=2)
        await one.create(signer(ANNA))
        await pair.settled(3)
        await two.says(BORIS, "Non")
        await one.says(ANNA, "je refuse")
        assert await two.states() == ["notified", "notified"]
        assert await one.states() == ["declined"]
        assert (await one.view())["state"] == "declined"


async def test_a_changed_document_voids_its_pending_code(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        shown = (await desk.create(signer(ANNA), auto_send=True)).body
        await pair.settled(3)
        old = desk.code(ANNA)
        other = hashlib.sha256(b"%PDF another contract").hexdigest()
        change = changed_document(shown["documents"][0]["id"], other)
        signatures = pair.core.signatures
        await desk.call(lambda tx, now: signatures.change_document(tx, APP, desk.request, change, "key_1", now))
        await desk.says(ANNA, old)
        assert "signed" not in await desk.states()
        signing = shown["signings"][0]["id"]
        await pair.settled(60)
        await desk.send(signing)
        await pair.settled(3)
        assert (await desk.sign(signing, desk.code(ANNA))).code == "document_mismatch"
        assert (await desk.sign(signing, desk.code(ANNA), other)).code == "signed"


async def test_no_code_and_no_number_is_in_an_event(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        code = desk.code(ANNA)
        await desk.says(ANNA, code)
        told = json.dumps(await pair.rows(EVENTS))
        assert code not in told
        assert ANNA not in told
