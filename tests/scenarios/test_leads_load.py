"""Thousands of leads with scripted people: every score is explained by its causes, and the funnel is exact."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest
import trio
import trio.testing

from engine.cases.casebook import CaseRow
from engine.cases.leads import CreateLead, Held
from engine.clock import DAY
from engine.store.connections import Database
from engine.store.statements import Statement
from engine.store.tables_cases import Case
from tests.amounts import Figure, amounts
from tests.couriers import OURS, SENDERS
from tests.rig import APP, EVENTS, REPLIES, bind_settings, rig
from tests.scenarios.test_leads import CONSENT
from tests.scenarios.test_reverse_load import operator
from workflows.lead_model import AXES, BANT
from workflows.lead_scoring import axis, total
from workflows.lead_telling import STAGES

_case: Any = Case.__table__  # type: ignore[attr-defined]
CASES = Statement(lambda _: _case.select().order_by(_case.c.id))
WORTH = {"A": 1, "B": 3, "C": 5}
MOST_S = 900.0


class Person:
    """Somebody with a handset who acts as a script says: how many codes mistyped, which answers, whether STOP comes."""

    def __init__(self, number: int, random: Random) -> None:
        self.phone = f"+3361{number:07}"
        self.source = random.choice(["ads", "fair", "friend"])
        self.proves = random.random() < 0.8
        self.mistypes = random.random() < 0.2
        self.consents = random.random() < 0.9
        self.answers = [random.choice("ABC") for _ in range(random.choice([0, 1, 2, 3, 4, 4, 4, 4]))]
        self.events = [random.choice(["visit", "download", "call"]) for _ in range(random.choice([0, 0, 1, 2]))]
        self.stops = random.random() < 0.1
        self.lead = ""

    def level(self, name: str) -> int:
        """What this person has said of an axis."""
        place = AXES.index(name)
        heard = self.proves and self.consents and place < len(self.answers)
        return WORTH[self.answers[place]] if heard else 1

    def stages(self) -> set[str]:
        """The stages that this person reaches."""
        found = {"created"}
        if not self.proves:
            return found
        asked = self.consents
        levels = sum(self.level(name) for name in AXES)
        found |= {"verified"} | ({"asked"} if asked else set()) | ({"answered"} if asked and self.answers else set())
        found |= ({"warm"} if levels >= 12 else set()) | ({"qualified"} if levels >= 20 else set())
        return found | ({"opted_out"} if self.stops else set())


@pytest.mark.parametrize("count", amounts(200, 10_000))
async def test_every_score_is_explained_by_what_its_person_did(
    database: Database, autojump_clock: trio.testing.MockClock, count: int, figure: Figure
) -> None:
    people = [Person(number, Random(number)) for number in range(count)]
    settings = {**SENDERS, "account": {"binds": {"main": bind_settings(window=100)}}}
    sim = operator(OURS)
    async with rig(database, sim=sim, **settings) as pair:
        core = pair.core

        async def run(call: Any) -> Any:
            now = pair.clock.now()
            outcome = await core.store.write(lambda tx: call(tx, now))
            core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
            return outcome

        async def says(person: Person, text: str, wanted: int) -> None:
            sim.handset(person.phone).reply(text, to=OURS)
            await inbox(person, wanted)

        async def inbox(person: Person, wanted: int) -> str:
            with trio.fail_after(MOST_S):
                while len(sim.handset(person.phone).messages) < wanted:
                    await trio.sleep(0.5)
            return sim.handset(person.phone).messages[-1].text

        async def live(person: Person) -> None:
            consent = CONSENT if person.consents else None
            asked = CreateLead(person.phone, "FR", "demo", person.source, language="en", consent=consent)
            person.lead = (await run(lambda tx, now: core.leads.create(tx, APP, asked, "k", now))).body["id"]
            await inbox(person, 1)
            code = sim.handset(person.phone).code
            if person.mistypes:
                wrong = "000000" if code != "000000" else "111111"
                await run(lambda tx, now: core.leads.check(tx, APP, person.lead, wrong, "k", now))
            if not person.proves:
                return
            await run(lambda tx, now: core.leads.check(tx, APP, person.lead, code, "k", now))
            for name in person.events:
                await run(lambda tx, now, name=name: core.leads.happened(tx, APP, person.lead, name, "k", now))
            if person.consents:
                await inbox(person, 2)
                for place, answer in enumerate(person.answers):
                    await says(person, answer, 3 + place)
            if person.stops:
                sim.handset(person.phone).reply("STOP", to=OURS)
                await trio.sleep(5)

        began = trio.current_time()
        limit = trio.CapacityLimiter(50)

        async def enter(person: Person) -> None:
            async with limit:
                await live(person)

        async with trio.open_nursery() as nursery:
            for person in people:
                nursery.start_soon(enter, person)
        await pair.settled(10)
        took = trio.current_time() - began

        rows = await core.store.read(lambda tx: tx.all(CASES))
        held: dict[str, Held] = {}
        for row in rows:
            made = core.leads.hold(CaseRow(*row))
            held[made.row.id] = made
        replies = {row["id"]: row["case_id"] for row in await pair.rows(REPLIES)}
        for person in people:
            one = held[person.lead]
            for name in AXES:
                assert axis(one.case, name) == person.level(name), (person.phone, name)
            assert total(one.case, BANT) == sum(person.level(name) for name in AXES)
            answered = [point for point in one.case.points if point.axis in AXES]
            assert all(replies[point.source] == person.lead for point in answered)
            told = [point.why for point in one.case.points if point.axis == "intent"]
            assert told == (person.events if person.proves else [])
        day = pair.clock.now() // DAY
        funnel = await core.store.read(lambda tx: core.leads.funnel(tx, APP, day - 2, day))
        for stage in STAGES:
            for source in ("ads", "fair", "friend"):
                counted = sum(row[stage] for row in funnel if row["source"] == source)
                wanted = sum(stage in person.stages() for person in people if person.source == source)
                assert counted == wanted, (stage, source)
        told_of = Counter(row["type"] for row in await pair.rows(EVENTS))
        assert told_of["lead.verified"] == sum(person.proves for person in people)
    figure(f"{count:,} leads with scripted people: all scored after", f"{took:.0f} s")
