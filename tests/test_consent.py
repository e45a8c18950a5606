"""The ledger of consent and the standing opt-outs, on both databases."""

from __future__ import annotations

import dataclasses

import pytest

from engine.clock import VirtualClock
from engine.consent import EVERY_SENDER, Consent, Said, with_stop
from engine.keyring import KeyRing
from engine.store.doorway import Store

APP, PHONE, OTHER = "app_1", "+33612345671", "+33612345672"
STOP = Said(APP, PHONE, "main", "STOP", source_id="rpl_1")
ASKED = [("m1", PHONE, "main"), ("m2", PHONE, "news"), ("m3", OTHER, "main")]


def consent() -> Consent:
    clock = VirtualClock(seed=1)
    return Consent(clock, KeyRing.generate(clock.entropy))


async def test_an_opt_out_silences_one_sender_of_one_application_for_one_number(store: Store) -> None:
    ledger = consent()
    await store.write(lambda tx: ledger.opt_out(tx, STOP, 1))
    assert await store.read(lambda tx: ledger.silenced(tx, APP, ASKED)) == {"m1"}
    assert await store.read(lambda tx: ledger.silenced(tx, "app_2", ASKED)) == set()


async def test_an_opt_out_of_every_sender_silences_all_of_the_application(store: Store) -> None:
    ledger = consent()
    await store.write(lambda tx: ledger.opt_out(tx, dataclasses.replace(STOP, sender=EVERY_SENDER), 1))
    assert await store.read(lambda tx: ledger.silenced(tx, APP, ASKED)) == {"m1", "m2"}


async def test_saying_stop_twice_changes_nothing_and_an_opt_in_ends_it(store: Store) -> None:
    ledger = consent()
    for now in (1, 2):
        await store.write(lambda tx, now=now: ledger.opt_out(tx, STOP, now))
    await store.write(lambda tx: ledger.opt_in(tx, dataclasses.replace(STOP, words="START"), 3))
    assert await store.read(lambda tx: ledger.silenced(tx, APP, ASKED)) == set()


async def test_an_opt_in_to_every_sender_ends_the_opt_outs_of_each_for_one_number(store: Store) -> None:
    ledger = consent()
    for said in (STOP, dataclasses.replace(STOP, sender="news"), dataclasses.replace(STOP, phone=OTHER)):
        await store.write(lambda tx, said=said: ledger.opt_out(tx, said, 1))
    await store.write(lambda tx: ledger.opt_in(tx, dataclasses.replace(STOP, sender=EVERY_SENDER), 2))
    assert await store.read(lambda tx: ledger.standing(tx, APP, PHONE)) == []
    assert await store.read(lambda tx: ledger.silenced(tx, APP, ASKED)) == {"m3"}


async def test_messages_are_not_looked_at_while_nobody_has_said_stop(store: Store) -> None:
    looked = (entry for entry in ASKED)
    assert await store.read(lambda tx: consent().silenced(tx, APP, looked)) == set()
    assert next(looked) == ASKED[0]


@pytest.mark.parametrize(
    ("text", "stop", "country", "sent"),
    [
        ("Promo !", "36180", "FR", "Promo ! STOP au 36180"),
        ("Promo ! STOP au 36180", "36180", "FR", "Promo ! STOP au 36180"),
        ("Promo ! Stop : 36180", "36180", "FR", "Promo ! Stop : 36180"),
        ("Nonstop 36180 offers", "36180", "FR", "Nonstop 36180 offers STOP au 36180"),
        ("Promo !", "36180", "DE", "Promo !"),
        ("Promo !", "", "FR", "Promo !"),
    ],
)
def test_marketing_to_france_says_where_stop_goes_unless_it_does(text: str, stop: str, country: str, sent: str) -> None:
    assert with_stop(text, stop, country) == sent
