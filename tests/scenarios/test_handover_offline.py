"""Deliveries in places without a network: QR codes that a device checks, its log brought home, claims and conflicts."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio.testing

from engine.cases.deliveries import AskedSlot
from engine.cases.device_rows import entries_of
from engine.cases.handover_logs import SentLog, opening, signed_text
from engine.cases.outcomes import Outcome
from engine.clock import DAY, HOUR, SECOND
from engine.duties.retention import Retention
from engine.handover_client import Log, check_qr, new_key, to_text
from engine.settings_service import Retention as Ages
from engine.store.connections import Database
from tests.couriers import ANNA, BORIS, SENDERS, Depot
from tests.rig import APP, EVENTS, rig
from tests.scenarios.test_handover import qr
from tests.test_secrets_at_rest import every_text

Autojump = trio.testing.MockClock


@dataclass
class Device:
    """A courier's device: its log, and how far its clock is off, in seconds."""

    depot: Depot
    log: Log
    off_s: list[float]

    @classmethod
    async def registered(cls, depot: Depot, folder: Path, courier: str = "courier-17", *, padding: str = "") -> Device:
        """A device whose key the merchant has registered."""
        key, public = new_key()
        public += padding
        logs = depot.pair.core.handover_logs
        outcome = await depot.run(lambda tx, now: logs.register(tx, APP, courier, "phone", public, "key_m", now))
        off_s = [0.0]
        clock = lambda: depot.now / SECOND + off_s[0]  # noqa: E731 - its clock, as wrong as the test wants
        return cls(depot, Log(folder / f"{outcome.body['id']}.json", key, outcome.body["id"], clock), off_s)

    def enter(self, delivery: str, value: str, courier: str = "courier-17") -> None:
        """Log what was given, without a network."""
        self.log.enter(delivery, courier, value, "48.85661,2.35222")

    async def sync(self, after: int = 0, most: int = 500, **changed: Any) -> Outcome:
        """Bring the log home, or a piece of it."""
        body = {**self.log.body(after, most), **changed}
        return await send(self.depot, body)

    async def results(self, after: int = 0, most: int = 500) -> list[str]:
        """Bring the log home; return what its entries came to."""
        return [one["result"] for one in (await self.sync(after, most)).body["entries"]]


async def send(depot: Depot, body: dict[str, Any]) -> Outcome:
    sent = SentLog(
        signed_text(**body["head"]),
        [(signed_text(e["content"], e["signature"]), opening(e["salt"], e["value"])) for e in body["entries"]],
    )
    logs = depot.pair.core.handover_logs
    return await depot.run(lambda tx, now: logs.sync(tx, APP, body["device_id"], sent, "key_courier", now))


@asynccontextmanager
async def depots(database: Database) -> AsyncIterator[Depot]:
    async with rig(database, **SENDERS) as pair:
        yield Depot(pair)


async def arrived(depot: Depot, phone: str = ANNA) -> str:
    delivery = await depot.create(phone)
    await depot.arriving(delivery)
    return delivery


