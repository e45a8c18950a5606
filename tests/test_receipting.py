"""Receipts at store level: matched by account and id whenever they come, or kept as orphans."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from sqlmodel import SQLModel

from engine.clock import DAY
from engine.duties.retention import id_before
from engine.smpp.pdu import DataSm, Tag
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.transit.answers import Answer
from engine.transit.receipting import forget_orphans
from tests.intake_kit import (
    EVENTS,
    MESSAGES,
    PHONE,
    RECEIPTS,
    intake_kit,
    receipt,
)
from tests.receipt_fixtures import FIXTURES, ReceiptFixture
from tests.test_receipts import on_the_wire

OTHER = "+33612345699"


async def test_a_receipt_before_its_response_is_kept_and_applied_when_the_id_appears(store: Store) -> None:
    """D1, users-ask 1: kept as an orphan, then both are told in the order in which they are true."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    assert (await kit.receipt("77")).orphans == 1
    assert await kit.effects() == ["orphan"]
    kit.clock.step(60)
    taken = await kit.answer(token, "77")
    assert (taken.receipts, await kit.state(token)) == ({}, "delivered")
    assert await kit.effects() == ["applied"]
    assert await kit.events(token) == ["accepted", "delivered"]
    [row] = await kit.rows(RECEIPTS)
    assert (row["message_id"], row["part"], row["attempt"]) == (token.message_id, 1, 1)


async def test_a_receipt_in_the_same_batch_as_its_response_is_applied_after_it(store: Store) -> None:
    """D1: with the response."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    taken = await kit.take(answers=[Answer(token, 0, "77", late=False)], arrivals=[kit.read(receipt("77"))])
    assert (taken.receipts, taken.orphans) == ({"delivered": 1}, 0)
    assert await kit.events(token) == ["accepted", "delivered"]


async def test_a_receipt_kept_before_a_restart_is_applied_after_it(store: Store) -> None:
    """D1: across a restart; nothing of it lives in memory."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.receipt("77")
    again = await intake_kit(store, clock=kit.clock)
    await again.answer(token, "77", late=True)
    assert await again.state(token) == "delivered"


async def test_two_ids_in_one_receipt_are_tried_in_order_and_the_parameter_wins(store: Store) -> None:
    """D5: ids that differ; either may be the one that was answered."""
    kit = await intake_kit(store)
    [first], [second], [third] = await kit.sent(), await kit.sent(), await kit.sent()
    for token, smsc_id in ((first, "100"), (second, "200"), (third, "300")):
        await kit.answer(token, smsc_id)
    await kit.arrive(receipt("200", tlv_id="100\0"))
    assert (await kit.state(first), await kit.state(second)) == ("delivered", "accepted")
    await kit.arrive(receipt("200", tlv_id="unheard-of"))
    assert await kit.state(second) == "delivered"
    await kit.arrive(receipt("", tlv_id="300"))
    assert await kit.state(third) == "delivered"


async def test_an_id_used_again_after_forty_days_means_the_newer_message(store: Store) -> None:
    """D4: the same id twice, 40 days apart: each receipt finds its own message."""
    kit = await intake_kit(store)
    [old] = await kit.sent()
    await kit.answer(old, "4711")
    await kit.receipt("4711")
    kit.clock.step(40 * 86_400)
    [new] = await kit.sent(to=OTHER)
    await kit.answer(new, "4711")
    assert (await kit.state(old), await kit.state(new)) == ("delivered", "accepted")
    await kit.receipt("4711", "UNDELIV", to=OTHER)
    assert (await kit.state(old), await kit.state(new)) == ("delivered", "undelivered")
    assert await kit.effects() == ["applied", "applied"]


async def test_an_id_used_twice_within_days_is_told_apart_by_the_number(store: Store) -> None:
    """D4: the SMSC restarted its counter; a late receipt of the first message does not settle the second."""
    kit = await intake_kit(store)
    [first] = await kit.sent()
    await kit.answer(first, "1")
    kit.clock.step(3_600)
    [second] = await kit.sent(to=OTHER)
    await kit.answer(second, "1")
    await kit.receipt("1", to=PHONE)
    assert (await kit.state(first), await kit.state(second)) == ("delivered", "accepted")
    await kit.receipt("1", "EXPIRED", to=OTHER)
    assert await kit.state(second) == "expired"


