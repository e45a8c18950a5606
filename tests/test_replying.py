"""Replies at store level: parts joined whatever happens on the way, redeliveries told from repetitions, caps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations

import pytest
from sqlalchemy import text as sql

from engine.smpp.pdu import DataSm, Tag
from engine.smpp.text import Concat
from engine.store.doorway import Store
from engine.store.statements import Statement
from engine.store.transaction import Tx
from engine.transit import replying
from engine.transit.books import Bells
from tests.amounts import amounts
from tests.intake_kit import APP, EVENTS, MINUTE, PHONE, REPLIES, IntakeKit, intake_kit, mo, parts

FIVE = ["un ", "deux ", "trois ", "quatre ", "cinq"]
OTHER = "+33612345699"


async def give_up(
    kit: IntakeKit, *, waited_us: int = 15 * MINUTE, caps: tuple[int, int] = (1_000, 1_000)
) -> replying.GivenUp:
    """Look for parts that have waited too long, or are too many."""
    now = kit.clock.now()
    return await kit.store.write(lambda tx: replying.give_up(tx, kit.desk.joining, now - waited_us, caps, now))


async def states(kit: IntakeKit) -> list[tuple[str, str]]:
    """State and flags of each reply."""
    return [(row["state"], row["flags"]) for row in await kit.rows(REPLIES)]


async def test_five_parts_in_every_order_are_one_right_text_each(store: Store) -> None:
    """E1, users-ask 29: all 120 permutations."""
    kit = await intake_kit(store)
    for number, order in enumerate(permutations(range(5))):
        pdus = parts(FIVE, reference=number)
        for index in order:
            await kit.arrive(pdus[index], acknowledged=False)
    assert await kit.texts() == ["un deux trois quatre cinq"] * 120


async def test_parts_in_one_batch_and_in_several_are_the_same(store: Store) -> None:
    """E1."""
    kit = await intake_kit(store)
    await kit.arrive(*reversed(parts(FIVE)))
    assert await kit.texts() == ["un deux trois quatre cinq"]


async def test_a_missing_part_gives_one_incomplete_reply_after_a_while(store: Store) -> None:
    """E2, users-ask 29: with its gap shown; once."""
    kit = await intake_kit(store)
    pdus = parts(FIVE)
    await kit.arrive(*pdus[:2], *pdus[3:])
    kit.clock.step(14 * 60)
    assert await give_up(kit) == ([], 0, 0)
    kit.clock.step(120)
    assert (await give_up(kit)).replies == 1
    assert await kit.texts() == ["un deux […]quatre cinq"]
    assert await states(kit) == [("incomplete", "incomplete")]
    assert await give_up(kit) == ([], 0, 0)
    assert await kit.events() == ["received"]


async def test_a_part_that_comes_twice_is_kept_once(store: Store) -> None:
    """E3, users-ask 29: the same octets."""
    kit = await intake_kit(store)
    pdus = parts(FIVE)
    for pdu in (*pdus[:4], pdus[0], pdus[2], pdus[4]):
        await kit.arrive(pdu)
    assert await kit.texts() == ["un deux trois quatre cinq"]
    assert await states(kit) == [("unmatched", "")]


async def test_of_two_different_parts_with_one_number_the_first_is_kept_and_the_conflict_flagged(store: Store) -> None:
    """E3."""
    kit = await intake_kit(store)
    pdus = parts(FIVE)
    await kit.arrive(*pdus[:4])
    for text in ("DEUX ", "ZWEI ", "TWO "):
        await kit.arrive(mo(text, concat=Concat(7, 8, 5, 2)))
    await kit.arrive(pdus[4])
    assert await kit.texts() == ["un deux trois quatre cinq"]
    assert await states(kit) == [("unmatched", "conflicting_parts")]
    assert (await give_up(kit, waited_us=-MINUTE)).replies == 0  # nothing is left behind


async def test_one_reference_from_two_senders_to_two_numbers_is_never_mixed(store: Store) -> None:
    """E4, users-ask 29."""
    kit = await intake_kit(store)
    mine, theirs = parts(["mon ", "texte"]), parts(["leur ", "texte"], source=OTHER)
    elsewhere = parts(["autre ", "texte"], to="+33937000001")
    for pdu in (mine[0], theirs[1], elsewhere[1], theirs[0], mine[1], elsewhere[0]):
        await kit.arrive(pdu)
    assert await kit.texts() == ["leur texte", "mon texte", "autre texte"]


async def test_a_reference_used_again_later_begins_a_new_message(store: Store) -> None:
    """E4: by time: the old, unfinished one is handed on as incomplete, not mixed in."""
    kit = await intake_kit(store)
    await kit.arrive(parts(["vieux ", "jamais"])[0])
    kit.clock.step(600)
    for pdu in parts(["neuf ", "et entier"]):
        await kit.arrive(pdu)
    assert await kit.texts() == ["vieux […]", "neuf et entier"]
    assert [state for state, _ in await states(kit)] == ["incomplete", "unmatched"]


@pytest.mark.parametrize(
    ("total", "sequence"), [(3, 0), (3, 4), (1, 1), (0, 1)], ids=["seq 0", "seq > total", "total 1", "total 0"]
)
async def test_concatenation_that_cannot_be_is_ignored_and_the_text_delivered_alone(
    store: Store, total: int, sequence: int
) -> None:
    """E5."""
    kit = await intake_kit(store)
    await kit.arrive(mo("seul", concat=Concat(7, 8, total, sequence)))
    assert await kit.texts() == ["seul"]
    [(state, flags)] = await states(kit)
    assert (state, flags) == ("unmatched", "concatenation_ignored")


async def test_a_total_that_changes_between_parts_never_joins_and_ends_as_two_incomplete_replies(store: Store) -> None:
    """E5."""
    kit = await intake_kit(store)
    await kit.arrive(mo("a", concat=Concat(7, 8, 2, 1)), mo("b", concat=Concat(7, 8, 3, 2)))
    kit.clock.step(16 * 60)
    assert (await give_up(kit)).replies == 2
    assert set(await kit.texts()) == {"a[…]", "[…]b[…]"}


async def test_orphan_parts_are_bounded_for_each_pair_and_overall_oldest_out(store: Store) -> None:
    """E6: 300 orphan parts of one flood and 30 of others; the flood's oldest go first."""
    kit = await intake_kit(store)
    await kit.arrive(*[mo("x", concat=Concat(9, 16, 2, 1), source=f"+3361234{n:04d}") for n in range(30)])
    await kit.arrive(*[mo("x", concat=Concat(n, 16, 2, 1), source=OTHER) for n in range(150)])
    kit.clock.step(1)
    await kit.arrive(*[mo("x", concat=Concat(n, 16, 2, 1), source=OTHER) for n in range(150, 300)])
    looks = 0
    while (await give_up(kit, caps=(100, 120))).replies:
        looks += 1
    count = await kit.store.read(lambda tx: tx.one(replying._COUNT_OPEN))
    assert count == (120,)
    floods = [row for row in await kit.rows(REPLIES) if row["source"] == OTHER]
    assert len(floods) == 200
    assert len(await kit.rows(REPLIES)) == 210
    assert looks < 260


