"""A code that is over while the operator still holds it: cancel_sm, where both the profile and the account allow it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import trio

from engine.cases.casebook import CaseRow
from engine.cases.outcomes import Wakes
from engine.smpp.pdu import CancelSm, CancelSmResp, Status
from engine.store.connections import Database
from engine.store.transaction import Tx
from engine.transit.tally import Tally
from smppsim.faults import Drop
from smppsim.pdulog import OUT
from tests.rig import MESSAGES, PARTS, PHONE, Rig, bind_settings, followers_of, rig
from tests.scenarios.wire import Autojump, seen, submits

HELD_S = 600.0  # by the operator, before it delivers


def switched(*, profile: bool = True, account: bool = True, **verification: Any) -> dict[str, Any]:
    """Settings with both switches as named; the operator hears of no validity, and keeps a code beyond its life."""
    return {
        "account": {"binds": {"main": bind_settings()}, "cancel_sm": account, "validity": "none"},
        "verification": {"cancel_on_air": profile, "cooldown_s": (0,), **verification},
    }


async def on_air(pair: Rig) -> str:
    """A verification whose code the operator has taken and not delivered."""
    pair.sim.behave(receipt_delay=HELD_S)
    before = len(await pair.rows(PARTS))
    started = await pair.verify()
    await accepted(pair, before + 1)
    return str(started.body["id"])


async def accepted(pair: Rig, count: int) -> list[dict[str, Any]]:
    """The parts, once so many of them are accepted."""
    with trio.fail_after(60):
        while sum(part["smsc_id"] is not None for part in await pair.rows(PARTS)) < count:
            await trio.sleep(0.05)
    return await pair.rows(PARTS)


def canceled(pair: Rig) -> list[bytes]:
    """The ids that we asked the operator to forget."""
    return [one.pdu.message_id for one in seen(pair.sim, CancelSm)]


async def end_by(pair: Rig, case_id: str, how: str) -> None:
    """End the pending code in one of the three ways."""
    if how == "cancel":
        assert (await pair.call("cancel", case_id)).code == "canceled"
    elif how == "expiry":
        await pair.settled(31)
    else:
        assert (await pair.verify()).code == "created"


@pytest.mark.parametrize("how", ["cancel", "expiry", "replacement"])
async def test_the_operator_is_asked_to_forget_a_code_that_is_over_and_its_receipt_settles_the_message(
    database: Database, autojump_clock: Autojump, how: str
) -> None:
    """By its id and in the address forms of the submit; the code never reaches the handset."""
    async with rig(database, **switched(life_s=30, on_pending="replace")) as pair:
        case_id = await on_air(pair)
        await end_by(pair, case_id, how)
        await pair.settled(2)
        [part, *_] = await pair.rows(PARTS)
        [asked] = seen(pair.sim, CancelSm)
        submit = submits(pair.sim)[0].pdu
        assert asked.pdu.message_id == part["smsc_id"].encode()
        assert asked.pdu[2:8] == (
            submit.source_addr_ton, submit.source_addr_npi, submit.source_addr,
            submit.dest_addr_ton, submit.dest_addr_npi, submit.destination_addr,
        )  # fmt: skip
        [told] = seen(pair.sim, CancelSmResp, OUT)
        assert told.status == Status.ESME_ROK
        [first, *_] = await pair.rows(MESSAGES)
        assert first["state"] == "undelivered"  # the operator's receipt says DELETED
        assert pair.sim.handset(PHONE).messages == []


@pytest.mark.parametrize("how", ["cancel", "expiry", "replacement"])
@pytest.mark.parametrize(("profile", "account"), [(False, True), (True, False), (False, False)])
async def test_without_both_switches_nothing_is_asked(
    sqlite_database: Database, autojump_clock: Autojump, how: str, profile: bool, account: bool
) -> None:
    """Off by default, by account: an operator that takes cancel_sm for a fault never sees one."""
    changed = switched(profile=profile, account=account, life_s=30, on_pending="replace")
    async with rig(sqlite_database, **changed) as pair:
        case_id = await on_air(pair)
        await end_by(pair, case_id, how)
        await pair.settled(10)
        assert canceled(pair) == []
        [first, *_] = await pair.rows(MESSAGES)
        assert first["state"] == "accepted"


async def test_a_new_code_has_the_old_one_forgotten_and_stays_on_the_air_itself(
    database: Database, autojump_clock: Autojump
) -> None:
    """`resend` = "rotate": the first text is of no use any more, the second is."""
    async with rig(database, **switched(resend="rotate")) as pair:
        case_id = await on_air(pair)
        await pair.settled(6)
        assert (await pair.call("resend", case_id)).code == "resent"
        [old, new] = await accepted(pair, 2)
        await pair.settled(2)
        assert canceled(pair) == [old["smsc_id"].encode()]
        await pair.settled(HELD_S)
        states = {row["id"]: row["state"] for row in await pair.rows(MESSAGES)}
        assert (states[old["message_id"]], states[new["message_id"]]) == ("undelivered", "delivered")
        assert len(pair.sim.handset(PHONE).messages) == 1


async def test_the_same_code_sent_again_cancels_nothing(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """`resend` = "same_code": whichever copy comes first is right."""
    async with rig(sqlite_database, **switched()) as pair:
        case_id = await on_air(pair)
        await pair.settled(6)
        await pair.call("resend", case_id)
        await accepted(pair, 2)
        await pair.settled(5)
        assert canceled(pair) == []


async def test_an_approved_code_and_a_delivered_one_are_left_alone(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """Only on cancel, expiry or replacement, and never for what has arrived."""
    async with rig(sqlite_database, **switched()) as pair:
        case_id = str((await pair.verify()).body["id"])
        await pair.sim.handset(PHONE).wait()
        await pair.settled(2)
        assert (await pair.call("cancel", case_id)).code == "canceled"
        started = await pair.verify()
        await pair.sim.handset(PHONE).wait(2)
        await pair.settled(2)
        assert (await pair.check(started.body["id"], pair.sim.handset(PHONE).code or "")).code == "approved"
        await pair.settled(5)
        assert canceled(pair) == []


async def test_a_refused_request_changes_nothing(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """ESME_RCANCELFAIL: it has arrived, and nobody said so; its code approves nothing all the same."""
    async with rig(sqlite_database, **switched()) as pair:
        pair.sim.behave(receipts="never")
        case_id = str((await pair.verify()).body["id"])
        await pair.sim.handset(PHONE).wait()
        await pair.settled(1)
        await pair.call("cancel", case_id)
        await pair.settled(2)
        [told] = seen(pair.sim, CancelSmResp, OUT)
        assert told.status == Status.ESME_RCANCELFAIL
        [row] = await pair.rows(MESSAGES)
        assert row["state"] == "accepted"
        code = pair.sim.handset(PHONE).code
        assert code is not None
        assert (await pair.check(case_id, code)).code == "canceled"


async def test_a_request_waits_for_a_link_that_comes_back_and_for_room_in_its_window(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """Best effort: the link is down for a moment, then its window is full of other things."""
    changed = switched()
    changed["account"]["binds"]["main"]["window"] = 1
    async with rig(sqlite_database, **changed) as pair:
        case_id = await on_air(pair)
        pair.sim.cause(Drop())
        await pair.settled(0.01)
        await pair.call("cancel", case_id)
        while not canceled(pair):
            await pair.settled(0.1)
        [row] = await pair.rows(MESSAGES)
        await pair.until(row["id"], "undelivered", within_s=5)
        another = await on_air(pair)
        pair.sim.behave(response_delay=2)
        await pair.send("Bonjour", "+33612345679")
        await pair.settled(0.5)
        await pair.call("cancel", another)
        await pair.settled(4)
        assert len(canceled(pair)) == 2
        assert pair.sim.account("sceau").widest_window == 1


@dataclass(frozen=True)
class Regretful:
    """Follows verifications, and wants back whatever an operator took."""

    workflow: str = "verify"

    def settled(self, _tx: Tx, _row: CaseRow, tally: Tally, _outcome: object, _now: int, wakes: Wakes) -> None:
        """The message is not wanted any more."""
        wakes.on_air.append(tally.id)

    def fired(self, _tx: Tx, _row: CaseRow, _kind: str, _now: int, _wakes: Wakes) -> None:
        """Nothing follows."""


async def test_the_operator_is_asked_as_soon_as_news_of_a_message_makes_it_useless(
    database: Database, autojump_clock: Autojump
) -> None:
    async with rig(database, **switched()) as pair:
        followers_of(pair.core)["verify"] = Regretful()
        await on_air(pair)
        await pair.settled(0.5)
        [part] = await pair.rows(PARTS)
        assert canceled(pair) == [part["smsc_id"].encode()]
