"""Many signatures at once through an operator that loses and one that drops its links: all end, none is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing

from engine.cases.outcomes import Outcome
from engine.cases.signatures import AskedDocument, AskedSigner, CreateRequest, Statement
from engine.clock import DAY
from engine.evidence import verify_bundle
from engine.evidence.bundle import collect
from engine.evidence.exporting import roots, sign
from engine.evidence.packing import Packing, pack
from engine.store.connections import Database
from engine.store.transaction import Tx
from smppsim.scenario import AccountSettings, Bounds, Scenario
from smppsim.scenario_files import load_profile
from smppsim.simulator import Simulator
from tests.amounts import Figure, amounts
from tests.rig import APP, EVENTS, MESSAGES, REPLIES, Rig, bind_settings, rig
from tests.signed import wrongs
from tests.signers import OURS, Errand, Signer, asked_again, errands, run

SPAN_S = 180.0
"""In which the requests begin: every fault of `flapping` has its turn."""
SETTLE_S = 420.0
MADE_AT = "2026-11-26T12:00:00.000000Z"
SETTINGS: dict[str, Any] = {
    "numbers": {"short": {"address": OURS, "application": APP, "accounts": ["sim"]}},
    "senders": {"main": {"address": OURS, "accounts": ["sim"]}},
    "account": {"binds": {"main": bind_settings(window=50)}},
}


class Office:
    """The platform's calls, made on a rig as its routes make them."""

    def __init__(self, pair: Rig) -> None:
        self.pair = pair

    async def create(self, errand: Errand) -> None:
        asked = [AskedSigner(one.phone, "FR", name="Anna", mode=one.mode, language="fr") for one in errand.signers]
        documents = [AskedDocument(errand.title, errand.sha256)]
        request = CreateRequest(documents, asked, expires_at=self.pair.clock.now() + DAY, auto_send=True)
        signatures = self.pair.core.signatures
        outcome = await self._call(lambda tx, now: signatures.create(tx, APP, request, "key_1", now))
        errand.request = outcome.body["id"]
        for signer, signing in zip(errand.signers, outcome.body["signings"], strict=True):
            signer.signing = signing["id"]

    async def send(self, errand: Errand, signer: Signer) -> str:
        signatures = self.pair.core.signatures
        outcome = await self._call(
            lambda tx, now: signatures.send(tx, APP, errand.request, signer.signing, "key_1", now)
        )
        return outcome.code

    async def sign(self, errand: Errand, signer: Signer, code: str) -> str:
        signatures = self.pair.core.signatures

        def call(tx: Tx, now: int) -> Outcome:
            stated = Statement(errand.sha256, now, "192.0.2.1", "Browser")
            return signatures.sign(tx, APP, errand.request, signer.signing, code, stated, "key_1", now)

        return (await self._call(call)).code

    async def is_signed(self, errand: Errand, signer: Signer) -> bool:
        signatures = self.pair.core.signatures
        shown = await self.pair.core.store.read(lambda tx: signatures.read(tx, APP, errand.request))
        assert shown is not None
        return any(one["id"] == signer.signing and one["state"] == "signed" for one in shown["signings"])

    async def _call(self, call: Callable[[Tx, int], Outcome]) -> Outcome:
        core, now = self.pair.core, self.pair.clock.now()
        outcome = await core.store.write(lambda tx: call(tx, now))
        core.wake(outcome.queued, list(outcome.bells), outcome.on_air)
        return outcome


def operator(profile: str) -> Simulator:
    account = AccountSettings(system_id="sceau", password="secret08", numbers=(OURS,))
    bounds = Bounds(messages=200_000, handset_parts=200_000)
    return Simulator(Scenario(accounts=(account,), bounds=bounds).on(load_profile(profile)), seed=1)


