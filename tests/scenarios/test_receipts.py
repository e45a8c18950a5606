"""Receipts between engine and simulator: early, late, elsewhere, doubled, in every id style, over restarts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from engine.cases import timeline
from engine.smpp.pdu import DeliverSmResp
from engine.store.connections import Database
from smppsim.faults import Throttle
from smppsim.scenario import AccountSettings, Scenario
from smppsim.simulator import Simulator
from tests.amounts import Figure, amounts
from tests.rig import APP, MESSAGES, PARTS, PHONE, RECEIPTS, Rig, World, bind_settings, rig

Autojump = trio.testing.MockClock


@asynccontextmanager
async def lasting_world() -> AsyncIterator[World]:
    """An operator that goes on while engines come and go."""
    world = World.new()
    async with trio.open_nursery() as nursery:
        await nursery.start(world.sim.run)
        yield world
        nursery.cancel_scope.cancel()


async def delivered(pair: Rig, ids: list[str]) -> None:
    for message_id in ids:
        await pair.until(message_id, "delivered")


async def both_bound(pair: Rig) -> None:
    await pair.settled(5)
    assert pair.core.pool.bound() == 2


async def unmatched(pair: Rig) -> int:
    return sum(row["effect"] == "orphan" for row in await pair.rows(RECEIPTS))


@pytest.mark.parametrize("count", amounts(60, 10_000))
@pytest.mark.parametrize("when", ["before", "with", "after"])
async def test_receipts_before_with_and_after_their_responses_all_match_and_read_in_order(
    database: Database, autojump_clock: Autojump, when: str, count: int, figure: Figure
) -> None:
    """D1, users-ask 1: none unmatched; every timeline shows accepted before delivered."""
    async with rig(database, account={"binds": {"main": bind_settings(window=max(10, count // 100))}}) as pair:
        pair.sim.behave(receipt_when=when, receipt_delay={"kind": "uniform", "low": 0, "high": 20})
        ids = await pair.send_many([f"texte {number}" for number in range(count)])
        await delivered(pair, ids)
        assert await unmatched(pair) == 0
        for message_id in ids:
            told = await pair.core.store.read(lambda tx, one=message_id: timeline.of_message(tx, APP, one))
            events = [entry["what"] for entry in told if entry["what"].startswith("message.")]
            assert events == ["message.queued", "message.accepted", "message.delivered"]
            assert [entry["at"] for entry in told] == sorted(entry["at"] for entry in told)
        figure(f"users-ask 1: receipts {when} their responses, unmatched", f"0 of {count:,}")


async def test_a_receipt_a_minute_before_a_late_response_waits_for_it(
    database: Database, autojump_clock: Autojump
) -> None:
    """D1, B15: 60 s; the message is in doubt meanwhile, and sent once."""
    async with rig(database) as pair:
        pair.sim.behave(receipt_when="before", receipt_delay=0, response="hold")
        message_id = await pair.send()
        await pair.until(message_id, "in_doubt")
        await pair.settled(30)
        pair.sim.release()
        await pair.until(message_id, "delivered")
        assert await pair.events_of(message_id) == ["message.in_doubt", "message.accepted", "message.delivered"]
        assert sum(pair.sim.deliveries().values()) == 1


async def test_a_receipt_finds_its_message_after_a_restart(database: Database, autojump_clock: Autojump) -> None:
    """D1: accepted by one process, receipted to the next."""
    async with lasting_world() as world:
        async with rig(database, world=world) as pair:
            world.sim.behave(receipt_delay=90)
            message_id = await pair.send()
            await pair.until(message_id, "accepted")
        await trio.sleep(30)
        async with rig(database, world=world) as pair:
            await pair.until(message_id, "delivered")
            assert await unmatched(pair) == 0


async def test_a_receipt_whose_response_was_lost_with_the_process_settles_the_doubt(
    database: Database, autojump_clock: Autojump
) -> None:
    """D1, D19, B27: receipt first, then a restart, and the response never: told by the receipt, not sent again."""
    async with lasting_world() as world:
        async with rig(database, world=world) as pair:
            world.sim.behave(response="never", receipt_delay=2)
            message_id = await pair.send()
            await pair.settled(3)
            assert await unmatched(pair) == 1
        async with rig(database, world=world) as pair:
            await pair.until(message_id, "delivered")
            assert sum(world.sim.deliveries().values()) == 1
            assert await unmatched(pair) == 0


SIBLINGS = {
    "two of one kind": {"a": bind_settings(), "b": bind_settings()},
    "TX and RX": {"tx": bind_settings(mode="TX"), "rx": bind_settings(mode="RX")},
}


@pytest.mark.parametrize("binds", SIBLINGS)
async def test_receipts_on_the_sibling_bind_match_by_account(
    database: Database, autojump_clock: Autojump, binds: str
) -> None:
    """D2, users-ask 2: two binds of one account, receipts always on the other."""
    async with rig(database, account={"binds": SIBLINGS[binds]}) as pair:
        await both_bound(pair)
        pair.sim.behave(receipt_bind="sibling")
        ids = await pair.send_many([f"texte {number}" for number in range(40)])
        await delivered(pair, ids)
        assert await unmatched(pair) == 0
        sent_on = {(row["message_id"], row["number"]): row["bind"] for row in await pair.rows(PARTS)}
        assert all(row["bind"] != sent_on[row["message_id"], row["part"]] for row in await pair.rows(RECEIPTS))


FORMS = [
    ("plain", "decimal", "padded"),
    ("plain", "hex", "upper_hex"),
    ("plain", "padded_hex", "hex"),
    ("plain", "uuid", None),
    ("hex_submit_dec_receipt", "hex", "decimal"),
    ("hex_submit_dec_receipt", "hex", "padded"),
    ("hex_submit_dec_receipt", "huge", "huge_decimal"),
    ("dec_submit_hex_receipt", "decimal", "hex"),
    ("dec_submit_hex_receipt", "huge_decimal", "huge"),
    ("any", "hex", "decimal"),
    ("any", "decimal", "padded_hex"),
    ("any", "huge", "huge_decimal"),
]


@pytest.mark.parametrize(("style", "answered", "told"), FORMS)
async def test_ids_in_every_style_match_end_to_end(
    sqlite_database: Database, autojump_clock: Autojump, style: str, answered: str, told: str | None
) -> None:
    """D3, users-ask 3."""
    async with rig(sqlite_database, account={"id_style": style}) as pair:
        pair.sim.behave(id_form=answered, receipt_id_form=told)
        ids = await pair.send_many([f"texte {number}" for number in range(12)])
        await delivered(pair, ids)
        assert await unmatched(pair) == 0


async def test_two_operators_that_issue_the_same_id_never_cross(database: Database, autojump_clock: Autojump) -> None:
    """D3, D4, users-ask 3: ids are scoped by account."""
    accounts = (
        AccountSettings(system_id="sceau", password="secret08"),
        AccountSettings(system_id="other", password="secret08"),
    )  # fmt: skip
    sim = Simulator(Scenario(accounts=accounts))
    tree = {
        "accounts": {
            name: {"kind": "simulator", "binds": {"main": bind_settings(system_id=system_id)}}
            for name, system_id in (("sim", "sceau"), ("two", "other"))
        },
        "senders": {"main": {"address": "Sceau", "accounts": ["sim", "two"]}},
        "routes": {
            "one": {"accounts": ["sim"], "prefixes": ["+336123456"]}, "two": {"accounts": ["two"], "prefixes": ["+1"]},
        },
    }  # fmt: skip
    async with rig(database, sim=sim, **tree) as pair:
        await both_bound(pair)
        sim.behave(receipts="never")
        mine = await pair.send()
        await pair.until(mine, "accepted")
        sim.smsc.messages._next -= 1
        theirs = await pair.send(to="+12025550123")
        await pair.until(theirs, "accepted")
        first, second = (row["smsc_id"] for row in await pair.rows(PARTS))
        assert first == second
        message = next(iter(sim.smsc.messages))
        assert message.account.system_id == "other"
        sim.receipt(message, "delivered")
        await pair.until(theirs, "delivered")
        assert await pair.state(mine) == "accepted"


@pytest.mark.parametrize("odd", ["tlvs only", "text only", "data_sm", "doubled", "late", "unasked"])
async def test_receipts_in_every_usual_form_settle_their_messages(
    database: Database, autojump_clock: Autojump, odd: str
) -> None:
    """D5, D12, D20, D21: parameters alone, text alone, data_sm with its own response, twice, late, never asked for."""
    behaviour: dict[str, dict[str, Any]] = {
        "tlvs only": {"receipt_text": "empty"},
        "text only": {"receipt_tlvs": False, "receipt_text": "seconds"},
        "data_sm": {"receipt_pdu": "data_sm"},
        "doubled": {"receipts_doubled": 1.0},
        "late": {"receipts_late": 1.0, "receipts_late_by": 60},
        "unasked": {"receipts": "always"},
    }
    account = {"registered_delivery": 0} if odd == "unasked" else {}
    async with rig(database, account=account) as pair:
        pair.sim.behave(**behaviour[odd])
        ids = await pair.send_many([f"texte {number}" for number in range(5)])
        await delivered(pair, ids)
        await pair.settled(1)
        for message_id in ids:
            assert (await pair.events_of(message_id)).count("message.delivered") == 1
        assert pair.sim.stats.deliveries_acknowledged == pair.sim.stats.receipts_sent == 5 * (1 + (odd == "doubled"))


async def test_intermediate_reports_come_and_go_and_one_final_event_is_told(
    database: Database, autojump_clock: Autojump
) -> None:
    """D9, D10, users-ask 6, 7: throttled twice, then enroute, accepted, delivered, and a contradiction."""
    async with rig(database) as pair:
        pair.sim.cause(Throttle(for_s=1.0))
        pair.sim.behave(receipts="never")
        message_id = await pair.send()
        await pair.until(message_id, "accepted")
        message = next(iter(pair.sim.smsc.messages))
        for state, said in (("enroute", {"intermediate": True}), ("accepted", {}), ("delivered", {}), ("expired", {})):
            pair.sim.receipt(message, state, **said)
            await pair.settled(1)
        assert await pair.state(message_id) == "delivered"
        assert await pair.events_of(message_id) == ["message.accepted", "message.delivered"]
        row = await pair.message(message_id)
        assert row["throttles"] >= 1
        assert row["attempts"] == 1
        effects = [row["effect"] for row in await pair.rows(RECEIPTS)]
        assert effects == ["noted", "noted", "applied", "contradicts"]


async def test_a_long_message_settles_by_the_receipts_of_all_its_parts(
    database: Database, autojump_clock: Autojump
) -> None:
    """D14, users-ask 4: responses held and released backwards, receipts before them."""
    async with rig(database) as pair:
        pair.sim.behave(response="hold", receipt_when="before")
        message_id = await pair.send("Une phrase assez longue, répétée. " * 12)
        await pair.sim.until(lambda: len(pair.sim.held) == 3)
        await pair.settled(2)
        pair.sim.release(*reversed(pair.sim.held))
        await pair.until(message_id, "delivered")
        assert await pair.events_of(message_id) == ["message.accepted", "message.delivered"]
        assert await unmatched(pair) == 0


async def test_a_message_of_which_nobody_tells_ends_unknown(database: Database, autojump_clock: Autojump) -> None:
    """D13: its life and the grace after it; then a late receipt is still believed."""
    async with rig(database) as pair:
        pair.sim.behave(receipts="never")
        message_id = await pair.send(ttl_s=600)
        await pair.until(message_id, "accepted")
        pair.clock.step(600 + 3_600)
        await pair.until(message_id, "unknown", within_s=5)
        pair.sim.receipt(next(iter(pair.sim.smsc.messages)), "delivered")
        await pair.until(message_id, "delivered")


async def test_somebody_elses_receipt_is_kept_acknowledged_and_counted(
    database: Database, autojump_clock: Autojump
) -> None:
    """D19: an orphan; ROK, so that it does not come again."""
    async with rig(database) as pair:
        pair.sim.behave(receipts="never")
        message_id = await pair.send()
        await pair.until(message_id, "accepted")
        message = next(iter(pair.sim.smsc.messages))
        pair.sim.receipt(message, "delivered", message_id=b"31337")
        await pair.settled(1)
        assert await unmatched(pair) == 1
        assert await pair.state(message_id) == "accepted"
        said = [row for row in pair.sim.pdus if row.direction == "in" and isinstance(row.pdu, DeliverSmResp)]
        assert [row.header.command_status for row in said] == [0]


SENDERS = {"main": "Sceau", "short": "38123", "long": "+33937000001"}
OVERRIDDEN = {
    "ton_npi": {
        "alphanumeric": {"ton": 5, "npi": 1}, "short": {"ton": 0, "npi": 1}, "long": {"ton": 2, "npi": 8},
        "destination": {"ton": 0, "npi": 1},
    },
    "strip_plus": False,
}  # fmt: skip


@pytest.mark.parametrize(
    ("account", "forms", "destination"),
    [
        ({}, {"main": (b"Sceau", 5, 0), "short": (b"38123", 3, 0), "long": (b"33937000001", 1, 1)},
         (b"33612345678", 1, 1)),
        (OVERRIDDEN, {"main": (b"Sceau", 5, 1), "short": (b"38123", 0, 1), "long": (b"+33937000001", 2, 8)},
         (b"+33612345678", 0, 1)),
    ],
    ids=["usual", "overridden"],
)  # fmt: skip
async def test_every_address_has_the_form_on_the_wire_that_its_route_wants(
    sqlite_database: Database,
    autojump_clock: Autojump,
    account: dict[str, Any],
    forms: dict[str, tuple[bytes, int, int]],
    destination: tuple[bytes, int, int],
) -> None:
    """F3, F4: digits only with TON 1; 5/0 for names, 3/0 for short codes, 1/1 for numbers, or as overridden."""
    tree = {name: {"address": address, "accounts": ["sim"]} for name, address in SENDERS.items()}
    async with rig(sqlite_database, account=account, senders=tree) as pair:
        assert {name: tuple(pair.core.router.form("sim", name)) for name in SENDERS} == forms
        message_id = await pair.send()
        await pair.until(message_id, "delivered")
        [part] = pair.sim.handset(PHONE).parts
        pdu = part.pdu
        assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == destination
        assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == forms["main"]


async def test_a_stream_of_receipts_does_not_delay_the_handling_of_responses(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """users-ask 13: 2,000 receipts a second beside submits: no response is ever late, no message in doubt."""
    async with rig(sqlite_database) as pair:
        write = pair.core.store.write

        async def slow(job: Any, *, urgent: bool = False, apart: bool = False) -> Any:
            await trio.sleep(0.01)  # a commit
            return await write(job, urgent=urgent, apart=apart)

        pair.core.store.write = slow  # type: ignore[method-assign]
        pair.sim.behave(receipts="never")
        [first] = await pair.send_many(["premier"])
        await pair.until(first, "accepted")
        message = next(iter(pair.sim.smsc.messages))
        ids = await pair.send_many([f"texte {number}" for number in range(100)])
        for _ in range(20):
            for _ in range(200):
                pair.sim.receipt(message, "enroute")
            await pair.settled(0.1)
        for message_id in ids:
            await pair.until(message_id, "accepted")
        rows = await pair.rows(PARTS)
        assert max(row["answered_at"] - row["sent_at"] for row in rows) < 250_000
        assert not any(row["doubts"] for row in await pair.rows(MESSAGES))
