"""Deliveries over the air: codes on handsets, given to couriers, passed on by SMS, lost, locked and decided."""

from __future__ import annotations

from typing import Any

import trio.testing

from engine.cases.deliveries import Asked, AskedSlot
from engine.cases.erasing import Erased, Erasing, NotErased
from engine.cases.handover_page import delivery_page
from engine.clock import HOUR, MINUTE, SECOND
from engine.evidence.bundle import collect
from engine.store.connections import Database
from smppsim.outcomes import Outcome as Undelivered
from tests.couriers import ANNA, BORIS, CHLOE, COURIER, SENDERS, Depot
from tests.rig import APP, MESSAGES, PARTS, RECEIPTS, REPLIES, Rig, accounts, rig, simulator

Autojump = trio.testing.MockClock


async def test_a_parcel_is_handed_over_with_the_code_that_its_recipient_got(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        before = await depot.confirm(delivery, "123456")
        assert (before.code, (await depot.shown(delivery))["attempts_remaining"]) == ("not_ready", 5)
        assert (await depot.arriving(delivery)).code == "arriving"
        [text] = depot.texts()
        assert text.startswith(f"Boutique : colis 4471 arrive. Code {depot.code()}, ")
        assert (await depot.arriving(delivery)).code == "arriving"  # told twice, sent once
        assert len(depot.texts()) == 1
        wrong = await depot.confirm(delivery, depot.wrong())
        assert (wrong.code, wrong.body["attempts_remaining"]) == ("code_mismatch", 4)
        right = await depot.confirm(delivery, depot.code())
        assert (right.code, right.body["state"]) == ("confirmed", "delivered")
        assert (await depot.confirm(delivery, depot.code())).code == "already_delivered"
        shown = await depot.shown(delivery)
        assert (shown["state"], shown["assurance"], shown["courier_id"]) == ("delivered", "code", COURIER)
        assert depot.texts()[-1].startswith("Boutique : colis 4471 a été remis.")
        assert await depot.events(delivery) == ["created", "arriving", "code_sent", "attempt_failed", "confirmed"]


async def test_the_page_of_the_link_holds_a_qr_code_that_confirms(database: Database, autojump_clock: Autojump) -> None:
    async with rig(database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery, other = await depot.create(), await depot.create(BORIS)
        await depot.position(delivery, "48.85661,2.35222")
        await depot.position(other)
        assert "est en route, prévu " in depot.texts()[0]
        token, stranger = await qr(pair, depot.page()), await qr(pair, depot.page(BORIS))
        await depot.arriving(delivery)
        assert "/h/" not in depot.texts()[-1]  # one part: the link came before
        for bad in (stranger, token[:-3] + "AAA", "SCEAU1.e30.AAAA"):
            assert (await depot.confirm(delivery, bad)).code == "bad_format"
        assert (await depot.shown(delivery))["attempts_remaining"] == 5
        assert (await depot.confirm(delivery, token)).code == "confirmed"
        assert (await depot.shown(delivery))["assurance"] == "qr"
        assert await qr(pair, depot.page()) == "delivered"


async def test_five_wrong_codes_over_all_generations_lock_until_a_supervisor_decides(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        for _ in range(3):
            await depot.confirm(delivery, depot.wrong())
        old = depot.code()
        await pair.settled(60)
        assert (await depot.call("regenerate", delivery)).body["attempts_remaining"] == 2
        superseded = await depot.confirm(delivery, old)
        assert (superseded.code, superseded.body["attempts_remaining"]) == ("superseded", 2)
        for _ in range(2):
            await depot.confirm(delivery, depot.wrong())
        assert await depot.state(delivery) == "locked"
        assert (await depot.confirm(delivery, depot.code())).code == "delivery_locked"
        await pair.settled(60)
        assert (await depot.call("regenerate", delivery)).code == "delivery_locked"
        assert (await depot.fail(delivery)).body["state"] == "failed"  # another slot is no way out
        slot = AskedSlot(depot.now + HOUR, depot.now + 3 * HOUR, "Europe/Paris")
        assert (await depot.call("change_slot", delivery, slot, again=True)).body["state"] == "locked"
        assert (await depot.arriving(delivery)).code == "delivery_locked"
        assert (await depot.confirm(delivery, depot.wrong())).code == "delivery_locked"
        unlocked = await depot.override(delivery, "unlocked")
        assert (unlocked.body["state"], unlocked.body["attempts_remaining"]) == ("scheduled", 5)
        assert (await depot.arriving(delivery)).code == "arriving"
        assert (await depot.confirm(delivery, depot.code())).code == "confirmed"
        assert (await depot.events(delivery)).count("locked") == 2


async def test_a_locked_delivery_that_was_not_failed_goes_on_with_a_fresh_code(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        old = depot.code()
        for _ in range(5):
            await depot.confirm(delivery, depot.wrong())
        unlocked = await depot.override(delivery, "unlocked")
        assert (unlocked.body["state"], unlocked.body["attempts_remaining"]) == ("arriving", 5)
        assert (await depot.confirm(delivery, old)).code == "superseded"
        assert (await depot.confirm(delivery, depot.code())).code == "confirmed"
        assert "override" in await depot.events(delivery)


async def test_a_supervisor_answers_for_a_handover_without_a_code(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        assert (await depot.override(delivery, "unlocked")).code == "not_locked"
        decided = await depot.override(delivery, "delivered")
        assert (decided.code, decided.body["assurance"]) == ("confirmed", "override")
        assert await depot.events(delivery) == ["created", "override", "confirmed"]
        assert (await depot.override(delivery, "delivered")).code == "already_delivered"


async def test_a_courier_who_guesses_is_suspended_for_the_day_over_all_deliveries(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        depot = Depot(pair)
        phones = [f"+336123460{number:02}" for number in range(6)]
        deliveries = [await depot.create(phone) for phone in phones]
        for delivery in deliveries:
            await depot.arriving(delivery)
        for phone, delivery in zip(phones[:5], deliveries[:5], strict=True):
            for _ in range(4):
                assert (await depot.confirm(delivery, depot.wrong(phone))).code == "code_mismatch"
        last = deliveries[5]
        refused = await depot.confirm(last, depot.code(phones[5]))
        assert (refused.code, refused.body["attempts_remaining"]) == ("courier_suspended", 5)
        assert (await depot.events(deliveries[4]))[-1] == "courier_suspended"
        assert (await depot.confirm(last, depot.code(phones[5]), "courier-18")).code == "confirmed"
        depot.ahead = 24 * HOUR
        assert (await depot.confirm(deliveries[0], depot.code(phones[0]))).code == "code_expired"  # and not suspended


async def test_a_code_that_has_ended_is_made_anew_when_the_courier_arrives(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """Complaint 13: expired code, never sent, accepted too early."""
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        old = depot.code()
        depot.ahead = 6 * HOUR  # slot and grace are over
        assert (await depot.confirm(delivery, old)).code == "code_expired"
        assert (await depot.arriving(delivery)).code == "arriving"
        assert depot.code() != old
        assert (await depot.confirm(delivery, old)).code == "superseded"
        assert (await depot.confirm(delivery, depot.code())).code == "confirmed"


async def test_a_holder_passes_the_code_on_by_sms_and_the_recipient_may_take_it_back(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        first = depot.code()
        await depot.says(f"{first} +33 6 12 34 56 72")
        assert (await depot.shown(delivery))["delegate"] == "+336••••••72"
        assert depot.texts()[-1].endswith("finissant par 72. Pas vous ? Répondez NON.")
        assert (await depot.confirm(delivery, first)).code == "superseded"
        delegated = depot.code(BORIS)
        await depot.says("Non !")
        assert (await depot.shown(delivery))["delegate"] is None
        assert (await depot.confirm(delivery, delegated)).code == "superseded"
        await depot.says(f"{depot.code()}, {CHLOE}")
        assert (await depot.confirm(delivery, depot.code(CHLOE))).code == "confirmed"
        assert any("a été remis" in text for text in depot.texts(ANNA))
        assert any("a été remis" in text for text in depot.texts(CHLOE))
        choices = [row["choice"] for row in await pair.rows(REPLIES)]
        assert choices == ["code_equal", "refusal", "code_equal"]


async def test_a_delegation_needs_the_right_code_a_served_number_and_is_made_twice_at_most(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        await depot.says(f"{depot.wrong()} {BORIS}")
        shown = await depot.shown(delivery)
        assert (shown["delegate"], shown["attempts_remaining"]) == (None, 4)
        for number in ("+33899123456", "+3361234", ANNA):  # premium, impossible, their own
            await depot.says(f"{depot.code()} {number}")
        shown = await depot.shown(delivery)
        assert (shown["delegate"], shown["attempts_remaining"], shown["delegations_remaining"]) == (None, 4, 2)
        await depot.says(depot.code())  # the code alone: nobody is told it, the recipient is told how
        assert depot.texts()[-1].startswith("Boutique : donnez ce code au livreur en personne")
        assert (await depot.call("delegate", delivery, Asked(BORIS, "FR"))).code == "delegated"
        assert (await depot.call("delegate", delivery, Asked(BORIS, "FR"))).code == "already_party"
        await pair.settled(60)
        assert (await depot.call("delegate", delivery, Asked(CHLOE, "FR"))).code == "delegated"
        assert (await depot.call("delegate", delivery, Asked("+33612345679", "FR"))).code == "max_delegations"
        assert "delegation_refused" in await depot.events(delivery)
        assert (await depot.confirm(delivery, depot.code(CHLOE))).code == "confirmed"


async def test_a_superseded_code_that_is_passed_on_by_sms_costs_no_attempt(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        old = depot.code()
        await pair.settled(60)
        await depot.call("regenerate", delivery)
        assert depot.code() != old
        await depot.says(f"{old} {BORIS}")
        shown = await depot.shown(delivery)
        assert (shown["delegate"], shown["attempts_remaining"]) == (None, 5)
        assert "attempt_failed" not in await depot.events(delivery)
        assert depot.texts()[-1].startswith("Boutique : colis 4471 ne peut pas aller à ce numéro")
        await depot.says(f"{depot.wrong()} {BORIS}")
        assert (await depot.shown(delivery))["attempts_remaining"] == 4


async def test_a_superseded_code_of_one_delivery_costs_no_attempt_at_another_of_the_same_person(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        other = await depot.create()
        await depot.arriving(other)
        delivery = await depot.create()
        await depot.arriving(delivery)
        old = depot.code()
        await pair.settled(60)
        await depot.call("regenerate", delivery)
        await depot.says(f"{old} {BORIS}")
        assert [(await depot.shown(one))["attempts_remaining"] for one in (delivery, other)] == [5, 5]


async def test_a_delegate_alone_gets_the_link_to_the_code_that_is_theirs(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        assert (await depot.call("delegate", delivery, Asked(BORIS, "FR"))).code == "delegated"
        await pair.settled(60)
        before = len(depot.texts(ANNA))
        await depot.position(delivery, "48.85661,2.35222")
        told = depot.texts(ANNA)[before:]
        assert [text for text in told if "est en route" in text]
        assert not [text for text in told if "/h/" in text]
        assert [text for text in depot.texts(BORIS) if "est en route" in text and "/h/" in text]


async def test_a_code_that_does_not_arrive_goes_another_way_and_then_to_the_application(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, sim=simulator(others=("second",)), bound=2, **two_ways()) as pair:
        depot = Depot(pair)
        pair.sim.behave(outcomes=[Undelivered(state="undeliverable")])
        delivery = await depot.create()
        await depot.arriving(delivery)
        await pair.settled(60)
        events = await depot.events(delivery)
        assert events == ["created", "arriving", "code_sent", "code_undelivered", "unreachable"]
        carried = [row["account"] for row in await pair.rows(MESSAGES) if row["message_class"] == "handover_code"]
        assert carried == ["sceau", "second"]
        revealed = await depot.call("reveal", delivery, "told by telephone")
        assert (await depot.confirm(delivery, revealed.body["code"])).code == "confirmed"
        entries = await pair.core.store.read(lambda tx: pair.core.deliveries.timeline(tx, "app_test", delivery))
        assert any(one.get("action") == "handover.revealed" for one in entries or ())


async def test_a_code_that_no_operator_takes_can_be_entered_once_it_was_revealed_to_be_told_by_voice(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, sim=simulator(others=("second",)), bound=2, **two_ways()) as pair:
        depot = Depot(pair)
        pair.sim.behave(answers=[{"status": "RINVDSTADR"}])
        delivery = await depot.create()
        await depot.arriving(delivery)
        await pair.settled(60)
        assert (await depot.events(delivery))[-1] == "unreachable"
        assert (await depot.confirm(delivery, "123456")).code == "not_ready"
        assert not (await depot.shown(delivery))["ready"]
        revealed = await depot.call("reveal", delivery, "told by telephone")
        shown = await depot.shown(delivery)
        assert (shown["ready"], shown["attempts_remaining"]) == (True, 5)
        assert (await depot.confirm(delivery, revealed.body["code"])).code == "confirmed"


async def test_a_code_that_was_revealed_while_its_message_is_on_the_way_waits_for_the_operator(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.position(delivery)  # its page has a code, which no message has yet
        revealed = await depot.call("reveal", delivery, "too early")
        assert (await depot.confirm(delivery, revealed.body["code"])).code == "not_ready"


async def test_a_code_that_does_not_arrive_is_on_the_other_way_within_a_second(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, sim=simulator(others=("second",)), bound=2, **two_ways()) as pair:
        depot = Depot(pair)
        pair.sim.behave(outcomes=[Undelivered(state="undeliverable")])
        await depot.arriving(await depot.create())
        await pair.settled(60)
        lost = min(row["received_at"] for row in await pair.rows(RECEIPTS))
        [again] = [row["sent_at"] for row in await pair.rows(PARTS) if row["account"] == "second"]
        assert 0 <= again - lost < SECOND


async def test_a_missed_delivery_is_attempted_again_with_another_code(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create()
        await depot.arriving(delivery)
        first = depot.code()
        assert (await depot.fail(delivery)).body["state"] == "failed"
        assert (await depot.confirm(delivery, first)).code == "attempt_failed"
        now = depot.now
        again = AskedSlot(now + 24 * HOUR, now + 26 * HOUR, "Europe/Paris")
        changed = await depot.call("change_slot", delivery, again, again=True)
        assert (changed.body["state"], changed.body["tries"]) == ("scheduled", 2)
        assert depot.texts()[-1].startswith("Boutique : colis 4471 est maintenant prévu ")
        depot.ahead = 24 * HOUR
        await depot.arriving(delivery)
        assert (await depot.confirm(delivery, first)).code == "superseded"
        assert (await depot.confirm(delivery, depot.code())).code == "confirmed"
        assert (await depot.call("give_back", delivery, "late")).code == "already_delivered"


async def test_every_delivery_has_one_outcome_in_the_end(sqlite_database: Database, autojump_clock: Autojump) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        back, given_up, left = [await depot.create(phone) for phone in (ANNA, BORIS, CHLOE)]
        await depot.fail(back)
        assert (await depot.call("give_back", back, "refused")).body["state"] == "returned"
        assert (await depot.call("cancel", given_up, "")).body["state"] == "canceled"
        depot.ahead = 8 * 24 * HOUR
        await depot.tick()
        assert await depot.state(left) == "expired"
        ends = {one: (await depot.events(one))[-1] for one in (back, given_up, left)}
        assert ends == {back: "returned", given_up: "canceled", left: "expired"}


async def test_the_code_leaves_so_long_before_the_slot_or_the_expected_arrival(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        by_slot = await depot.create(lead_s=1_800)
        by_eta = await depot.create(BORIS, lead_s=600)
        by_place = await depot.create(CHLOE, lead_s=600, there="48.85661,2.35222")
        assert not depot.texts(ANNA)
        await pair.settled(31 * 60)  # the slot begins in an hour
        assert await depot.state(by_slot) == "arriving"
        await depot.position(by_eta, eta_at=pair.clock.now() + 11 * MINUTE)
        assert (await depot.state(by_eta), len(depot.texts(BORIS))) == ("scheduled", 1)
        await pair.settled(120)
        assert await depot.state(by_eta) == "arriving"
        await depot.position(by_place, "48.87000,2.36000")  # two kilometres: it will take less than ten minutes
        assert await depot.state(by_place) == "arriving"


async def test_messages_that_are_switched_off_are_not_sent(sqlite_database: Database, autojump_clock: Autojump) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        delivery = await depot.create(notices=("delivered",))
        await depot.position(delivery, "48.85661,2.35222")
        await depot.arriving(delivery)
        assert not depot.texts()
        code = (await depot.call("reveal", delivery, "our own application shows it")).body["code"]
        assert (await depot.confirm(delivery, code)).code == "confirmed"
        assert len(depot.texts()) == 1


async def test_one_person_with_two_deliveries_has_two_codes_and_each_confirms_its_own(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    async with rig(sqlite_database, **SENDERS) as pair:
        depot = Depot(pair)
        one, other = await depot.create(title="colis 1"), await depot.create(title="colis 2")
        await depot.arriving(one)
        first = depot.code()
        await depot.arriving(other)
        second = depot.code()
        assert first != second
        assert (await depot.confirm(one, second)).code == "code_mismatch"
        assert (await depot.confirm(other, second)).code == "confirmed"
        assert (await depot.confirm(one, first)).code == "confirmed"


async def test_a_person_is_erased_and_the_proof_stays(database: Database, autojump_clock: Autojump) -> None:
    """S37, for a recipient whose code went to a delegate."""
    async with rig(database, **SENDERS) as pair:
        depot, core = Depot(pair), pair.core
        delivery = await depot.create(there="48.85661,2.35222")
        await depot.arriving(delivery)
        erasing = Erasing(core.store, core.clock, core.keyring, core.custody)
        assert await erasing.erase(APP, ANNA, "key_1") == NotErased("subject_active", (delivery,))
        await depot.says(f"{depot.code()} {BORIS}")
        await depot.confirm(delivery, depot.code(BORIS))
        erased = await erasing.erase(APP, ANNA, "key_1")
        assert isinstance(erased, Erased)
        pair.erased.add(ANNA)
        shown = await depot.shown(delivery)
        assert (shown["to"], shown["delegate"], shown["state"]) == ("", "+336••••••72", "delivered")
        gathered = await core.store.read(lambda tx: collect(tx, APP, delivery, core.keyring))
        assert gathered is not None
        assert "48.85661" not in "".join(gathered.entries)  # where the courier stood is where somebody lives
        opened = str(gathered.openings)
        assert "48.85661" not in opened
        assert (ANNA in opened, "Anna Durand" in opened, BORIS in opened) == (False, False, True)


def two_ways() -> dict[str, Any]:
    """Settings of two accounts that carry the sender, of whom replies reach none."""
    return {"http": SENDERS["http"], **accounts("sceau", "second")}


async def qr(pair: Rig, token: str) -> str:
    """Return what the QR code of a page says, or the page's state where there is none."""
    core, now = pair.core, pair.clock.now()
    page = await core.store.read(lambda tx: delivery_page(core.deliveries, tx, token, now))
    return "unknown" if page is None else page.token or page.state