async def nothing_waits(pair: Rig) -> None:
    """Return when all that was queued has been sent: an answer that is lost holds its place in the window for long."""
    while any(row["state"] in {"queued", "waiting", "on_wire"} for row in await pair.rows(MESSAGES)):
        await pair.settled(30)


async def wrong_bundles(pair: Rig, of: list[Errand]) -> list[str]:
    """What a third party who has our key and the posted heads finds wrong in the bundles."""
    keyring = pair.core.keyring
    heads = await pair.core.store.read(lambda tx: roots(tx, APP, 2**53, 100_000))
    outside = verify_bundle.Outside(list(keyring.public_keys().values()), heads)
    found = []
    for errand in of:
        gathered = await pair.core.store.read(lambda tx, errand=errand: collect(tx, APP, errand.request, keyring))
        assert gathered is not None
        packing = Packing(gathered, keyring.public_pems(), MADE_AT, "sceau test", {})
        bundle = sign(pack(packing, b"%PDF"), keyring)
        finding = verify_bundle.verify(bundle, outside)
        if finding.verdict != "valid":
            found.append(f"{errand.title}: {finding}")
        found += wrongs(bundle, errand)
    return found


@pytest.mark.parametrize("profile", ["lossy", "flapping"])
@pytest.mark.parametrize("count", amounts(12, 1_000))
async def test_every_request_is_signed_by_its_own_people_whatever_the_operator_does(
    database: Database, autojump_clock: trio.testing.MockClock, count: int, profile: str, figure: Figure
) -> None:
    """Half the signers answer by SMS, half type the code; every number is asked for two signatures at once."""
    async with rig(database, sim=operator(profile), **SETTINGS) as pair:
        office, given = Office(pair), errands(count)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for errand in given:
                nursery.start_soon(run, office, pair.sim, errand)
                await trio.sleep(SPAN_S / count)
        took = trio.current_time() - began
        await nothing_waits(pair)
        await pair.settled(SETTLE_S)  # receipts that are late, and the anchors of what they add
        told = Counter(row["type"] for row in await pair.rows(EVENTS))
        assert told["signature.signed"] == 2 * count
        assert told["signature.completed"] == told["signature.created"] == count
        strangers = [one.stranger for errand in given for one in errand.signers if one.stranger]
        replies = await pair.rows(REPLIES)
        assert {row["state"] for row in replies if row["source"] in strangers} == {"unmatched"}
        found = await wrong_bundles(pair, given)
        assert not found, "\n".join(found[:20])
    figure(f"{count:,} requests × 2 signers through `{profile}`: signed after", f"{took:.0f} s")
    figure(f"… of them wrong; codes asked for again, `{profile}`", f"0; {asked_again(given)}")


WRONG: dict[str, Callable[[Signer, Signer], None]] = {
    "nobody entered": lambda reply, _code: reply.entered.clear(),
    "says something else": lambda reply, _code: setattr(reply, "form", "non {}".format),
    "a signer of code signed by sms_reply": lambda reply, _code: setattr(reply, "mode", "code"),
    "a signer of reply signed by otp_web": lambda _reply, code: setattr(code, "mode", "reply"),
    "was signed by others": lambda _reply, code: setattr(code, "phone", "+33600000000"),
}


async def test_what_would_be_wrong_is_seen(sqlite_database: Database, autojump_clock: trio.testing.MockClock) -> None:
    """The eyes of the test above: other people, doors and codes than those of the evidence are found."""
    async with rig(sqlite_database, sim=operator("healthy"), **SETTINGS) as pair:
        [errand] = errands(1)
        await run(Office(pair), pair.sim, errand)
        await pair.settled(60)
        assert await wrong_bundles(pair, [errand]) == []
        for what, change in WRONG.items():
            other = deepcopy(errand)
            change(*other.signers)
            assert any(what in one for one in await wrong_bundles(pair, [other])), what
        assert any("another document" in one for one in await wrong_bundles(pair, [replace(errand, title="Bail 2")]))