@pytest.mark.parametrize("count", amounts(2_000, 1_000_000))
async def test_orphan_parts_without_end_never_fill_more_than_the_caps(embedded: Store, count: int) -> None:
    """E6: `count` of them from handsets without number, while the duty makes its rounds: open parts stay bounded."""
    kit = await intake_kit(embedded)
    pair_most, most, batch = 50, 500, 200
    for start in range(0, count, batch):
        orphans = [
            mo("x", concat=Concat(n & 0xFFFF, 16, 2, 1), source=OTHER if n % 2 else f"+3361{n % 1_000_000:07d}")
            for n in range(start, start + batch)
        ]
        await kit.arrive(*orphans, acknowledged=False)
        kit.clock.step(1)
        while (await give_up(kit, caps=(pair_most, most))).replies:
            pass
        left = await embedded.read(lambda tx: tx.one(replying._COUNT_OPEN))
        assert left is not None
        assert left[0] <= most
    replies = await embedded.read(lambda tx: tx.one(Statement(lambda _: sql("SELECT count(*) FROM reply"))))
    assert replies == (count - left[0],)


@pytest.mark.parametrize("kind", ["udh16", "udh not first", "sar", "sar and udh"])
async def test_every_way_of_concatenation_is_joined(store: Store, kind: str) -> None:
    """E7: 16-bit references, the element not first, SAR parameters, both (the header wins)."""
    kit = await intake_kit(store)
    made = []
    for number, text in ((1, "premier "), (2, "second")):
        sar = (
            (Tag.SAR_MSG_REF_NUM, b"\x01\x02"), (Tag.SAR_TOTAL_SEGMENTS, b"\x02"),
            (Tag.SAR_SEGMENT_SEQNUM, bytes((number,))),
        )  # fmt: skip
        if kind == "udh16":
            made.append(mo(text, concat=Concat(0x1234, 16, 2, number)))
        elif kind == "udh not first":
            header = bytes((8, 0x24, 1, 1, 0x00, 3, 9, 2, number))
            made.append(mo(header + text.encode(), esm_class=0x40))
        elif kind == "sar":
            made.append(mo(text, tlvs=sar))
        else:
            wrong = (sar[0], (Tag.SAR_TOTAL_SEGMENTS, b"\x05"), (Tag.SAR_SEGMENT_SEQNUM, b"\x05"))
            made.append(mo(text, concat=Concat(3, 8, 2, number), tlvs=wrong))
    await kit.arrive(made[1])
    await kit.arrive(made[0])
    assert await kit.texts() == ["premier second"]


