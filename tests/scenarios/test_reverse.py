"""Reverse OTP over the air: a handset texts the code that an application shows, and proves whose number it is."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from engine.cases.erasing import Erased, Erasing
from engine.cases.outcomes import Outcome
from engine.cases.reverse import StartReverse
from engine.store.connections import Database
from tests.rig import APP, REPLIES, Rig, rig
from tests.test_secrets_at_rest import every_text

Autojump = trio.testing.MockClock
ANNA, BORIS = "+33612345671", "+33612345672"
OURS, SHARED = "+33757000001", "38123"
SETTINGS: dict[str, Any] = {
    "numbers": {
        "long": {"address": OURS, "application": APP, "accounts": ["sim"]},
        "shared": {"address": SHARED, "application": APP, "keywords": ["SHOP"], "accounts": ["sim"]},
    },
    "senders": {"main": {"address": SHARED, "accounts": ["sim"]}},
}


class Desk:
    """What an application does, on a rig."""

    def __init__(self, pair: Rig) -> None:
        self.pair = pair

    async def start(self, **asked: Any) -> dict[str, Any]:
        core, now = self.pair.core, self.pair.clock.now()
        outcome = await core.store.write(lambda tx: core.reverses.start(tx, APP, "key_1", StartReverse(**asked), now))
        core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        assert outcome.code == "created", outcome
        return dict(outcome.body)

    async def read(self, case: dict[str, Any], secret: str | None = None) -> Outcome:
        core, now = self.pair.core, self.pair.clock.now()
        given = case["secret"] if secret is None else secret
        return await core.store.read(lambda tx: core.reverses.read(tx, APP, case["id"], given, now))

    async def state(self, case: dict[str, Any]) -> str:
        return str((await self.read(case)).body["state"])

    async def says(self, phone: str, text: str, to: str = OURS) -> None:
        self.pair.sim.handset(phone).reply(text, to=to)
        await self.pair.settled(2)


async def test_the_number_that_sends_the_code_is_the_result(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        case = await desk.start(language="fr", reference="login-7")
        assert await desk.state(case) == "pending"
        await desk.says(ANNA, case["text"])
        result = (await desk.read(case)).body
        assert (result["state"], result["from"], result["assurance"]) == ("approved", ANNA, "mo_unauthenticated")
        assert await pair.events_of(case["id"]) == ["reverse.started", "reverse.approved"]
        [reply] = await pair.rows(REPLIES)
        assert (reply["case_id"], reply["choice"]) == (case["id"], "reverse_code_equal")
        assert (await desk.read(case, "another secret")).code == "wrong_secret"
        assert not pair.sim.handset(ANNA).messages  # nothing is ever sent: nothing can be pumped


@pytest.mark.parametrize("form", ["{}", "{} merci", "mon code est {}", "Sceau {}!"])
async def test_a_code_is_understood_as_people_write_it(
    sqlite_database: Database, autojump_clock: Autojump, form: str
) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        case = await desk.start()
        await desk.says(ANNA, form.format(case["code"].lower().replace("-", " ").replace("0", "o").replace("1", "l")))
        assert await desk.state(case) == "approved"


async def test_a_claimed_number_alone_may_send(database: Database, autojump_clock: Autojump) -> None:
    """F5: the right token from another number fails; the right number with another token too."""
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        case = await desk.start(claimed=ANNA)
        await desk.says(BORIS, case["code"])
        assert await desk.state(case) == "pending"
        await desk.says(ANNA, "AAAA-AAA2")
        assert await desk.state(case) == "pending"
        await desk.says(ANNA, case["code"])
        assert await desk.state(case) == "approved"
        assert await pair.events_of(case["id"]) == ["reverse.started", "reverse.refused", "reverse.approved"]


async def test_a_code_counts_once_at_its_own_number_and_in_time(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        case = await desk.start(life_s=60)
        await desk.says(ANNA, case["code"], SHARED)
        assert await desk.state(case) == "pending"
        await pair.settled(61)
        await desk.says(ANNA, case["code"])
        assert await desk.state(case) == "expired"
        other = await desk.start()
        await desk.says(ANNA, other["code"])
        await desk.says(BORIS, other["code"])
        assert (await desk.read(other)).body["from"] == ANNA
        assert (await pair.events_of(other["id"])).count("reverse.approved") == 1


async def test_two_codes_in_one_text_approve_neither(sqlite_database: Database, autojump_clock: Autojump) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        one, other = await desk.start(), await desk.start()
        await desk.says(ANNA, f"{one['code']} {other['code']}")
        assert [await desk.state(one), await desk.state(other)] == ["pending", "pending"]


async def test_a_shared_number_has_its_keyword_in_the_text(sqlite_database: Database, autojump_clock: Autojump) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        case = await desk.start(number=SHARED, language="en")
        assert case["text"].startswith(f"SHOP {case['code']} Sceau: ")
        await desk.says(ANNA, case["text"], SHARED)
        assert await desk.state(case) == "approved"


async def test_who_sends_five_unknown_codes_is_not_heard_any_more(database: Database, autojump_clock: Autojump) -> None:
    """S14: a guesser is out for an hour, and nobody else is."""
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        case = await desk.start()
        for number in range(5):
            await desk.says(BORIS, f"AAAA-AAA{number + 2}")
        await desk.says(BORIS, case["code"])
        assert await desk.state(case) == "pending"
        assert (await pair.rows(REPLIES))[-1]["choice"] == "too_many_unknown_codes"
        await desk.says(ANNA, case["code"])
        assert (await desk.read(case)).body["from"] == ANNA


async def test_an_operator_that_checks_senders_is_worth_more(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SETTINGS, account={"trusted_origin": True}) as pair:
        desk = Desk(pair)
        case = await desk.start()
        await desk.says(ANNA, case["code"])
        assert (await desk.read(case)).body["assurance"] == "mo_trusted"


async def test_a_code_in_a_text_of_several_parts_is_found(sqlite_database: Database, autojump_clock: Autojump) -> None:
    async with rig(sqlite_database, **SETTINGS) as pair:
        desk = Desk(pair)
        case = await desk.start()
        await desk.says(ANNA, f"{case['code']} " + "bonjour " * 30)
        assert await desk.state(case) == "approved"


async def test_who_is_erased_leaves_no_reverse_verification(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        case, claimed = await desk.start(), await desk.start(claimed=ANNA)
        await desk.says(ANNA, case["code"])
        await desk.says(ANNA, claimed["code"])
        core = pair.core
        erased = await Erasing(core.store, core.clock, core.keyring, core.custody).erase(APP, ANNA, "key_9")
        assert isinstance(erased, Erased)
        assert erased.cases == 2
        pair.erased.add(ANNA)
        assert (await desk.read(case)).code == "not_found"
        assert (await desk.read(claimed)).code == "not_found"


async def test_neither_code_nor_secret_nor_sender_is_stored_in_clear(
    database: Database, autojump_clock: Autojump
) -> None:
    """S2, S22: a code is found by a keyed hash, and who sent it stands in the columns of replies alone."""
    async with rig(database, **SETTINGS) as pair:
        desk = Desk(pair)
        case = await desk.start()
        await desk.says(ANNA, case["text"])
        assert await desk.state(case) == "approved"
        token = case["page"].rpartition("/")[2]
        texts = list(await every_text(pair))
        for secret in (case["code"], case["code"].replace("-", ""), case["secret"], token):
            assert not [place for place, value in texts if secret in value]
        assert {place for place, value in texts if ANNA[1:] in value} <= {"reply.source", "reply.source_raw"}
