"""How evidence is kept and ends: a person erased, a hold that forbids it, the retention; chains verify all along."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio.testing

from engine.cases.erasing import Erased, Erasing, NotErased
from engine.cases.signatures import ChangedNumber
from engine.clock import DAY
from engine.evidence.bundle import collect
from engine.evidence.custody import Hold
from engine.evidence.exporting import roots
from engine.store.connections import Database
from engine.store.statements import SQLITE
from tests.rig import APP, MESSAGES, REPLIES, Rig, rig
from tests.scenarios.test_evidence import Case
from tests.scenarios.test_signing import ANNA, BORIS, SETTINGS, Desk, signer
from tests.test_secrets_at_rest import every_text, spellings

Autojump = trio.testing.MockClock
NAME = "Anna Zyngovska"
OTHER_APP = "app_other"


async def erase(pair: Rig, application: str = APP) -> Erased | NotErased:
    core = pair.core
    done = await Erasing(core.store, core.clock, core.keyring, core.custody).erase(application, ANNA, "key_9")
    if isinstance(done, Erased) and application == APP:
        pair.erased.add(ANNA)
    return done


async def signed(pair: Rig) -> Desk:
    """A request that Anna signed by SMS and Boris on a page; every message has ended, all is anchored."""
    desk = Desk(pair)
    await desk.create(replace(signer(ANNA), name=NAME, email="anna@zyngovska.example"), signer(BORIS, "code"))
    await pair.settled(3)
    await desk.says(ANNA, "oui")
    await desk.says(ANNA, desk.code(ANNA))
    second = (await desk.view())["signings"][1]["id"]
    await desk.send(second)
    await pair.settled(3)
    await desk.sign(second, desk.code(BORIS))
    await pair.settled(60)
    return desk


async def evidence(pair: Rig, desk: Desk) -> Case:
    keyring = pair.core.keyring
    gathered = await pair.core.store.read(lambda tx: collect(tx, APP, desk.request, keyring))
    assert gathered is not None
    return Case(gathered, keyring, await pair.core.store.read(lambda tx: roots(tx, APP, 2**53, 50)))


async def test_a_person_who_was_erased_is_nowhere_and_the_chain_verifies(
    database: Database, tmp_path: Path, autojump_clock: Autojump
) -> None:
    """S37: nothing of them in any table, in SQLite's file or in its log; an export names the other signer alone."""
    async with rig(database, **SETTINGS) as pair:
        desk = await signed(pair)
        before = await evidence(pair, desk)
        assert before.verdict(before.bundle()) == "valid"
        done = await erase(pair)
        assert isinstance(done, Erased)
        assert done.evidence == 1
        assert done.messages > 3
        assert done.replies == 2
        await pair.settled(30)  # what the chain says of it is anchored
        after = await evidence(pair, desk)
        assert after.verdict(after.bundle()) == "valid"
        assert before.verdict(before.bundle()) == "valid"  # what was downloaded earlier still verifies
        kinds = [json.loads(one)["kind"] for one in after.gathered.entries]
        assert kinds.count("subject.erased") == 1
        values = json.dumps([one["value"] for one in after.gathered.openings.values()])
        assert BORIS in values
        secrets = (ANNA[1:], NAME, "zyngovska")
        assert not any(secret in values for secret in secrets)
        for place, value in await every_text(pair):
            for secret in secrets:
                assert not any(one in value.encode() for one in spellings(secret)), place
        if pair.core.store.dialect is SQLITE:
            path = Path(str(pair.core.store.database.path))
            for file in path.parent.glob(f"{path.name}*"):
                held = file.read_bytes()
                assert not any(one in held for secret in secrets for one in spellings(secret)), file.name
        assert await erase(pair) == Erased(0, 0, 0, 0)  # once more: nothing is there
        shown = await desk.view()
        assert [one["state"] for one in shown["signings"]] == ["signed", "signed"]