async def test_an_orphan_from_before_a_message_was_sent_is_not_its_receipt(store: Store) -> None:
    """D4, D19: somebody else's receipt with an id that is given to a message of ours a day later."""
    kit = await intake_kit(store)
    await kit.receipt("555")
    kit.clock.step(86_400)
    [token] = await kit.sent()
    await kit.answer(token, "555")
    assert await kit.state(token) == "accepted"
    await kit.receipt("555", "UNDELIV")
    assert await kit.state(token) == "undelivered"
    assert await kit.effects() == ["orphan", "applied"]


STYLES = [
    ("plain", "0000B8BE19", "B8BE19"),
    ("plain", "39F99DD5", "39f99dd5"),
    ("plain", "04062581461565934000241", "4062581461565934000241"),
    ("plain", "c449ab97-44f7-4b6a-9187-9e49e75e4f40", "C449AB97-44F7-4B6A-9187-9E49E75E4F40"),
    ("hex_submit_dec_receipt", "39f99dd5", "0972660181"),
    ("hex_submit_dec_receipt", "812FC7470000001B", "9308878062554710043"),
    ("dec_submit_hex_receipt", "972660181", "0x39F99DD5".removeprefix("0x")),
    ("any", "812FC7470000001B", "9308878062554710043"),
    ("any", "972660181", "39f99dd5"),
    ("any", "00B8BE19", "B8BE19"),
]


@pytest.mark.parametrize(("style", "answered", "told"), STYLES)
async def test_ids_match_in_every_style_of_an_account(embedded: Store, style: str, answered: str, told: str) -> None:
    """D3, users-ask 3: base, case, zeros, beyond 63 bits; a neighbour's id does not match."""
    kit = await intake_kit(embedded, account={"id_style": style})
    [token], [neighbour] = await kit.sent(), await kit.sent()
    await kit.answer(token, answered)
    await kit.answer(neighbour, f"{answered}7")
    await kit.receipt(told)
    assert (await kit.state(token), await kit.state(neighbour)) == ("delivered", "accepted")


async def test_ids_beyond_63_bits_stay_apart(store: Store) -> None:
    """D3: signed or floating reading would collapse them."""
    kit = await intake_kit(store, account={"id_style": "hex_submit_dec_receipt"})
    tokens = [(await kit.sent())[0] for _ in range(3)]
    for index, token in enumerate(tokens):
        await kit.answer(token, f"{0x812FC74700000000 + index:x}")
    await kit.receipt(str(0x812FC74700000000 + 1))
    assert [await kit.state(token) for token in tokens] == ["accepted", "delivered", "accepted"]


@pytest.mark.parametrize("fixture", [one for one in FIXTURES if one.smsc_id], ids=lambda one: one.name)
async def test_every_known_dialect_settles_its_message(embedded: Store, fixture: ReceiptFixture) -> None:
    """D3, D6, users-ask 5: the corpus, end to end: id found, state applied."""
    kit = await intake_kit(embedded)
    [token] = await kit.sent()
    await kit.answer(token, fixture.smsc_id)
    await kit.arrive(on_the_wire(fixture))
    ends = {"delivered": "delivered", "expired": "expired", "undeliverable": "undelivered", "deleted": "undelivered",
            "rejected": "rejected", "unknown": "unknown"}  # fmt: skip
    assert await kit.state(token) == ends.get(fixture.state, "accepted")
    assert len(await kit.effects()) == 1


async def test_words_of_a_receipt_in_the_message_do_not_change_its_state(store: Store) -> None:
    """D7: `… stat:UNDELIV` in the text that was sent."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.answer(token, "9")
    await kit.receipt("9", "DELIVRD", text="id:8 stat:UNDELIV err:001")
    assert await kit.state(token) == "delivered"


REPORTS = ["ENROUTE", "ACCEPTD", "UNKNOWN", "DELIVRD"]


async def test_every_order_of_reports_ends_in_the_same_state(store: Store) -> None:
    """D9, D11: intermediate, unknown and final in all permutations; ACCEPTD is not delivered."""
    kit = await intake_kit(store)
    for number, order in enumerate(permutations(REPORTS)):
        [token] = await kit.sent()
        await kit.answer(token, str(number))
        for stat in order:
            await kit.receipt(str(number), stat)
        assert await kit.state(token) == "delivered"
        said = await kit.events(token)
        assert (said[0], said[-1], said.count("delivered")) == ("accepted", "delivered", 1)
    assert "contradicts" not in await kit.effects()


async def test_contradictory_finals_are_both_kept_and_the_first_stays(store: Store) -> None:
    """D10: DELIVRD then EXPIRED: one event, two receipts, the second flagged."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.answer(token, "9")
    await kit.receipt("9")
    await kit.receipt("9", "EXPIRED")
    assert (await kit.state(token), await kit.events(token)) == ("delivered", ["accepted", "delivered"])
    assert [(row["stat"], row["effect"]) for row in await kit.rows(RECEIPTS)] == [
        ("DELIVRD", "applied"), ("EXPIRED", "contradicts"),
    ]  # fmt: skip