async def test_parts_join_over_several_binds_and_a_restart(store: Store) -> None:
    """E8: the rows hold them, not the process."""
    kit = await intake_kit(store)
    pdus = parts(FIVE)
    await kit.arrive(pdus[4], pdus[1])
    kit.end_session("ses_2")
    await kit.arrive(pdus[0])
    again = await intake_kit(store, clock=kit.clock)
    again.session = "ses_3"
    await again.arrive(pdus[3], pdus[2])
    assert await again.texts() == ["un deux trois quatre cinq"]


async def test_octets_are_joined_before_they_are_decoded(store: Store) -> None:
    """E12: an emoji cut in two by the sender comes back whole."""
    octets = "ok 😀".encode("utf-16-be")
    kit = await intake_kit(store)
    await kit.arrive(*[
        mo(half, concat=Concat(7, 8, 2, number), data_coding=8) for number, half in ((2, octets[8:]), (1, octets[:8]))
    ])  # fmt: skip
    assert await kit.texts() == ["ok 😀"]


CODINGS = [
    (b"h\xe9llo", 0x00, "latin1", "héllo", ""),
    (b"h\x05llo", 0x00, "gsm7", "héllo", ""),
    (b"h\xe9llo", 0x03, "gsm7", "héllo", ""),
    ("héllo".encode("utf-16-be"), 0x08, "gsm7", "héllo", ""),
    (b"\xff\xfe" + "héllo".encode("utf-16-le"), 0x08, "gsm7", "héllo", "little_endian"),
    (b"\xfe\xff" + "héllo".encode("utf-16-be"), 0x08, "gsm7", "héllo", "byte_order_mark"),
    ("héllo".encode("utf-16-be") + b"\x00", 0x08, "gsm7", "héllo", "odd_length"),
]


