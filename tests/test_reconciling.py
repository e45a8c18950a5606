"""Receipts of unknown ids at store level: whose they are is found out where it can be, and never guessed."""

from __future__ import annotations

from dataclasses import replace

from engine.store.doorway import Store
from tests.intake_kit import PARTS, intake_kit, receipt
from tests.rig import accounts

OTHER = "+33612345699"


async def test_an_unknown_id_is_reconciled_with_the_only_message_in_doubt_of_its_number(store: Store) -> None:
    """D19, B27: and further receipts of that id are known from then on."""
    kit = await intake_kit(store)
    [token], [bystander] = await kit.sent(), await kit.sent(to=OTHER)
    await kit.silence(token, bystander)
    taken = await kit.receipt("808", "ENROUTE")
    assert taken.orphans == 0
    assert await kit.state(token) == "accepted"
    await kit.receipt("808", "DELIVRD")
    assert (await kit.state(token), await kit.state(bystander)) == ("delivered", "in_doubt")
    assert await kit.events(token) == ["in_doubt", "accepted", "delivered"]
    kit.clock.step(600)
    await kit.look("doubts")
    assert await kit.state(token) == "delivered"


async def test_several_messages_in_doubt_leave_the_receipt_and_both_of_them_visible(store: Store) -> None:
    """D19: ambiguous."""
    kit = await intake_kit(store)
    [first], [second] = await kit.sent(), await kit.sent()
    await kit.silence(first, second)
    assert (await kit.receipt("808")).orphans == 1
    assert (await kit.state(first), await kit.state(second)) == ("in_doubt", "in_doubt")
    assert await kit.effects() == ["orphan"]


async def test_a_submit_that_waits_for_its_answer_may_be_the_one_that_is_meant(store: Store) -> None:
    """D1, D19: one message in doubt, one on the wire to the same number: the answer will tell."""
    kit = await intake_kit(store)
    [doubtful] = await kit.sent()
    await kit.silence(doubtful)
    [waiting] = await kit.sent()
    assert (await kit.receipt("808")).orphans == 1
    await kit.answer(waiting, "808")
    assert (await kit.state(doubtful), await kit.state(waiting)) == ("in_doubt", "delivered")


async def test_when_the_answer_brings_another_id_the_doubt_takes_the_orphan(store: Store) -> None:
    """D19: at the end of the hold, before anything is sent again."""
    kit = await intake_kit(store)
    [doubtful] = await kit.sent()
    await kit.silence(doubtful)
    [waiting] = await kit.sent()
    await kit.receipt("808")
    await kit.answer(waiting, "809")
    kit.clock.step(181)
    await kit.look("doubts")
    assert (await kit.state(doubtful), await kit.state(waiting)) == ("delivered", "accepted")
    assert (await kit.message(doubtful))["attempts"] == 1


async def test_an_orphan_from_before_the_submit_settles_no_doubt(store: Store) -> None:
    """D19: yesterday's receipt for the same number is not about today's message."""
    kit = await intake_kit(store)
    await kit.receipt("808")
    kit.clock.step(86_400)
    [token] = await kit.sent(ttl_s=86_400)
    await kit.silence(token)
    kit.clock.step(181)
    await kit.look("doubts")
    assert await kit.state(token) == "queued"
    assert await kit.effects() == ["orphan"]


async def test_doubtful_parts_of_one_message_take_unknown_ids_in_turn(store: Store) -> None:
    """D14, D19: three parts without answers, three receipts with ids of which nobody knows whose they are."""
    kit = await intake_kit(store)
    tokens = await kit.sent(3)
    await kit.silence(*tokens)
    await kit.arrive(receipt("5"), receipt("6"), receipt("6"))
    assert await kit.state(tokens[0]) == "in_doubt"
    await kit.receipt("7")
    assert await kit.state(tokens[0]) == "delivered"
    assert await kit.effects() == ["applied", "applied", "duplicate", "applied"]
    assert {row["state"] for row in await kit.rows(PARTS)} == {"delivered"}


async def test_more_ids_than_doubtful_parts_are_not_guessed_at(store: Store) -> None:
    """D19: two ids, one part: both stay."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    await kit.silence(token)
    assert (await kit.arrive(receipt("5"), receipt("6"))).orphans == 2
    assert await kit.state(token) == "in_doubt"


async def test_a_receipt_while_the_second_submit_is_queued_stops_it(store: Store) -> None:
    """D19: proof of arrival forbids a resend."""
    kit = await intake_kit(store, account={"id_style": "plain"})
    [token] = await kit.sent(category="otp")
    await kit.silence(token)
    await kit.receipt("808", "ENROUTE")
    await kit.look("doubts")
    assert await kit.state(token) == "accepted"


async def test_a_late_answer_after_reconciliation_changes_nothing_twice(store: Store) -> None:
    """B15, D14: parts 1 and 2 in doubt, part 1 proven by a receipt, then part 1's late answer: part 2 is still open."""
    kit = await intake_kit(store)
    tokens = await kit.sent(2)
    await kit.silence(*tokens)
    await kit.receipt("5")
    await kit.answer(tokens[0], "5", late=True)
    row = await kit.message(tokens[0])
    assert (row["state"], row["unanswered"], row["open_parts"]) == ("in_doubt", 1, 1)
    await kit.answer(tokens[1], "6", late=True)
    await kit.receipt("6")
    assert await kit.state(tokens[0]) == "delivered"


async def test_fewer_ids_than_doubtful_parts_wait_until_they_may_be_told_apart(store: Store) -> None:
    """D14, D19: which of three parts has arrived is not known: all of them go again, and the receipt stays visible."""
    kit = await intake_kit(store)
    tokens = await kit.sent(3)
    await kit.silence(*tokens)
    assert (await kit.arrive(receipt("5"), receipt("6"))).orphans == 2
    kit.clock.step(181)
    await kit.look("doubts")
    row = await kit.message(tokens[0])
    assert (row["state"], row["resend"]) == ("queued", "1,2,3")
    assert await kit.effects() == ["orphan", "orphan"]


async def test_the_first_submit_of_a_message_that_went_twice_still_claims_its_receipt(store: Store) -> None:
    """B15, D19: the code was sent again and delivered; what comes for the first copy is no orphan and no news."""
    kit = await intake_kit(store)
    [first] = await kit.sent(category="otp")
    await kit.silence(first)
    await kit.look("doubts")
    [second] = await kit.claimed(await kit.message(first))
    await kit.answer(second, "2")
    await kit.receipt("2")
    assert (await kit.receipt("1")).orphans == 0
    assert await kit.effects() == ["applied", "duplicate"]
    assert [row["state"] for row in await kit.rows(PARTS)] == ["delivered", "delivered"]
    assert (await kit.events(first)).count("delivered") == 1


async def test_a_receipt_settles_no_doubt_of_another_account(store: Store) -> None:
    """D2, D19: ids are an account's own, and so are its doubts."""
    kit = await intake_kit(store, **accounts("sim", "spare"))
    [token] = await kit.sent()
    await kit.silence(token)
    known = kit.core.pool.desk_of("spare")
    assert known is not None
    await replace(kit, reader=known[0], desk=known[1]).arrive(receipt("808"))
    assert await kit.state(token) == "in_doubt"
    assert await kit.effects() == ["orphan"]
