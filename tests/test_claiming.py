"""Claims: what a part's row says of the octets that leave."""

from __future__ import annotations

from dataclasses import replace

from engine.cases import timeline
from engine.smpp.pdu import Status
from engine.store.doorway import Store
from engine.transit import queue
from engine.transit.claiming import InFlight
from tests.intake_kit import APP, MESSAGES, PARTS, IntakeKit, intake_kit


async def digest_of(kit: IntakeKit, token: InFlight) -> str:
    """What the row of a part keeps of its text."""
    rows = await kit.rows(PARTS)
    return next(str(row["text_digest"]) for row in rows if row["message_id"] == token.message_id)


async def test_the_digest_of_a_part_is_of_its_payload_where_its_text_travels_in_one(store: Store) -> None:
    kit = await intake_kit(store, account={"concatenation": "payload"})
    [token] = await kit.sent(parts=2)
    assert await digest_of(kit, token) == kit.core.keyring.digest(b"a" * 163)


async def test_a_part_that_is_taken_up_again_is_told_of_as_it_leaves_then(store: Store) -> None:
    """A throttled part may leave through another account, cut and numbered its way."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    assert await digest_of(kit, token) == kit.core.keyring.digest(b"Bonjour")
    await kit.answer(token, status=Status.ESME_RTHROTTLED)
    sender = next(iter(kit.core.pool._slots.values())).line.sender
    sender.wording = replace(sender.wording, compose=lambda _message: "Bonsoir")
    [again] = await kit.claimed((await kit.rows(MESSAGES))[0])
    assert again == token
    assert await digest_of(kit, again) == kit.core.keyring.digest(b"Bonsoir")


async def test_a_part_that_goes_again_alone_goes_alone_even_if_the_link_was_gone_before_it_was_written(
    store: Store,
) -> None:
    """C1, promise 2: released before an octet left, it is claimed as it was, and its answer ends the message's wait."""
    kit = await intake_kit(store)
    first, second, third = await kit.sent(parts=3)
    await kit.answer(first, "a1")
    await kit.answer(second, status=Status.ESME_RTHROTTLED)
    await kit.answer(third, "a3")
    [again] = await kit.claimed(await kit.message(second))
    released = [(again.message_id, [again.number])]
    assert await store.write(lambda tx: queue.release(tx, released)) == {again.message_id}
    row = await kit.message(second)
    assert (row["state"], row["resend"], row["attempts"], row["reason"]) == ("queued", "2", 0, None)
    assert await kit.claimed(row) == [again]
    await kit.answer(again, "a2")
    row = await kit.message(second)
    assert (row["state"], row["unanswered"], row["resend"]) == ("accepted", 0, None)


async def test_a_message_that_was_not_written_goes_again_whole(store: Store) -> None:
    kit = await intake_kit(store)
    tokens = await kit.sent(parts=2)
    released = [(tokens[0].message_id, [token.number for token in tokens])]
    await store.write(lambda tx: queue.release(tx, released))
    row = await kit.message(tokens[0])
    assert (row["state"], row["resend"], row["unanswered"]) == ("queued", None, 0)
    assert await kit.claimed(row) == tokens


async def test_the_answer_of_a_throttled_part_is_gone_once_it_is_on_the_wire_again(store: Store) -> None:
    """Its timeline never shows an answer before its submit; that it was throttled before is counted."""
    kit = await intake_kit(store)
    [token] = await kit.sent()
    kit.clock.step(1)
    await kit.answer(token, status=Status.ESME_RTHROTTLED)
    kit.clock.step(1)
    await kit.claimed((await kit.rows(MESSAGES))[0])
    [part] = await kit.rows(PARTS)
    assert (part["state"], part["status"], part["answered_at"], part["throttles"]) == ("on_wire", None, None, 1)
    told = await store.read(lambda tx: timeline.of_message(tx, APP, token.message_id))
    assert [entry["what"] for entry in told] == ["message.queued", "submit_sm"]
    kit.clock.step(1)
    await kit.answer(token, "77")
    told = await store.read(lambda tx: timeline.of_message(tx, APP, token.message_id))
    assert [entry["what"] for entry in told][:3] == ["message.queued", "submit_sm", "submit_sm_resp"]