@pytest.mark.parametrize(("octets", "coding", "default", "text", "flag"), CODINGS)
async def test_texts_are_read_in_the_accounts_alphabet_and_what_was_odd_is_flagged(
    store: Store, octets: bytes, coding: int, default: str, text: str, flag: str
) -> None:
    """E10, E11: Latin-1 in DCS 0, byte order marks, little endian, an odd octet."""
    kit = await intake_kit(store, account={"default_alphabet": default})
    await kit.arrive(mo(octets, data_coding=coding))
    assert await kit.texts() == [text]
    assert await states(kit) == [("unmatched", flag)]


async def test_a_reserved_coding_is_flagged_read_as_well_as_can_be_and_its_octets_kept(store: Store) -> None:
    """E9: 0x0B; the raw PDU stays sealed with its row."""
    kit = await intake_kit(store)
    pdu = mo(b"abc", data_coding=0x0B)
    await kit.arrive(pdu)
    [(_, flags)] = await states(kit)
    assert "reserved_coding" in flags
    rows = await kit.store.read(lambda tx: tx.all(Statement(lambda _: sql("SELECT id, sealed FROM reply_part"))))
    [(row_id, kept)] = rows
    assert kit.core.keyring.unseal(kept, row_id)[16:].endswith(b"\x03abc")


BINARIES = {
    "empty": mo(""),
    "binary": mo(b"\x01\x02\x03", data_coding=0x04),
    "port addressed": mo(bytes((6, 0x05, 4, 0x0B, 0x84, 0x23, 0xF0)) + b"\x01\x06\x02", esm_class=0x40),
    "WAP push by parameter": mo(b"\x01\x06", data_coding=0x04, tlvs=((Tag.DESTINATION_PORT, b"\x0b\x84"),)),
    "empty header": mo("", esm_class=0x40),
}


@pytest.mark.parametrize("name", BINARIES)
async def test_what_no_person_wrote_is_stored_as_binary_and_told_without_text(store: Store, name: str) -> None:
    """E22: empty, binary, port-addressed, WAP push."""
    kit = await intake_kit(store)
    await kit.arrive(BINARIES[name])
    [(state, _flags)] = await states(kit)
    assert state == "binary"
    assert await kit.texts() == [""]
    assert await kit.events() == ["received"]


# Redelivery.


async def test_an_equal_text_is_a_second_answer_once_the_first_was_acknowledged(store: Store) -> None:
    """D17: two equal texts are two answers, in one session or in two."""
    kit = await intake_kit(store)
    await kit.arrive(mo("OUI"))
    await kit.arrive(mo("OUI"))
    kit.clock.step(3_600)
    kit.end_session("ses_2")
    await kit.arrive(mo("OUI"))
    assert await kit.texts() == ["OUI", "OUI", "OUI"]


async def test_an_equal_text_after_a_redelivery_in_one_batch_over_a_reconnect_is_a_second_answer(store: Store) -> None:
    """D16, D17: the store was slow, so what came last over the old link and again over the new one waits together."""
    kit = await intake_kit(store)
    old = kit.read(mo("OUI"))
    kit.end_session("ses_2")
    again = kit.read(mo("OUI"))
    await kit.take(arrivals=[old, again])
    assert again.part is not None
    await kit.take(acknowledged=[again.part.digest])
    kit.clock.step(60)
    await kit.arrive(mo("OUI"))
    assert await kit.texts() == ["OUI", "OUI"]


async def test_the_acknowledgement_of_the_first_counts_when_it_comes_in_with_the_second(store: Store) -> None:
    """D17: the note of the first response and the second answer share a batch."""
    kit = await intake_kit(store)
    first, second = kit.read(mo("OUI")), kit.read(mo("OUI"))
    await kit.take(arrivals=[first])
    assert first.part is not None
    await kit.take(arrivals=[second], acknowledged=[first.part.digest])
    assert await kit.texts() == ["OUI", "OUI"]


