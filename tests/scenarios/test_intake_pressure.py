"""What comes in while the database is down, the link is lost, the operator floods us, or a step raises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import trio

from engine.smpp.pdu import Status, commands
from engine.store.connections import Database
from engine.store.statements import Statement
from engine.store.tables import Parked
from engine.store.transaction import Tx
from engine.transit.inbox import Arrival, Inbox
from engine.transit.intake import Intake
from engine.transit.lines import Line, Watch
from engine.transit.replaying import replay
from smppsim.faults import Drop
from tests.rig import EVENTS, MESSAGES, PARTS, PHONE, RECEIPTS, REPLIES, Rig, rig
from tests.weather import WeatherStore

Autojump = trio.testing.MockClock
_parked: Any = Parked.__table__  # type: ignore[attr-defined]
PARKED = Statement(lambda _: _parked.select().order_by(_parked.c.id))
NUMBERS = {"ours": {"address": "38123", "application": "app_test", "accounts": ["sim"]}}


def line_of(pair: Rig) -> Line:
    return next(iter(pair.core.pool._slots.values())).line


def intake_of(pair: Rig) -> Intake:
    return next(iter(pair.core.pool._slots.values())).intake


def responses(pair: Rig) -> Iterator[tuple[int, float]]:
    """(status, seconds after its request) of each deliver_sm_resp."""
    asked: dict[tuple[int, int], float] = {}
    for row in pair.sim.pdus:
        header = row.header
        if header.command_id == commands.DELIVER_SM:
            asked[row.session, header.sequence_number] = row.at
        elif header.command_id == commands.DELIVER_SM_RESP:
            yield header.command_status, row.at - asked.pop((row.session, header.sequence_number))


async def texts(pair: Rig) -> list[str]:
    rows = await pair.rows(REPLIES)
    return sorted(pair.core.keyring.unseal(row["sealed"], row["id"]).decode() for row in rows)


@pytest.mark.parametrize("how", ["down", "hangs"])
async def test_a_database_that_is_gone_for_a_minute_loses_nothing(
    database: Database, autojump_clock: Autojump, how: str
) -> None:
    """D16: answers are kept, receipts and replies refused with 0x64 in time, and all of them come in later."""
    store = WeatherStore(database)
    async with rig(database, store=store, numbers=NUMBERS) as pair:
        pair.sim.behave(receipt_delay=5)
        ids = await pair.send_many([f"texte {number}" for number in range(8)])
        await pair.sim.until(lambda: pair.sim.stats.submits == 8)
        setattr(store, how, True)
        handset = pair.sim.handset(PHONE)
        for number in range(20):
            handset.reply(f"reponse {number}", to="38123")
            await pair.settled(1)
        await pair.settled(40)
        setattr(store, how, False)
        for message_id in ids:
            await pair.until(message_id, "delivered")
        await pair.settled(120)
        assert await texts(pair) == sorted(f"reponse {number}" for number in range(20))
        assert (await pair.rows(MESSAGES))[0]["attempts"] == 1
        seen = list(responses(pair))
        assert {status for status, _ in seen} == {Status.ESME_ROK, Status.ESME_RX_T_APPN}
        assert max(after for _, after in seen) < 9
        assert pair.sim.stats.deliveries_parked == pair.sim.stats.deliveries_unanswered == 0


async def test_a_commit_of_which_nobody_knows_is_taken_in_once(database: Database, autojump_clock: Autojump) -> None:
    """D16: it had happened; the batch is written again and changes nothing twice."""
    store = WeatherStore(database)
    async with rig(database, store=store, numbers=NUMBERS) as pair:
        pair.sim.behave(response="hold", receipt_when="before")
        message_id = await pair.send("Une phrase assez longue, répétée. " * 12)
        await pair.sim.until(lambda: len(pair.sim.held) == 3)
        await pair.settled(1)
        store.unknown = True
        pair.sim.release()
        pair.sim.handset(PHONE).reply("OUI", to="38123")
        await pair.settled(2)
        store.unknown = False
        await pair.until(message_id, "delivered")
        await pair.settled(30)
        assert await texts(pair) == ["OUI"]
        assert await pair.events_of(message_id) == ["message.accepted", "message.delivered"]


async def test_a_lost_response_brings_the_delivery_again_and_makes_one_event(
    database: Database, autojump_clock: Autojump
) -> None:
    """D17: the link dies before the SMSC hears of our commit; receipt and reply come again on the next."""
    async with rig(database, numbers=NUMBERS) as pair:
        pair.sim.behave(receipts="never")
        message_id = await pair.send()
        await pair.until(message_id, "accepted")
        line = line_of(pair)
        acknowledge = Line.acknowledge
        intake = intake_of(pair)
        intake.acknowledge = lambda _responses, _session: False
        pair.sim.handset(PHONE).reply("OUI", to="38123")
        pair.sim.receipt(next(iter(pair.sim.smsc.messages)), "delivered")
        await pair.until(message_id, "delivered")
        pair.sim.cause(Drop())
        intake.acknowledge = lambda answers, session: acknowledge(line, answers, session)
        await pair.settled(90)
        assert pair.sim.stats.redelivered == 2
        assert await texts(pair) == ["OUI"]
        assert (await pair.events_of(message_id)).count("message.delivered") == 1
        assert [row["effect"] for row in await pair.rows(RECEIPTS)] == ["applied", "duplicate"]
        pair.sim.handset(PHONE).reply("OUI", to="38123")
        await pair.settled(5)
        assert await texts(pair) == ["OUI", "OUI"]


async def test_a_second_equal_reply_right_after_the_first_is_a_second_answer(
    database: Database, autojump_clock: Autojump
) -> None:
    """D17: the note of the first response does not wait for other traffic."""
    async with rig(database, numbers=NUMBERS) as pair:
        handset = pair.sim.handset(PHONE)
        for _ in range(3):
            handset.reply("OUI", to="38123")
            await pair.settled(0.5)
        assert await texts(pair) == ["OUI", "OUI", "OUI"]


async def test_a_flood_of_receipts_is_bounded_refused_beyond_it_and_taken_in_later(
    sqlite_database: Database, autojump_clock: Autojump
) -> None:
    """D18: more than the inbox holds at once: 0x64 for the rest, nothing lost, memory bounded."""
    store = WeatherStore(sqlite_database, commit_s=0.01)
    async with rig(sqlite_database, store=store) as pair:
        pair.sim.behave(receipts="never")
        pair.sim.link(deliver_window=10_000)
        message_id = await pair.send()
        await pair.until(message_id, "accepted")
        inbox = intake_of(pair).inbox
        most = 0
        arrive = inbox.arrive

        def watched(arrival: Any) -> bool:
            nonlocal most
            taken = arrive(arrival)
            most = max(most, len(inbox))
            return taken

        inbox.arrive = watched  # type: ignore[method-assign]
        message = next(iter(pair.sim.smsc.messages))
        for number in range(6_000):
            pair.sim.receipt(message, "enroute", message_id=b"%d" % number)
        pair.sim.receipt(message, "delivered")
        await pair.until(message_id, "delivered")
        await pair.settled(120)
        assert most <= 2_000
        assert Status.ESME_RX_T_APPN in {status for status, _ in responses(pair)}
        count = await pair.core.store.read(lambda tx: tx.all(RECEIPTS))
        assert len({row[8] for row in count}) == 6_001
        assert pair.sim.stats.deliveries_parked == 0


async def test_codes_do_not_wait_for_a_flood_of_receipts(sqlite_database: Database, autojump_clock: Autojump) -> None:
    """D18: 20,000 receipts after an outage; each code is on the wire within two commits and an answer's way."""
    store = WeatherStore(sqlite_database, commit_s=0.01)
    async with rig(sqlite_database, store=store) as pair:
        pair.sim.behave(receipts="never")
        pair.sim.link(deliver_window=5_000)
        first = await pair.send()
        await pair.until(first, "accepted")
        message = next(iter(pair.sim.smsc.messages))
        codes: list[str] = []
        for _ in range(20):
            for _ in range(1_000):
                pair.sim.receipt(message, "enroute")
            codes += await pair.send_many(["code"], category="otp")
            await pair.settled(0.2)
        await pair.settled(30)
        sent = {row["message_id"]: row["sent_at"] for row in await pair.rows(PARTS)}
        created = {row["id"]: row["created_at"] for row in await pair.rows(MESSAGES)}
        assert max(sent[one] - created[one] for one in codes) < 50_000
        for message_id in codes:
            assert await pair.state(message_id) == "accepted"


