"""Leads told to a CRM: by phone, in batches, in order, again when it fails; and what it says of them comes back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx2
import trio.testing

from engine.cases import lead_crm, lead_rows
from engine.crm.hubspot import UPSERT_PATH, Change
from engine.store.connections import Database
from tests.couriers import ANNA, SENDERS
from tests.rig import APP, rig
from tests.scenarios.test_leads import Form

Autojump = trio.testing.MockClock
CRM: dict[str, Any] = {
    **SENDERS,
    "crm": {"sales": {"application": APP, "token": "pat-not-a-real-one", "client_secret": "not-a-real-secret"}},
}


class HubSpot:
    """The part of HubSpot's API that leads are told to: contacts by phone, and failures on command."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, str]] = {}
        self.batches: list[int] = []
        self.answers: list[Callable[[httpx2.Request], httpx2.Response]] = []
        self.transport = httpx2.MockTransport(self.answer)

    def answer(self, request: httpx2.Request) -> httpx2.Response:
        if self.answers:
            return self.answers.pop(0)(request)
        assert request.url.path == UPSERT_PATH
        assert request.headers["authorization"] == "Bearer pat-not-a-real-one"
        inputs = json.loads(request.content)["inputs"]
        if any(one["id"].endswith("66") for one in inputs):
            return httpx2.Response(400, json={"status": "error"})
        self.batches.append(len(inputs))
        results = []
        for one in inputs:
            known = self.contacts.setdefault(one["id"], {"crm_id": str(1_000 + len(self.contacts))})
            known |= one["properties"]
            results.append({"id": known["crm_id"], "properties": {"phone": one["id"]}})
        return httpx2.Response(200, json={"status": "COMPLETE", "results": results})


async def test_a_crm_hears_of_proven_leads_alone_and_of_what_they_become(
    database: Database, autojump_clock: Autojump
) -> None:
    crm = HubSpot()
    async with rig(database, crm_transport=crm.transport, **CRM) as pair:
        form = Form(pair)
        lead = await form.create()
        await pair.settled(3)
        assert crm.contacts == {}  # nobody has proven anything
        await form.call("check", lead, form.code())
        await pair.settled(3)
        assert crm.contacts[ANNA]["lifecyclestage"] == "lead"
        for answer in "CCCC":
            await form.says(answer)
        await pair.settled(3)
        told = crm.contacts[ANNA]
        assert (told["lifecyclestage"], told["sceau_total"]) == ("salesqualifiedlead", "20")


async def test_a_crm_that_fails_is_told_again_and_a_contact_that_it_refuses_holds_nobody_up(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    crm = HubSpot()
    async with rig(sqlite_database, crm_transport=crm.transport, **CRM) as pair:
        form = Form(pair)
        phones = ["+33612345601", "+33612345666", "+33612345603"]

        def down(_request: httpx2.Request) -> httpx2.Response:
            raise httpx2.ConnectError("refused")

        crm.answers = [
            down,
            lambda _: httpx2.Response(503),
            lambda _: httpx2.Response(429, headers={"Retry-After": "40"}),
        ]
        leads = [await form.create(phone) for phone in phones]
        for phone, lead in zip(phones, leads, strict=True):
            await form.call("check", lead, form.code(phone))
        await pair.settled(120)
        assert crm.answers == []
        assert sorted(crm.contacts) == ["+33612345601", "+33612345603"]
        metric = pair.core.metrics.crm_contacts
        assert metric.labels("refused")._value.get() == 1
        assert metric.labels("taken")._value.get() == 2


async def test_what_the_crm_says_comes_in_order_and_an_older_word_changes_nothing(
    database: Database, autojump_clock: Autojump
) -> None:
    crm = HubSpot()
    model = {
        "events": [
            {"name": "lifecyclestage_opportunity", "axis": "intent", "points": 50},
            {"name": "lifecyclestage_other", "axis": "intent", "points": -30},
        ]
    }
    async with rig(database, crm_transport=crm.transport, **CRM) as pair:
        form, core = Form(pair), pair.core
        now = pair.clock.now()
        await core.store.write(lambda tx: lead_rows.put_model(tx, APP, "crm", model, now))
        lead = await form.create(model="crm")
        await form.call("check", lead, form.code())
        await pair.settled(3)
        crm_id = crm.contacts[ANNA]["crm_id"]

        async def says(value: str, at: int) -> None:
            change = Change(crm_id, "lifecyclestage", value, at)
            await core.store.write(lambda tx: lead_crm.heard(tx, core.leads, "sales", [change], pair.clock.now()))

        await says("opportunity", 2_000)
        await says("other", 1_000)  # older
        await says("opportunity", 2_000)  # once more
        await says("unheard_of", 3_000)
        shown = await form.shown(lead)
        assert (shown["intent"], [one["source_id"] for one in shown["points"]]) == (50, ["crm:sales:2000"])