async def test_what_is_taken_in_again_after_a_commit_of_unknown_fate_is_no_second_answer(store: Store) -> None:
    """D17: it was committed after all, and an equal text has been acknowledged meanwhile."""
    kit = await intake_kit(store)
    arrival = kit.read(mo("OUI"))
    assert arrival.part is not None
    await kit.take(arrivals=[arrival])
    await kit.take(acknowledged=[arrival.part.digest])
    await kit.take(arrivals=[arrival])
    assert await kit.texts() == ["OUI"]


async def test_a_reply_that_its_own_redelivery_overtook_is_no_second_answer(store: Store) -> None:
    """D17: its session ended while it waited for the database, and what the SMSC sent again was committed first."""
    kit = await intake_kit(store)
    slow = kit.read(mo("OUI"))
    kit.end_session("ses_2")
    await kit.arrive(mo("OUI"))
    await kit.take(arrivals=[slow])
    assert await kit.texts() == ["OUI"]


async def test_an_equal_text_whose_response_was_not_written_is_a_redelivery(store: Store) -> None:
    """D17: the response was lost, the SMSC sends it again: one event; the next equal text is a new answer."""
    kit = await intake_kit(store)
    await kit.arrive(mo("OUI"), acknowledged=False)
    kit.end_session("ses_2")
    kit.clock.step(30)
    await kit.arrive(mo("OUI"))
    assert (await kit.texts(), await kit.events()) == (["OUI"], ["received"])
    kit.clock.step(10)
    await kit.arrive(mo("OUI"))
    assert await kit.texts() == ["OUI", "OUI"]


async def test_an_equal_text_after_a_session_that_ended_right_after_the_response_is_a_redelivery(store: Store) -> None:
    """D17: our response may not have got through; hours later it is an answer again."""
    kit = await intake_kit(store)
    await kit.arrive(mo("OUI"))
    kit.clock.step(59)
    kit.end_session("ses_2")
    kit.clock.step(300)
    await kit.arrive(mo("OUI"))
    assert await kit.texts() == ["OUI"]
    kit.clock.step(2)
    await kit.arrive(mo("OUI"))
    assert await kit.texts() == ["OUI", "OUI"]


async def test_a_session_that_ended_long_after_the_response_makes_no_redelivery(store: Store) -> None:
    """D17."""
    kit = await intake_kit(store)
    await kit.arrive(mo("OUI"))
    kit.clock.step(61)
    kit.end_session("ses_2")
    await kit.arrive(mo("OUI"))
    assert await kit.texts() == ["OUI", "OUI"]


async def test_an_equal_text_with_the_smscs_own_message_id_is_a_redelivery(store: Store) -> None:
    """D17: both carry the same id; another id is another answer."""
    kit = await intake_kit(store)
    await kit.arrive(mo("OUI", tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"A1\0"),)))
    await kit.arrive(mo("OUI", tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"A1\0"),)))
    await kit.arrive(mo("OUI", tlvs=((Tag.RECEIPTED_MESSAGE_ID, b"A2\0"),)))
    assert await kit.texts() == ["OUI", "OUI"]


async def test_parts_that_are_delivered_again_after_a_lost_response_make_no_second_reply(store: Store) -> None:
    """D17, E3: all parts once more, the reply long since joined."""
    kit = await intake_kit(store)
    await kit.arrive(*parts(FIVE), acknowledged=False)
    kit.end_session("ses_2")
    await kit.arrive(*parts(FIVE))
    assert await kit.texts() == ["un deux trois quatre cinq"]


async def test_the_same_text_from_another_account_or_handset_is_its_own(store: Store) -> None:
    """D17."""
    kit = await intake_kit(store)
    await kit.arrive(mo("OUI"), mo("OUI", source=OTHER), acknowledged=False)
    assert len(await kit.texts()) == 2


# Whose it is.

SHARED = {
    "ours": {"address": "38123", "application": APP, "accounts": ["sim"]},
    "theirs": {"address": "38123", "application": "app_other", "keywords": ["PIZZA"], "accounts": ["sim"]},
    "long": {"address": "+33937000001", "application": "app_long", "accounts": ["sim"]},
}


