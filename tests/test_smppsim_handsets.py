"""smppsim.handsets and pdulog: inboxes, codes in texts, replies, the ring of PDUs."""

from __future__ import annotations

import itertools

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import DeliverSm, SubmitSm
from engine.smpp.text import Concatenation, TooManyParts, concat_of, join, read_part
from smppsim.behaviour import Link
from smppsim.faults import Throttle
from smppsim.handsets import Handsets, code_in, write_reply
from smppsim.replies import NoRoute
from smppsim.scenario import AccountSettings, Scenario
from smppsim.simulator import Simulator
from tests.smppsim_client import PHONE, bound, long_submits, submit_sm

LONG = "A longer text, with an emoji 👍 and accents éàü, is cut into several parts on its way. " * 3


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


def inbox_of(parts: list[SubmitSm], bound: int = 100) -> Handsets:
    handsets = Handsets(bound)
    for number, part in enumerate(parts):
        handsets.receive("demo", part, b"%d" % number, number)
    return handsets


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Your code is 123456. Do not share it.", "123456"),
        ("Code 123 456 for 25.00 EUR", "123456"),
        ("1234-5678 is your code", "12345678"),
        ("Pay 12 EUR to FR76 with code 004711", "004711"),
        ("Your code: 111111\n@example.com #222222", "222222"),
        ("Call +33612345600", None),
        ("nothing here, A1234 neither", None),
    ],
)
def test_the_code_is_the_one_a_person_would_copy(text: str, code: str | None) -> None:
    assert code_in(text) == code


@pytest.mark.parametrize("by", [Concatenation.UDH16, Concatenation.UDH8, Concatenation.SAR, Concatenation.PAYLOAD])
def test_a_long_message_is_joined_however_it_was_cut(by: Concatenation) -> None:
    (message,) = inbox_of(long_submits(LONG, by=by)).messages("+33612345600")
    assert (message.text, message.complete, message.duplicates) == (LONG, True, 0)


def test_parts_join_in_every_order() -> None:
    parts = long_submits("é" * 400)
    assert len(parts) == 3
    for order in itertools.permutations(parts):
        (message,) = inbox_of(list(order)).messages("33612345600")
        assert message.text == "é" * 400


def test_a_missing_part_leaves_the_message_incomplete_and_a_repeated_one_is_counted() -> None:
    first, second, third = long_submits("a" * 400)
    (message,) = inbox_of([first, third]).messages("33612345600")
    assert (message.complete, message.parts, message.total) == (False, 2, 3)
    (message,) = inbox_of([first, second, second, third, first]).messages("33612345600")
    assert (message.complete, message.duplicates) == (True, 2)


def test_a_reference_used_again_begins_a_new_message() -> None:
    handsets = inbox_of(long_submits("a" * 200) + long_submits("b" * 200))
    assert [message.text[0] for message in handsets.messages("33612345600")] == ["a", "b"]


def test_every_real_delivery_is_counted_by_number_and_text() -> None:
    """Promise 3: duplicates are counted at the other end."""
    parts = [*long_submits(LONG, 1), *long_submits(LONG, 2), submit_sm("once"), long_submits(LONG, 3)[0]]
    counts = inbox_of(parts).deliveries()
    assert counts == {("+33612345600", LONG): 2, ("+33612345600", "once"): 1}


def test_inboxes_are_bounded_over_all_handsets_and_the_oldest_goes_first() -> None:
    handsets = Handsets(50)
    for number in range(5000):
        handsets.receive("demo", submit_sm(f"{number}", b"336123456%02d" % (number % 100)), b"", 0)
    kept = sum(len(handsets.parts(number)) for number in handsets.numbers())
    assert 50 <= kept <= 1050
    assert handsets.messages("+33612345699")[-1].text == "4999"
    handsets.clear()
    assert handsets.numbers() == []


