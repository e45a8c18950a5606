"""Leads over the air: numbers proven, questions asked one at a time, scores that their causes explain."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import trio.testing
from sqlalchemy import select

from engine.cases import lead_rows
from engine.cases.leads import CreateLead
from engine.cases.outcomes import Outcome
from engine.clock import DAY, HOUR, MINUTE
from engine.consent import Said
from engine.duties.dormancy import DormancyWatch
from engine.store.connections import Database
from engine.store.statements import Statement
from engine.store.tables_signing import ConsentEntry
from tests.couriers import ANNA, BORIS, OURS, SENDERS
from tests.rig import APP, REPLIES, Rig, rig
from workflows.lead_model import BANT
from workflows.quiet_hours import allowed_at

Autojump = trio.testing.MockClock
_entry: Any = ConsentEntry.__table__  # type: ignore[attr-defined]
LEDGER = Statement(
    lambda _: select(
        _entry.c.id, _entry.c.kind, _entry.c.source, _entry.c.source_id, _entry.c.legal_basis, _entry.c.sealed
    ).order_by(_entry.c.id)
)
CONSENT = ("I agree to be asked four questions by SMS.", 1_700_000_000_000_000)


@dataclass
class Form:
    """A marketing team on a rig: what its form and its CRM call."""

    pair: Rig
    ahead: int = 0

    async def run(self, call: Callable[[Any, int], Outcome]) -> Outcome:
        core, now = self.pair.core, self.pair.clock.now() + self.ahead
        outcome: Outcome = await core.store.write(lambda tx: call(tx, now))
        core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        await self.pair.settled(2)
        return outcome

    async def create(self, phone: str = ANNA, **asked: Any) -> str:
        given: dict[str, Any] = {"form": "demo", "source": "ads", "language": "en", "consent": CONSENT, **asked}
        request = CreateLead(phone, "FR", **given)
        outcome = await self.run(lambda tx, now: self.pair.core.leads.create(tx, APP, request, "key_form", now))
        assert outcome.code == "created", outcome
        return str(outcome.body["id"])

    async def proven(self, **asked: Any) -> str:
        """A lead whose number is proven by its code."""
        lead = await self.create(**asked)
        assert (await self.call("check", lead, self.code())).code == "verified"
        return lead

    async def call(self, what: str, lead: str, *given: Any) -> Outcome:
        method = getattr(self.pair.core.leads, what)
        return await self.run(lambda tx, now: method(tx, APP, lead, *given, "key_form", now))

    async def shown(self, lead: str) -> dict[str, Any]:
        core = self.pair.core
        found = await core.store.read(lambda tx: core.leads.read(tx, APP, lead))
        assert found is not None
        return found

    async def tick(self) -> None:
        duty = next(one for one in self.pair.core.rounds.duties if one.name == "timers")
        done = await self.pair.core.store.write(lambda tx: duty.look(tx, self.pair.clock.now() + self.ahead))
        self.pair.core.backlog.add(done.queued)
        await self.pair.settled(2)

    async def wait(self, days: int) -> None:
        """Let it become noon in Paris, so many days after the rig's own; timers fire, each when it is due."""
        noon = self.pair.clock.now() // DAY * DAY + days * DAY + 11 * HOUR
        for minutes in (-5, -3, 0):
            self.ahead = noon + minutes * MINUTE - self.pair.clock.now()
            await self.tick()

    async def funnel(self) -> list[dict[str, Any]]:
        core, day = self.pair.core, self.pair.clock.now() // DAY
        return await core.store.read(lambda tx: core.leads.funnel(tx, APP, day, day + 1))

    def texts(self, phone: str = ANNA) -> list[str]:
        return [one.text for one in self.pair.sim.handset(phone).messages]

    def code(self, phone: str = ANNA) -> str:
        found: list[str] = re.findall(r"\b[0-9]{6}\b", " ".join(self.texts(phone)))
        return found[-1]

    async def says(self, text: str, phone: str = ANNA) -> None:
        self.pair.sim.handset(phone).reply(text, to=OURS)
        await self.pair.settled(2)