async def test_a_device_checks_a_qr_code_by_itself_and_its_log_confirms(
    database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(database) as depot:
        delivery = await depot.create()
        await depot.position(delivery)
        await depot.arriving(delivery)
        token = await qr(depot.pair, depot.page())
        keys = {kid: to_text(key.public_bytes_raw()) for kid, key in depot.pair.core.keyring.public_keys().items()}
        now = depot.now / SECOND
        scanned = check_qr(token, keys, delivery, now)
        assert scanned is not None
        assert scanned.until == (await until(depot, delivery)) // SECOND
        assert check_qr(token, keys, "dlv_other", now) is None
        assert check_qr(token, keys, delivery, scanned.until) is None
        assert check_qr(token[:-2] + "AA", keys, delivery, now) is None
        device = await Device.registered(depot, tmp_path)
        device.enter(delivery, token)
        assert await device.results() == ["confirmed"]
        shown = await depot.shown(delivery)
        assert (shown["state"], shown["assurance"]) == ("delivered", "offline_qr")


async def test_typed_codes_spend_the_same_five_attempts_in_the_order_of_the_log(
    database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(database) as depot:
        delivery, other = await arrived(depot), await arrived(depot, BORIS)
        device = await Device.registered(depot, tmp_path)
        for _ in range(2):
            await depot.confirm(delivery, depot.wrong())
        for value in (depot.wrong(), "12", depot.wrong(), depot.wrong(), depot.code()):
            device.enter(delivery, value)
        device.enter(other, depot.code(BORIS))
        results = await device.results()
        assert results == ["wrong", "bad_format", "wrong", "wrong", "delivery_locked", "confirmed"]
        assert (await depot.state(delivery), await depot.state(other)) == ("locked", "delivered")
        assert (await depot.shown(other))["assurance"] == "offline_code"


async def test_a_key_that_was_registered_with_padding_verifies_its_log(
    sqlite_database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(sqlite_database) as depot:
        delivery = await arrived(depot)
        device = await Device.registered(depot, tmp_path, padding="=")
        device.enter(delivery, depot.code())
        assert await device.results() == ["confirmed"]


async def test_a_log_that_is_cut_tells_nothing_until_the_rest_has_come(
    database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(database) as depot:
        delivery = await arrived(depot)
        device = await Device.registered(depot, tmp_path)
        for value in (depot.wrong(), depot.code()):
            device.enter(delivery, value)
        first = await device.sync(0, 1)
        assert (first.code, [one["result"] for one in first.body["entries"]]) == ("claimed", ["claimed"])
        assert (await depot.shown(delivery))["attempts_remaining"] == 5
        assert await depot.state(delivery) == "claimed"
        assert (await depot.confirm(delivery, depot.code())).code == "claim_pending"
        assert (await device.sync(0, 1)).code == "claimed"  # again: nothing new, and nothing told
        assert await device.results(1) == ["confirmed"]
        assert await depot.events(delivery) == [
            "created", "arriving", "code_sent", "claimed", "attempt_failed", "confirmed",
        ]  # fmt: skip


async def test_what_came_of_a_cut_log_is_adjudicated_after_a_day(
    sqlite_database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(sqlite_database) as depot:
        delivery = await arrived(depot)
        device = await Device.registered(depot, tmp_path)
        for value in (depot.wrong(), depot.wrong()):
            device.enter(delivery, value)
        await device.sync(0, 1)
        depot.ahead = 25 * HOUR
        await depot.tick()
        shown = await depot.shown(delivery)
        assert (shown["state"], shown["attempts_remaining"]) == ("arriving", 4)
        assert await device.results(1) == ["wrong"]


async def test_one_code_claimed_by_two_devices_is_a_conflict_and_the_first_that_came_home_stands(
    database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(database) as depot:
        delivery = await arrived(depot)
        one, other = await Device.registered(depot, tmp_path), await Device.registered(depot, tmp_path)
        other.enter(delivery, depot.code())
        await depot.pair.settled(60)
        one.enter(delivery, depot.code())
        assert await one.results() == ["confirmed"]
        assert await other.results() == ["conflict"]  # though its entry is the earlier one, as its clock says
        shown = await depot.shown(delivery)
        assert (shown["state"], shown["conflicts"]) == ("delivered", 1)
        assert (await depot.events(delivery))[-1] == "conflict"


@pytest.mark.parametrize("off_s", [-86_400.0, 86_400.0])
async def test_a_clock_that_is_a_day_off_changes_nothing(
    sqlite_database: Database, autojump_clock: Autojump, tmp_path: Path, off_s: float
) -> None:
    async with depots(sqlite_database) as depot:
        delivery = await arrived(depot)
        device = await Device.registered(depot, tmp_path)
        device.off_s[0] = off_s
        entered_at = depot.now
        device.enter(delivery, depot.code())
        depot.ahead = 8 * HOUR  # the code's life is over when the log comes home; it was not when it was entered
        assert await device.results() == ["confirmed"]
        shown = await depot.pair.core.store.read(lambda tx: depot.pair.core.deliveries.load(tx, APP, delivery))
        assert shown is not None
        assert abs(shown.case.delivered_at - entered_at) < SECOND


async def test_a_log_that_is_replayed_spends_nothing_and_one_that_is_forked_is_refused(
    database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(database) as depot:
        delivery = await arrived(depot)
        device = await Device.registered(depot, tmp_path)
        device.enter(delivery, depot.wrong())
        body = device.log.body()
        assert (await send(depot, body)).code == "adjudicated"
        again = await send(depot, body)
        assert [one["result"] for one in again.body["entries"]] == ["wrong"]
        assert (await depot.shown(delivery))["attempts_remaining"] == 4
        device.log.entries.clear()
        device.enter(delivery, depot.code())  # another first entry: the wrong one never was
        forked = await device.sync()
        assert (forked.code, forked.body["seq"]) == ("log_forked", 1)
        device.log.entries.clear()
        assert (await device.sync()).code == "log_forked"  # it says that its log is empty
        assert (await depot.shown(delivery))["attempts_remaining"] == 4


async def test_a_log_that_was_tampered_with_or_has_a_gap_is_refused_whole(
    sqlite_database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(sqlite_database) as depot:
        delivery = await arrived(depot)
        device, stranger = [await Device.registered(depot, tmp_path) for _ in range(2)]
        for _ in range(3):
            device.enter(delivery, depot.code())
        body = device.log.body()
        first, second, third = body["entries"]
        swapped = {**first, "content": first["content"].replace("code", "qr")}
        other_value = {**first, "value": depot.wrong()}
        for entries, code in (
            ([swapped, second, third], "log_signature"),
            ([first, third], "log_gap"),
            ([other_value, second, third], "log_malformed"),
            ([{**first, "content": "[]"}], "log_malformed"),
        ):
            assert (await send(depot, {**body, "entries": entries})).code == code
        assert (await send(depot, {**body, "device_id": stranger.log.device})).code == "log_signature"
        assert (await send(depot, {**body, "device_id": "dev_unknown"})).code == "not_found"
        assert (await depot.state(delivery), (await depot.shown(delivery))["attempts_remaining"]) == ("arriving", 5)
        logs = depot.pair.core.handover_logs
        await depot.run(lambda tx, now: logs.revoke(tx, APP, device.log.device, "key_m", now))
        assert (await send(depot, body)).code == "device_revoked"


async def test_guessing_at_a_delivery_that_is_over_is_counted_like_any_other(
    sqlite_database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(sqlite_database) as depot:
        delivery = await arrived(depot)
        device = await Device.registered(depot, tmp_path)
        await depot.fail(delivery)
        for value in (*([depot.wrong()] * 5), depot.code()):
            device.enter(delivery, value)
        assert await device.results() == ["attempt_failed"] * 6  # the right one came too late: nobody is told
        assert (await depot.shown(delivery))["conflicts"] == 0
        slot = AskedSlot(depot.now + HOUR, depot.now + 3 * HOUR, "Europe/Paris")
        again = await depot.call("change_slot", delivery, slot, again=True)
        assert (again.body["state"], again.body["attempts_remaining"]) == ("locked", 0)


async def test_wrong_codes_count_for_the_courier_of_the_device_whomever_its_entries_name(
    database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(database) as depot:
        phones = [f"+336123460{number:02}" for number in range(6)]
        deliveries = [await arrived(depot, phone) for phone in phones]
        device = await Device.registered(depot, tmp_path)
        for number, (phone, delivery) in enumerate(zip(phones[:5], deliveries[:5], strict=True)):
            for _ in range(4):
                device.enter(delivery, depot.wrong(phone), f"courier-of-nobody-{number}")
        device.enter(deliveries[5], depot.code(phones[5]), "courier-of-nobody-6")
        assert await device.results() == ["wrong"] * 20 + ["courier_suspended"]
        refused = await depot.confirm(deliveries[5], depot.code(phones[5]))
        assert refused.code == "courier_suspended"  # online, too: it is courier-17 who guessed
        assert (await depot.confirm(deliveries[5], depot.code(phones[5]), "courier-of-nobody-0")).code == "confirmed"
        named = await named_in(depot, deliveries[4])
        assert named == {"attempt_failed": "courier-of-nobody-4", "courier_suspended": "courier-17"}


async def named_in(depot: Depot, delivery: str) -> dict[str, str]:
    """Return whom the events about guesses name."""
    rows = await depot.pair.rows(EVENTS)
    about = [row for row in rows if row["subject_id"] == delivery]
    given = {row["type"].removeprefix("handover."): json.loads(row["data"]) for row in about}
    return {name: given[name]["courier_id"] for name in ("attempt_failed", "courier_suspended")}


async def test_no_code_stands_anywhere_in_what_a_log_leaves(
    sqlite_database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(sqlite_database) as depot:
        delivery = await arrived(depot)
        device = await Device.registered(depot, tmp_path)
        device.enter(delivery, depot.wrong())
        device.enter(delivery, depot.code())
        await device.sync(0, 1)
        spelled = re.compile(rf"(?<![0-9a-f]){depot.code()}(?![0-9a-f])")
        found = list(await every_text(depot.pair))
        assert any(where == "handover_entry.sealed" for where, _ in found)
        assert not [where for where, text in found if spelled.search(text)]


async def until(depot: Depot, delivery: str) -> int:
    """Return the end of a delivery's code."""
    held = await depot.pair.core.store.read(lambda tx: depot.pair.core.deliveries.load(tx, APP, delivery))
    assert held is not None
    return held.case.code_until


async def test_entries_about_no_delivery_wait_for_nothing_and_are_erased_and_the_log_goes_on(
    database: Database, autojump_clock: Autojump, tmp_path: Path
) -> None:
    async with depots(database) as depot:
        delivery = await arrived(depot)
        device = await Device.registered(depot, tmp_path)
        device.enter("dlv_of_nobody", "111111")
        device.enter(delivery, depot.code())
        device.enter(delivery, "222222")
        assert await device.results(0, 2) == ["not_found", "claimed"]  # the third entry is still to come
        kept = await depot.pair.core.store.read(lambda tx: entries_of(tx, device.log.device, 1, 9))
        assert [one.sealed is None for one in kept] == [True, False]  # and what was typed is forgotten
        retention = Retention(Ages(events_days=365))
        later = depot.now + 31 * DAY
        await depot.pair.core.store.write(lambda tx: retention.purge(tx, later))
        assert await device.results() == ["confirmed", "already_delivered"]  # from the first one on, once more