@pytest.mark.parametrize("concatenation", ["udh16", "udh8", "sar", "payload"])
def test_a_long_reply_is_cut_as_the_link_says(concatenation: str) -> None:
    link = Link.model_validate({"concatenation": concatenation})
    pdus = write_reply(LONG, source="33612345600", destination="38200", link=link, reference=0x1234)
    assert (len(pdus) == 1) == (concatenation == "payload")
    assert all(pdu.data_coding == 8 for pdu in pdus)
    assert (pdus[0].esm_class == 0x40) == concatenation.startswith("udh")
    concat = concat_of(pdus[0])
    assert (concat.reference if concat else None) == {
        "udh16": 0x1234,
        "udh8": 0x34,
        "sar": 0x1234,
        "payload": None,
    }[concatenation]
    assert join([read_part(pdu)[0] for pdu in pdus], total=len(pdus)).text == LONG


async def test_a_reply_goes_from_the_handset_to_the_number_that_wrote(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    await client.ask(submit_sm("Sign? Code 004711", source_addr_ton=3, registered_delivery=0))
    handset = simulator.handset("+33 6 12 34 56 00")
    assert (await handset.wait())[0].text == "Sign? Code 004711"
    assert handset.code == "004711"
    handset.reply("004711")
    reply = await client.deliver_sm()
    assert reply == DeliverSm(
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=PHONE,
        dest_addr_ton=3,
        destination_addr=b"38200",
        short_message=b"004711",
    )


async def test_a_reply_may_be_written_from_another_form_of_the_number(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.handset("+33612345600").reply("OK", "38200", source="0612345600", source_form=(2, 1))
    reply = await client.deliver_sm()
    assert (reply.source_addr, reply.source_addr_ton) == (b"0612345600", 2)


async def test_replies_find_their_account_by_number_then_by_the_last_message(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    accounts = (
        AccountSettings(system_id="one", numbers=("3820*",)),
        AccountSettings(system_id="two"),
    )
    simulator = Simulator(Scenario(accounts=accounts))
    await nursery.start(simulator.run)
    handset = simulator.handset("+33612345600")
    with pytest.raises(NoRoute):
        handset.reply("whom?")
    with pytest.raises(NoRoute):
        handset.reply("whom?", "+33937000000")
    one = await bound(simulator, system_id="one", password="")
    two = await bound(simulator, system_id="two", password="")
    handset.reply("by number", "38200")
    assert (await one.deliver_sm()).short_message == b"by number"
    await two.ask(submit_sm(source_addr=b"36123", registered_delivery=0))
    handset.reply("to who wrote")
    assert (await two.deliver_sm()).destination_addr == b"36123"
    handset.reply("as told", "38200", account="two")
    assert (await two.deliver_sm()).short_message == b"as told"


async def test_a_reply_waits_for_a_receiver_and_too_long_a_one_is_refused(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    handset = simulator.handset("+33612345600")
    handset.reply("waiting", "38200")
    with pytest.raises(TooManyParts):
        handset.reply("é" * 5000, "38200")
    client = await bound(simulator)
    assert (await client.deliver_sm()).short_message == b"waiting"


async def test_an_account_of_latin_1_reads_and_writes_it(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.link(alphabet="latin1")
    client = await bound(simulator)
    await client.ask(submit_sm("")._replace(short_message="ça, c'est ê".encode("latin-1"), registered_delivery=0))
    assert simulator.handset("+33612345600").messages[0].text == "ça, c'est ê"
    simulator.handset("+33612345600").reply("ê")
    reply = await client.deliver_sm()
    assert (reply.data_coding, reply.short_message) == (0, b"\xea")


async def test_reset_forgets_everything_and_goes_back_to_the_settings(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(answers=[{"status": 8}], destination="336*")
    simulator.behave(receipt_delay=60)
    simulator.cause(Throttle(for_s=60))
    client = await bound(simulator)
    await client.ask(submit_sm())
    simulator.reset()
    assert await client.ended()
    assert (simulator.stats.submits, simulator.pdus, simulator.account("demo").rules) == (0, [], ())
    client = await bound(simulator)
    assert (await client.ask(submit_sm()))[0].command_status == 0
    await client.deliver_sm()
