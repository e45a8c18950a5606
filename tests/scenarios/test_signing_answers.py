"""What answers by SMS must not do to signatures: sign against a STOP, leak a code, reach the wrong request."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import pytest

from engine.cases.signatures import ChangedNumber
from engine.evidence.bundle import collect
from engine.store.connections import Database
from tests.rig import APP, REPLIES, Rig, rig
from tests.scenarios.test_signing import ANNA, BORIS, SETTINGS, Autojump, Desk, signer


@pytest.mark.parametrize("text", ["STOP {}", "{} stop", "Arrêt {}.", "STOP ALL {}"])
async def test_stop_beside_a_code_is_stop_and_signs_nothing(
    sqlite_database: Database, autojump_clock: Autojump, text: str
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        await desk.says(ANNA, text.format(desk.code(ANNA)))
        assert await desk.states() == ["otp_sent"]
        assert (await desk.events())[-1] == "opted_out"
        assert [row["choice"] for row in await pair.rows(REPLIES)] == ["opt_out_word"]


@pytest.mark.parametrize(
    "text", ["je veux stop {}", "{} refuso", "rifiutato {}", "refused {}", "ich lehne {} ab", "nope {}"]
)
async def test_a_refusal_in_any_form_beside_a_code_is_ambiguous(
    sqlite_database: Database, autojump_clock: Autojump, text: str
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        await desk.says(ANNA, text.format(desk.code(ANNA)))
        assert await desk.states() == ["otp_sent"]
        assert (await desk.events())[-1] == "reply_ambiguous"


async def test_another_signers_pending_code_opens_only_when_everything_is_closed(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), signer(BORIS), auto_send=True)
        await pair.settled(3)
        code = desk.code(ANNA)
        await desk.says(BORIS, code)

        async def opened() -> str:
            gathered = await pair.core.store.read(lambda tx: collect(tx, APP, desk.request, pair.core.keyring))
            assert gathered is not None
            return json.dumps(gathered.as_json())

        assert code not in await opened()
        await desk.says(ANNA, code)
        await desk.says(BORIS, desk.code(BORIS))
        assert await desk.states() == ["signed", "signed"]
        assert code in await opened()


async def bodies(pair: Rig, desk: Desk, kind: str) -> list[dict[str, Any]]:
    """The bodies of a request's entries of one kind."""
    gathered = await pair.core.store.read(lambda tx: collect(tx, APP, desk.request, pair.core.keyring))
    assert gathered is not None
    return [entry["body"] for entry in map(json.loads, gathered.entries) if entry["kind"] == kind]


async def test_a_check_that_compared_no_code_is_in_the_evidence_too(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA, "code"), auto_send=True)
        await pair.settled(3)
        signing = (await desk.view())["signings"][0]["id"]
        other = hashlib.sha256(b"another document").hexdigest()
        assert (await desk.sign(signing, desk.code(ANNA), other)).code == "document_mismatch"
        await pair.settled(700)
        assert (await desk.sign(signing, desk.code(ANNA))).code == "code_expired"
        assert [one["result"] for one in await bodies(pair, desk, "check.done")] == [
            "document_mismatch",
            "code_expired",
        ]


async def test_evidence_has_the_fields_of_each_submit_sm(sqlite_database: Database, autojump_clock: Autojump) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        parts = (await bodies(pair, desk, "message.submitted"))[0]["parts"]
        assert parts
        for fields in (part["submit_sm"] for part in parts):
            assert (fields["source_addr"], fields["source_addr_ton"], fields["source_addr_npi"]) == ("38123", 3, 0)
            assert (fields["dest_addr_ton"], fields["data_coding"], fields["registered_delivery"]) == (1, 0, 1)
            assert fields["validity_period"] == "000000001000000R"  # ten minutes