async def test_what_a_chain_knows_of_a_person_under_an_earlier_number_goes_with_them(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk, earlier = Desk(pair), "+33612345673"
        await desk.create(replace(signer(earlier), name=NAME, email="anna@zyngovska.example"), signer(BORIS))
        await pair.settled(3)
        who = (await desk.view())["signers"][0]["id"]
        signatures = pair.core.signatures
        await desk.call(
            lambda tx, now: signatures.change_signer(
                tx, APP, desk.request, who, ChangedNumber(ANNA, "FR"), "key_1", now
            )
        )
        for phone in (ANNA, BORIS):
            await desk.says(phone, "oui")
            await desk.says(phone, desk.code(phone))
        await pair.settled(60)
        assert isinstance(await erase(pair), Erased)
        await pair.settled(30)
        after = await evidence(pair, desk)
        assert after.verdict(after.bundle()) == "valid"
        values = json.dumps([one["value"] for one in after.gathered.openings.values()])
        assert BORIS in values
        assert not any(secret in values for secret in (ANNA[1:], earlier[1:], NAME, "zyngovska"))


async def test_an_erasure_is_of_one_application_alone(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = await signed(pair)
        assert await erase(pair, OTHER_APP) == Erased(0, 0, 0, 0)
        kept = await evidence(pair, desk)
        assert NAME in json.dumps([one["value"] for one in kept.gathered.openings.values()])


async def test_who_is_in_an_open_request_or_waits_for_a_message_is_not_erased(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        await desk.create(signer(ANNA))
        queued = await erase(pair)
        assert isinstance(queued, NotErased)
        assert queued.code == "subject_active"
        await pair.settled(60)
        waiting = await erase(pair)
        assert waiting == NotErased("subject_active", (desk.request,))
        assert len(await pair.rows(MESSAGES)) == 1


async def test_a_hold_keeps_a_person_until_it_is_lifted_or_over(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = await signed(pair)
        custody, store, now = pair.core.custody, pair.core.store, pair.clock.now()
        hold = Hold("claim 4711", now + DAY)
        assert await store.write(lambda tx: custody.hold(tx, APP, desk.request, hold, "key_9", now))
        assert not await store.write(lambda tx: custody.hold(tx, OTHER_APP, desk.request, hold, "key_9", now))
        refused = await erase(pair)
        assert refused == NotErased("on_hold", (desk.request,), "claim 4711", now + DAY)
        assert len(await pair.rows(REPLIES)) == 2
        assert await store.write(lambda tx: custody.lift(tx, APP, desk.request, "key_9", now))
        assert isinstance(await erase(pair), Erased)
        await pair.settled(30)
        kept = await evidence(pair, desk)
        assert kept.verdict(kept.bundle()) == "valid"
        kinds = [json.loads(one)["kind"] for one in kept.gathered.entries]
        assert [kind for kind in kinds if kind.startswith(("hold", "subject"))] == [
            "hold.set", "hold.lifted", "subject.erased",
        ]  # fmt: skip


async def test_evidence_ends_with_its_retention_unless_it_is_held(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        first, second = await signed(pair), await signed(pair)
        custody, store, now = pair.core.custody, pair.core.store, pair.clock.now()
        late = now + 11 * 366 * DAY
        await store.write(lambda tx: custody.hold(tx, APP, second.request, Hold("claim", None), "key_9", now))
        assert (await store.write(lambda tx: custody.purge(tx, now))).rows == 0
        assert (await store.write(lambda tx: custody.purge(tx, late))).rows == 1
        keyring = pair.core.keyring
        assert await store.read(lambda tx: collect(tx, APP, first.request, keyring)) is None
        assert await store.read(lambda tx: pair.core.signatures.read(tx, APP, first.request)) is None
        await pair.settled(30)
        kept = await evidence(pair, second)  # proven in the same log, whose leaves of the other stay
        assert kept.verdict(kept.bundle()) == "valid"
        await store.write(lambda tx: custody.lift(tx, APP, second.request, "key_9", now))
        assert (await store.write(lambda tx: custody.purge(tx, late))).rows == 1
        assert await store.read(lambda tx: custody.read_hold(tx, APP, second.request)) is None


@pytest.mark.real
async def test_the_log_lets_go_of_what_was_deleted_beside_a_running_writer(threaded_store: Any) -> None:
    await threaded_store.write(lambda tx: None)
    gone = await threaded_store.forget_log()
    assert gone is (threaded_store.dialect is SQLITE)