@pytest.mark.parametrize(
    ("text", "to", "owner"),
    [
        ("bonjour", "38123", APP),
        ("Pizza svp", "38123", "app_other"),
        ("pizza", "38123", "app_other"),
        ("pizzas", "38123", APP),
        ("pizza", "33937000001", "app_long"),
        ("pizza", "+33937000001", "app_long"),
        ("bonjour", "99999", None),
    ],
)
async def test_an_unmatched_reply_is_told_to_whom_the_number_or_the_keyword_belongs(
    store: Store, text: str, to: str, owner: str | None
) -> None:
    """F6: a keyword of another application on a shared number; nobody's number is stored and told to nobody."""
    kit = await intake_kit(store, numbers=SHARED)
    await kit.arrive(mo(text, to=to))
    [reply] = await kit.rows(REPLIES)
    assert (reply["application_id"], reply["state"]) == (owner, "unmatched")
    events = await kit.rows(EVENTS)
    assert [event["application_id"] for event in events] == ([owner] if owner else [])
    assert all(text not in event["data"] and "345678" not in event["data"] for event in events)


@pytest.mark.parametrize(
    ("digits", "ton", "npi", "canonical"),
    [
        (b"33612345678", 1, 1, PHONE),
        (b"+33612345678", 1, 1, PHONE),
        (b"0033612345678", 0, 1, PHONE),
        (b"0612345678", 2, 1, PHONE),
        (b"0612345678", 0, 1, PHONE),
        (b"36123", 3, 0, "36123"),
        (b"ACME", 5, 0, "ACME"),
        (b"", 0, 0, ""),
    ],
)
async def test_a_source_in_any_form_is_one_number_and_the_raw_form_is_kept(
    store: Store, digits: bytes, ton: int, npi: int, canonical: str
) -> None:
    """F2: international, national by the account's region, short, alphanumeric; never refused."""
    kit = await intake_kit(store, account={"default_region": "FR"})
    await kit.arrive(mo("OUI")._replace(source_addr=digits, source_addr_ton=ton, source_addr_npi=npi))
    [reply] = await kit.rows(REPLIES)
    assert (reply["source"], reply["source_raw"]) == (canonical, digits.decode())
    assert reply["source_fp"] == kit.core.keyring.fingerprint("phone", canonical)


async def test_data_sm_carries_replies_as_well(store: Store) -> None:
    """D20: the other carrier, for text."""
    kit = await intake_kit(store)
    await kit.arrive(
        DataSm(source_addr=b"33612345678", source_addr_ton=1, destination_addr=b"38123",
               tlvs=((Tag.MESSAGE_PAYLOAD, b"par l'autre"),))
    )  # fmt: skip
    assert await kit.texts() == ["par l'autre"]


# Poison.


async def test_waiting_parts_that_cannot_be_handed_on_are_parked_and_the_others_go_on(store: Store) -> None:
    """E2: one reply that raises does not hold up the duty."""
    kit = await intake_kit(store)
    good = kit.desk.joining

    def picky(tx: Tx, replies: Sequence[replying.JoinedReply], now: int) -> Bells:
        if any("poison" in reply.text for reply in replies):
            raise ZeroDivisionError
        return good.on_replies(tx, replies, now)

    await kit.arrive(parts(["poison ", "x"], reference=1)[0], parts(["sain ", "x"], reference=2)[0])
    kit.clock.step(16 * 60)
    now = kit.clock.now()
    joining = replace(good, on_replies=picky)
    given = await kit.store.write(lambda tx: replying.give_up(tx, joining, now - 15 * MINUTE, (100, 100), now))
    assert (given.replies, given.parked) == (1, 1)
    assert await kit.texts() == ["sain […]"]
    assert (await give_up(kit)).replies == 0