async def test_a_lead_proves_its_number_answers_and_is_qualified_and_every_point_has_its_sms(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        form = Form(pair)
        lead = await form.create()
        assert (await form.shown(lead))["stage"] == "cold"
        assert (
            await form.call("check", lead, "000000" if form.code() != "000000" else "1" * 6)
        ).code == "code_mismatch"
        assert (await form.call("check", lead, form.code())).code == "verified"
        assert form.texts()[-1] == "Sceau: Is there a budget? Answer A no, B to be defined, C yes"
        for answer in ("c", "C !", "réponse C", "B"):
            await form.says(answer)
        assert form.texts()[-1] == "Sceau: thank you for your answers."
        shown = await form.shown(lead)
        assert (shown["total"], shown["stage"], shown["label"]) == (18, "warm", "warm")
        assert shown["bant"] == {"budget": 5, "authority": 5, "need": 5, "timeline": 3}
        replies = [row["id"] for row in await pair.rows(REPLIES)]
        assert [one["source_id"] for one in shown["points"]] == replies
        assert [one["points"] for one in shown["points"]] == [4, 4, 4, 2]
        events = [one.removeprefix("lead.") for one in await pair.events_of(lead)]
        told = ["answered", "scored", "stage_changed", "question_asked"]
        first = ["created", "check_failed", "verified", "question_asked"]
        assert events == [*first, *told, *told, *told, "answered", "scored"]
        [row] = await form.funnel()
        assert (row["created"], row["verified"], row["asked"], row["answered"], row["warm"], row["qualified"]) == (
            1, 1, 1, 1, 1, 0,
        )  # fmt: skip


async def test_without_consent_a_lead_gets_its_code_and_nothing_else(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        form = Form(pair)
        lead = await form.create(consent=None)
        await form.call("check", lead, form.code())
        await form.call("happened", lead, "demo_request")
        shown = await form.shown(lead)
        assert (len(form.texts()), shown["intent"], shown["stage"]) == (1, 40, "cold")


async def test_a_double_opt_in_is_proven_by_a_yes(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SENDERS) as pair:
        form = Form(pair)
        lead = await form.create(proof="reply", language="fr")
        assert form.texts()[-1].startswith("Sceau : confirmez votre inscription en répondant OUI.")
        assert (await form.call("check", lead, "123456")).code == "proven_by_reply"
        await form.says("peut-être")
        assert (await form.shown(lead))["state"] == "unverified"
        await form.says("Oui !")
        assert (await form.shown(lead))["state"] == "open"
        entries = await pair.core.store.read(lambda tx: tx.all(LEDGER))
        yes = (await pair.rows(REPLIES))[-1]["id"]
        assert [(kind, source, of, basis) for _, kind, source, of, basis, _ in entries] == [
            ("granted", "form", lead, "consent"), ("granted", "reply", yes, "consent"),
        ]  # fmt: skip
        words = [pair.core.keyring.unseal(sealed, entry_id).decode() for entry_id, *_, sealed in entries]
        assert words == [CONSENT[0], "Oui !"]
        assert form.texts()[-1].startswith("Sceau : Un budget est-il prévu ?")


async def test_what_is_not_understood_is_asked_once_more_and_then_ends_politely(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        form = Form(pair)
        lead = await form.create()
        await form.call("check", lead, form.code())
        await form.says("what?")
        assert form.texts()[-1].startswith("Sceau: we did not understand. Is there a budget?")
        await form.says("who are you?")
        assert form.texts()[-1] == "Sceau: thank you, somebody will get in touch if need be."
        before = len(form.texts())
        for _ in range(10):
            await form.says("hello?")  # another machine: nobody answers it any more
        assert len(form.texts()) == before
        assert (await form.shown(lead))["asked"] is None


async def test_a_question_without_an_answer_is_followed_by_day_and_its_answer_still_counts(
    database: Database, autojump_clock: Autojump
) -> None:
    """Issue 5: nurture sequences, triggered by silence."""
    model = {
        "brand": "Boutique",
        "questions": BANT.dump()["questions"],
        "silence_s": 7_200,
        "sequences": [
            {
                "name": "later",
                "trigger": "silence",
                "messages": [
                    {"after_s": 60, "text": {"en": "Still interested?"}},
                    {"after_s": 86_400, "text": {"en": "Call us."}},
                ],
            }
        ],
    }
    async with rig(database, **SENDERS, lead_models={"fair": model}) as pair:
        form = Form(pair)
        lead = await form.proven(model="fair")
        before = len(form.texts())
        form.ahead = 1 * HOUR
        await form.tick()
        assert (await form.shown(lead))["sequence"] is None
        await form.wait(1)
        await form.wait(2)
        assert form.texts()[before] == "Boutique: Still interested?"
        form.ahead = 0
        await form.says("C")
        shown = await form.shown(lead)
        assert (shown["bant"]["budget"], shown["asked"], shown["sequence"]) == (5, "authority", None)
        await form.says("STOP")
        texts = len(form.texts())
        for day in (3, 4, 5, 9):
            await form.wait(day)
        assert len(form.texts()) == texts


async def test_a_sequence_follows_silence_and_stop_ends_it(database: Database, autojump_clock: Autojump) -> None:
    model = {
        "brand": "Boutique",
        "sequences": [
            {
                "name": "later",
                "trigger": "silence",
                "messages": [
                    {"after_s": 3_600, "text": {"en": "Still interested? Call us."}},
                    {"after_s": 3_600, "text": {"en": "We are here if you need us."}},
                ],
            }
        ],
    }
    async with rig(database, **SENDERS) as pair:
        form = Form(pair)
        now = pair.clock.now()
        await pair.core.store.write(lambda tx: lead_rows.put_model(tx, APP, "plain", model, now))
        lead = await form.create(model="plain")
        await form.call("check", lead, form.code())
        form.ahead = 2 * HOUR
        await form.tick()
        if await asleep(form):  # it is night in Paris: the morning has it
            assert len(form.texts()) == 1
            form.ahead = 14 * HOUR
            await form.tick()
        assert form.texts()[-1] == "Boutique: Still interested? Call us."
        await form.says("STOP")
        shown = await form.shown(lead)
        assert (shown["state"], shown["reason"]) == ("closed", "opted_out")
        form.ahead = 80 * HOUR
        await form.tick()
        assert not [text for text in form.texts() if "We are here" in text]


BACK: dict[str, Any] = {
    "brand": "Boutique",
    "sequences": [
        {
            "name": "back",
            "trigger": "dormant",
            "messages": [
                {"after_s": 60, "text": {"en": "Are you still there?"}},
                {"after_s": 86_400, "text": {"en": "This is our last word."}},
            ],
        }
    ],
    "dormancy": {"after_days": 60, "most": 2},
}


async def test_a_dormant_lead_is_called_back_by_day_and_its_answer_ends_that(
    database: Database, autojump_clock: Autojump
) -> None:
    """Issue 5: re-engagement of dormant leads, by a model of the settings file."""
    async with rig(database, **SENDERS, lead_models={"fair": BACK}) as pair:
        form = Form(pair)
        lead = await form.proven(model="fair")
        before = len(form.texts())
        await form.wait(59)
        assert len(form.texts()) == before
        await form.wait(61)
        assert form.texts()[before:] == ["Boutique: Are you still there?"]
        shown = await form.shown(lead)
        assert (shown["reengaged"], shown["sequence"]) == (1, "back")
        await form.says("Yes, call me")
        assert (await form.shown(lead))["sequence"] is None
        await form.wait(70)
        assert len(form.texts()) == before + 1
        events = [one.removeprefix("lead.") for one in await pair.events_of(lead)]
        assert events == ["created", "verified", "reengaged", "nurtured", "replied"]
        told = await pair.core.store.read(lambda tx: pair.core.leads.timeline(tx, APP, lead))
        assert told is not None
        assert "lead.reengaged" in [one["what"] for one in told]
        for day in (122, 124, 200, 300, 400):
            await form.wait(day)
        assert form.texts()[before + 1 :] == ["Boutique: Are you still there?", "Boutique: This is our last word."]
        assert (await form.shown(lead))["dormant_at"] is None


async def test_leads_under_way_follow_a_model_that_was_written_since(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        form, watch = Form(pair), DormancyWatch(pair.core.leads)

        async def write(model: dict[str, Any], at: int) -> int:
            """Write the model; return how many timers the duty sets right."""
            await pair.core.store.write(lambda tx: lead_rows.put_model(tx, APP, "fair", model, at))
            return sum([(await pair.core.store.write(lambda tx: watch.look(tx, at))).rows for _ in range(3)])

        now = pair.clock.now()
        assert await write({}, now) == 0
        leads = [await form.create(phone, model="fair") for phone in (ANNA, BORIS)]
        for lead, phone in zip(leads, (ANNA, BORIS), strict=True):
            await form.call("check", lead, form.code(phone))
        events = await pair.events_of(leads[0])
        assert await write(BACK, now + 1) == 2
        assert await write(BACK, now + 2) == 0
        assert await write(BACK | {"dormancy": {"after_days": 3}}, now + 3) == 2
        assert await pair.events_of(leads[0]) == events
        await form.wait(4)
        assert form.texts(BORIS)[-1] == "Boutique: Are you still there?"


async def test_a_lead_that_said_stop_by_telephone_is_not_called_back(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS, lead_models={"fair": BACK}) as pair:
        form = Form(pair)
        lead = await form.proven(model="fair")
        said = Said(APP, ANNA, "", "He asked me to stop.", category="marketing")
        now = pair.clock.now()
        await pair.core.store.write(lambda tx: pair.core.consent.opt_out(tx, said, now))
        before = len(form.texts())
        for day in (61, 62, 122, 200):
            await form.wait(day)
        assert len(form.texts()) == before
        assert (await form.shown(lead))["reengaged"] == 0
        now, watch = pair.clock.now() + form.ahead, DormancyWatch(pair.core.leads)  # as after a restart
        assert (await pair.core.store.write(lambda tx: watch.look(tx, now))).rows == 0


async def test_words_that_mean_stop_are_taken_for_it_also_in_answer_to_a_call(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS, lead_models={"fair": BACK}) as pair:
        form = Form(pair)
        lead = await form.proven(model="fair")
        await form.wait(61)
        await form.says("ne m'envoyez plus rien")
        [standing] = await pair.core.store.read(lambda tx: pair.core.consent.standing(tx, APP, ANNA))
        assert standing["category"] == "marketing"
        before = len(form.texts())
        for day in (63, 130, 200):
            await form.wait(day)
        assert (len(form.texts()), (await form.shown(lead))["sequence"]) == (before, None)


@pytest.mark.parametrize("owner", [APP, "app_other"])
async def test_words_that_mean_stop_are_heard_also_while_a_question_is_open(
    database: Database, autojump_clock: Autojump, owner: str
) -> None:
    """Whoever owns the number, they are for the lead's application too."""
    numbers = {"short": {"address": OURS, "application": owner, "accounts": ["sim"]}}
    async with rig(database, **{**SENDERS, "numbers": numbers}) as pair:
        form = Form(pair)
        lead = await form.proven()
        await form.says("ne m'envoyez plus de sms")
        [standing] = await pair.core.store.read(lambda tx: pair.core.consent.standing(tx, APP, ANNA))
        assert (standing["sender"], standing["category"]) == ("main", "marketing")
        assert not [text for text in form.texts() if "did not understand" in text]
        await form.says("C")  # the question stays open
        assert (await form.shown(lead))["bant"]["budget"] == 5


async def asleep(form: Form) -> bool:
    """Tell whether nothing may be sent to a French number now."""
    now = form.pair.clock.now() + form.ahead
    return allowed_at(now, "FR", ["Europe/Paris"]) > now