async def test_accepted_by_the_next_hop_is_not_delivered(store: Store) -> None:
    """D11: state stays accepted."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.answer(token, "9")
    await kit.receipt("9", "ACCEPTD")
    assert (await kit.state(token), await kit.effects()) == ("accepted", ["noted"])


async def test_five_copies_of_a_receipt_are_one_event(store: Store) -> None:
    """D12, D17: in one batch and in several."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.answer(token, "9")
    await kit.arrive(receipt("9"), receipt("9"), receipt("9"))
    await kit.arrive(receipt("9"))
    await kit.arrive(receipt("9"))
    assert await kit.events(token) == ["accepted", "delivered"]
    assert await kit.effects() == ["applied", *["duplicate"] * 4]


async def test_a_message_of_which_nobody_tells_ends_unknown_and_a_late_receipt_is_believed(store: Store) -> None:
    """D13: after life and grace; never called failed."""
    kit = await intake_kit(store)
    [token] = await kit.sent(ttl_s=600)
    await kit.answer(token, "9")
    kit.clock.step(601 + 3_590)
    await kit.look("lives")
    assert await kit.state(token) == "accepted"
    kit.clock.step(10)
    await kit.look("lives")
    assert await kit.state(token) == "unknown"
    assert (await kit.message(token))["final_at"] is not None
    await kit.receipt("9")
    assert await kit.events(token) == ["accepted", "unknown", "delivered"]


async def test_a_receipt_that_says_unknown_ends_the_message_for_now(store: Store) -> None:
    """D9: final for now, so it is not left open for ever."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.answer(token, "9")
    await kit.receipt("9", "UNKNOWN")
    row = await kit.message(token)
    assert row["state"] == "unknown"
    assert row["final_at"] is not None


ORDERS = list(permutations((0, 1, 2)))
TOLD = list(product((True, False), repeat=3))


async def test_three_parts_in_every_order_with_any_missing_come_to_one_result(store: Store) -> None:
    """D14, users-ask 4: all orders of responses and of receipts, any subset of receipts missing."""
    kit = await intake_kit(store)
    unfinished = []
    for answers, receipts, told in product(ORDERS, ORDERS, TOLD):
        if answers != ORDERS[0] and told != (True, True, True):
            continue  # the subsets in every order of receipts, the orders of responses with all of them
        tokens = await kit.sent(3)
        name = tokens[0].message_id
        for index in answers:
            await kit.answer(tokens[index], f"{name}-{index}")
        for index in receipts:
            if told[index]:
                await kit.receipt(f"{name}-{index}")
        if all(told):
            assert (await kit.state(tokens[0]), await kit.events(tokens[0])) == ("delivered", ["accepted", "delivered"])
        else:
            assert await kit.state(tokens[0]) == "accepted"
            unfinished.append(tokens[0])
    kit.clock.step(2 * 3_600 + 1)
    for _ in range(3):
        await kit.look("lives")
    rows = {row["id"]: row["state"] for row in await kit.rows(MESSAGES)}
    assert {rows[token.message_id] for token in unfinished} == {"unknown"}
    assert set(await kit.effects()) == {"applied"}


async def test_receipts_of_parts_may_come_before_their_responses_in_any_order(store: Store) -> None:
    """D1, D14: each waits for its own id."""
    kit = await intake_kit(store)
    for order in ORDERS:
        tokens = await kit.sent(3)
        name = tokens[0].message_id
        for index in order:
            await kit.receipt(f"{name}-{index}")
        for index, token in enumerate(tokens):
            await kit.answer(token, f"{name}-{index}")
        assert await kit.events(tokens[0]) == ["accepted", "delivered"]


async def test_one_failed_part_fails_the_message_even_if_nothing_is_heard_of_the_others(store: Store) -> None:
    """D14: failed if any final failure; at the end of its life, not before."""
    kit = await intake_kit(store)
    tokens = await kit.sent(3)
    for token in tokens:
        await kit.answer(token, str(token.number))
    await kit.receipt("2", "UNDELIV", err="027")
    assert await kit.state(tokens[0]) == "accepted"
    kit.clock.step(2 * 3_600 + 1)
    await kit.look("lives")
    row = await kit.message(tokens[0])
    assert (row["state"], row["reason"]) == ("undelivered", "027")


async def test_the_receipt_of_an_answered_part_does_not_settle_the_doubt_of_another(store: Store) -> None:
    """D14: parts 1 and 3 answered, part 2 not: a receipt for part 1 leaves part 2 in doubt."""
    kit = await intake_kit(store)
    tokens = await kit.sent(3)
    await kit.answer(tokens[0], "1")
    await kit.answer(tokens[2], "3")
    await kit.silence(tokens[1])
    await kit.receipt("1")
    row = await kit.message(tokens[0])
    assert (row["state"], row["unanswered"], row["open_parts"]) == ("in_doubt", 1, 2)
    kit.clock.step(181)
    await kit.look("doubts")
    assert (await kit.message(tokens[0]))["resend"] == "2"


async def test_an_unrequested_receipt_is_accepted(store: Store) -> None:
    """D21: registered_delivery 0 and a receipt all the same."""
    kit = await intake_kit(store, account={"registered_delivery": 0})
    [token] = await kit.sent()
    await kit.answer(token, "9")
    await kit.receipt("9")
    assert await kit.state(token) == "delivered"


async def test_data_sm_carries_receipts_as_well(store: Store) -> None:
    """D20: fixture 14."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.answer(token, "9")
    words = receipt("9").short_message
    await kit.arrive(DataSm(source_addr=b"33612345678", esm_class=0x04, tlvs=((Tag.MESSAGE_PAYLOAD, words),)))
    assert await kit.state(token) == "delivered"