def test_an_inbox_says_when_it_is_full_and_takes_again_when_it_is_emptied() -> None:
    """D18."""
    inbox = Inbox(most_arrivals=3)
    arrivals: list[Any] = [an_arrival(number) for number in range(5)]
    assert [inbox.arrive(one) for one in arrivals] == [True, True, True, False, False]
    assert [one.sequence for one in inbox.take().arrivals] == [0, 1, 2]
    assert inbox.arrive(arrivals[3])
    assert [one.sequence for one in inbox.tired(10.0)] == [3]
    assert len(inbox) == 0


def an_arrival(sequence: int) -> Any:
    return Arrival(sequence, commands.DELIVER_SM, "ses_1", None, None, b"", f"mo_{sequence}", float(sequence))


# What raises.


class Alarms:
    """Whom a line tells."""

    def __init__(self, pair: Rig) -> None:
        self.kinds: list[tuple[str, str]] = []
        intake = intake_of(pair)
        intake.alarm = lambda kind, detail: self.kinds.append((kind, detail))
        assert isinstance(line_of(pair).watch, Watch)


def picky(pair: Rig, word: str) -> Any:
    """Make every reply with `word` raise; return the function that mends it."""
    intake = intake_of(pair)
    whole = intake.desk
    joining = whole.joining

    def on_replies(tx: Tx, replies: Any, now: int) -> Any:
        bells = joining.on_replies(tx, replies, now)
        for reply in replies:
            if word in reply.text:
                raise ZeroDivisionError(reply.text)
        return bells

    intake.desk = replace(whole, joining=replace(joining, on_replies=on_replies))

    def mend() -> None:
        intake.desk = whole

    return mend