async def test_a_bare_yes_answers_the_request_that_asked_last_and_that_may_be_answered(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """F6: one number, several conversations: where there is no code, the latest question decides."""
    async with rig(sqlite_database, **SETTINGS) as pair:
        asks, not_her_turn, on_a_page = Desk(pair), Desk(pair), Desk(pair)
        await asks.create(signer(ANNA))
        await pair.settled(3)
        await not_her_turn.create(signer(BORIS), signer(ANNA), sequential=True)
        await on_a_page.create(signer(ANNA, "code"))
        await pair.settled(3)
        await asks.says(ANNA, "oui")
        assert await asks.states() == ["otp_sent"]


async def test_a_reminder_makes_an_older_request_the_one_that_asked_last(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        older, newer = Desk(pair), Desk(pair)
        await older.create(signer(ANNA), reminders_s=(60,))
        await pair.settled(3)
        await newer.create(signer(ANNA))
        await pair.settled(90)
        await older.says(ANNA, "oui")
        assert await older.states() == ["otp_sent"]
        assert await newer.states() == ["notified"]


async def test_a_wrong_code_of_somebody_who_signs_on_pages_is_answered_once(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA, "code"), documents=4, auto_send=True)
        await pair.settled(5)
        before = desk.texts(ANNA)
        codes = {found[0] for text in before if (found := re.search(r"\b\d{6}\b", text))}
        await desk.says(ANNA, next(f"{number:06}" for number in range(10) if f"{number:06}" not in codes), 10)
        assert len(desk.texts(ANNA)) == len(before) + 1
        assert (await desk.events()).count("reply_received") == 1


async def test_a_blocked_signer_is_told_so_and_is_still_told_when_it_is_too_late(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        code = desk.code(ANNA)
        for _ in range(5):
            await desk.says(ANNA, f"{(int(code) + 1) % 1_000_000:06}")
        assert await desk.states() == ["blocked"]
        for text in (code, "oui"):
            await desk.says(ANNA, text)
            assert "bloquée" in desk.texts(ANNA)[-1]
        signing = (await desk.view())["signings"][0]["id"]
        signatures = pair.core.signatures
        await desk.call(lambda tx, now: signatures.reset(tx, APP, desk.request, signing, "by phone", "key_1", now))
        await desk.send(signing)
        await pair.settled(3)
        await desk.says(ANNA, desk.code(ANNA))
        assert await desk.states() == ["signed"]
        await pair.settled(3_700)  # within an hour she has had as many answers as anybody gets
        await desk.says(ANNA, desk.code(ANNA))
        assert "déjà signé" in desk.texts(ANNA)[-1]


async def test_a_new_number_has_sends_of_its_own(sqlite_database: Database, autojump_clock: Autojump) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA))
        signing = (await desk.view())["signings"][0]
        for _ in range(5):
            assert (await desk.send(signing["id"])).code == "sent"
            await pair.settled(200)
        assert (await desk.send(signing["id"])).code == "max_sends"
        signatures = pair.core.signatures
        changed = ChangedNumber(BORIS, "FR")
        signer_id = (await desk.view())["signers"][0]["id"]
        await desk.call(
            lambda tx, now: signatures.change_signer(tx, APP, desk.request, signer_id, changed, "key_1", now)
        )
        await pair.settled(3)
        await desk.says(BORIS, "oui")
        await desk.says(BORIS, desk.code(BORIS))
        assert await desk.states() == ["signed"]


async def test_a_signing_whose_codes_were_all_sent_can_be_reset(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA))
        signing = (await desk.view())["signings"][0]["id"]
        for _ in range(5):
            await desk.send(signing)
            await pair.settled(200)
        signatures = pair.core.signatures
        reset = await desk.call(
            lambda tx, now: signatures.reset(tx, APP, desk.request, signing, "by phone", "key_1", now)
        )
        assert reset.code == "reset"
        assert (await desk.send(signing)).code == "sent"


async def test_a_confirmation_reaches_whoever_said_stop_and_then_signed(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), auto_send=True)
        await pair.settled(3)
        code = desk.code(ANNA)
        await desk.says(ANNA, "STOP")
        before = len(desk.texts(ANNA))
        await desk.says(ANNA, code)
        assert await desk.states() == ["signed"]
        assert len(desk.texts(ANNA)) == before + 1


async def test_start_takes_a_stop_back_and_reminders_go_on(sqlite_database: Database, autojump_clock: Autojump) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA), reminders_s=(600, 1_200))
        await pair.settled(3)
        await desk.says(ANNA, "STOP")
        await pair.settled(650)
        silent = len(desk.texts(ANNA))
        await desk.says(ANNA, "START")
        await pair.settled(650)
        assert any("Bail 1" in text for text in desk.texts(ANNA)[silent:])
        assert len(await bodies(pair, desk, "opt_out.revoked")) == 1