async def test_a_receipt_of_nobody_is_kept_visible_with_its_number_as_a_fingerprint(store: Store) -> None:
    """D19: an orphan, counted, not dropped."""
    kit = await intake_kit(store)
    assert (await kit.receipt("31337")).orphans == 1
    [row] = await kit.rows(RECEIPTS)
    assert (row["effect"], row["message_id"], row["smsc_id"]) == ("orphan", None, "31337")
    assert row["about_fp"] == kit.core.keyring.fingerprint("phone", PHONE)


async def test_orphans_are_forgotten_after_their_days_with_every_key_they_waited_under(store: Store) -> None:
    """D19: kept N days, then gone; receipts of messages stay with their messages."""
    kit = await intake_kit(store, account={"id_style": "any"})
    [token] = await kit.sent()
    await kit.answer(token, "7")
    await kit.receipt("7")
    await kit.receipt("31337")
    kit.clock.step(400 * 86_400)
    await kit.receipt("31338")
    before = id_before("mo", kit.clock.now() - 30 * DAY)
    assert await store.write(lambda tx: forget_orphans(tx, before, 100)) == 1
    assert [row["smsc_id"] for row in await kit.rows(RECEIPTS)] == ["7", "31338"]
    keys = SQLModel.metadata.tables["orphan_key"]
    left = await store.read(lambda tx: tx.all(Statement(lambda _: keys.select())))
    assert {row[1] for row in left} == {"31338", "d 201528", "x 31338"}


async def test_a_batch_taken_in_twice_after_an_unknown_commit_counts_once(store: Store) -> None:
    """D16: the outcome of a commit was lost, the same batch is written again."""
    kit = await intake_kit(store)
    tokens = await kit.sent(3)
    batch = {"answers": [Answer(tokens[0], 0, "1", late=False)], "arrivals": [kit.read(receipt("1"))]}
    await kit.take(**batch)
    await kit.take(**batch)
    row = await kit.message(tokens[0])
    assert (row["state"], row["unanswered"], row["open_parts"]) == ("on_wire", 2, 2)
    assert len(await kit.rows(RECEIPTS)) == 1


async def test_a_receipt_dated_tomorrow_does_not_win_by_its_date(store: Store) -> None:
    """D15: our own time orders."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.answer(token, "9")
    await kit.receipt("9")
    late = receipt("9", "EXPIRED")
    await kit.arrive(late._replace(short_message=late.short_message.replace(b"2611230701", b"9912312359")))
    assert await kit.state(token) == "delivered"
    assert len(await kit.rows(EVENTS)) == 2