async def test_a_reply_whose_step_raises_is_parked_acknowledged_and_replayed(
    database: Database, autojump_clock: Autojump
) -> None:
    """E22, S22: the others of its batch go through; what is kept of it is sealed; a replay takes it in once."""
    async with rig(database, numbers=NUMBERS) as pair:
        alarms = Alarms(pair)
        mend = picky(pair, "poison")
        handset = pair.sim.handset(PHONE)
        for text in ("un", "poison 482913", "deux"):
            handset.reply(text, to="38123")
        await pair.settled(2)
        assert await texts(pair) == ["deux", "un"]
        assert alarms.kinds == [("parked", "ZeroDivisionError")]
        assert {status for status, _ in responses(pair)} == {Status.ESME_ROK}
        [row] = await pair.core.store.read(lambda tx: tx.all(PARKED))
        assert row[5] == "parked"
        assert not any("482913" in str(value) for value in row)
        with pytest.raises(ZeroDivisionError):
            await replay(pair.core.store, row[0], pair.core.pool.desk_of, pair.clock)
        assert await texts(pair) == ["deux", "un"]
        mend()
        assert (await replay(pair.core.store, row[0], pair.core.pool.desk_of, pair.clock)).code == "replayed"
        assert await texts(pair) == ["deux", "poison 482913", "un"]
        [reply] = [
            one for one in await pair.rows(REPLIES) if one["id"] == max(r["id"] for r in await pair.rows(REPLIES))
        ]
        assert reply["received_at"] < pair.clock.now() - 1_000_000
        assert (await replay(pair.core.store, row[0], pair.core.pool.desk_of, pair.clock)).code == "not_parked"
        assert (await replay(pair.core.store, "mo_none", pair.core.pool.desk_of, pair.clock)).code == "not_parked"
        handset.reply("poison 482913", to="38123")
        await pair.settled(1)
        assert len(await texts(pair)) == 4


async def test_a_long_reply_whose_step_raises_is_parked_with_all_its_parts_and_replayed_whole(
    database: Database, autojump_clock: Autojump
) -> None:
    """E8: every part is kept; none is handed on without the others."""
    async with rig(database, numbers=NUMBERS) as pair:
        Alarms(pair)
        mend = picky(pair, "poison")
        text = "poison " + "x" * 200
        pair.sim.handset(PHONE).reply(text, to="38123")
        await pair.settled(2)
        parked = [row[0] for row in await pair.core.store.read(lambda tx: tx.all(PARKED))]
        assert len(parked) == 2
        mend()
        for row_id in parked:
            await replay(pair.core.store, row_id, pair.core.pool.desk_of, pair.clock)
        assert await texts(pair) == [text]


async def test_a_receipt_whose_step_raises_is_parked_and_its_message_settled_by_the_replay(
    database: Database, autojump_clock: Autojump
) -> None:
    """D16: the receipt is acknowledged; nothing of it is lost."""
    async with rig(database) as pair:
        Alarms(pair)
        started = await pair.verify()
        await pair.sim.handset(PHONE).wait()
        await pair.settled(1)
        pair.sim.behave(receipts="never")
        intake = intake_of(pair)
        whole = intake.desk

        def raising(_tx: Tx, _tallies: Any, _now: int) -> Any:
            raise ZeroDivisionError

        intake.desk = replace(whole, books=replace(whole.books, on_moved=raising))
        again = await pair.verify(to="+33612345601")
        assert again.code == started.code == "created"
        await pair.sim.until(lambda: pair.sim.stats.submits == 2)
        await pair.settled(1)
        [second] = [row for row in await pair.rows(MESSAGES) if row["recipient"] == "+33612345601"]
        assert second["state"] == "accepted"  # its answer counts, though its case could not be told
        pair.sim.receipt(list(pair.sim.smsc.messages)[-1], "delivered")
        await pair.settled(1)
        [row] = await pair.core.store.read(lambda tx: tx.all(PARKED))
        assert await pair.state(second["id"]) == "accepted"
        intake.desk = whole
        assert (await replay(pair.core.store, row[0], pair.core.pool.desk_of, pair.clock)).code == "replayed"
        assert await pair.state(second["id"]) == "delivered"
        assert "verification.delivered" in {event["type"] for event in await pair.rows(EVENTS)}
