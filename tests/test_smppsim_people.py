"""smppsim.people and crowd: what the persons who hold the handsets write, when, from which number, with which luck."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from trio.testing import MockClock

from engine.smpp.pdu import DeliverSm
from engine.smpp.text import Concatenation, concat_of, join, read_part
from smppsim.handsets import InboxMessage
from smppsim.people import CHARACTERS, NumberForm, Person, mistyped, reaction_to, utterances, written_as
from smppsim.scenario import Scenario
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, bound, long_submits, submit_sm

NUMBER = "+33612345600"
CODE = "Your code is 482913."


def heard(text: str = CODE, source: str = "38200") -> InboxMessage:
    return InboxMessage(source, "33612345600", text, 0, 1, 1, 0, 0, "demo", ("1",))


def person(**fields: Any) -> Person:
    return Person.model_validate(fields)


def said(person: Person, text: str = CODE, seed: int = 1) -> list[tuple[float, str]]:
    message = heard(text)
    index = reaction_to(person, message, {})
    if index is None:
        return []
    dice = random.Random(seed)
    return [
        (each.wait, each.text) for each in utterances(person, person.reactions[index], message, "33612345600", dice)
    ]


# -- what they say --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{code}", "482913"),
        ("OUI {code_spaced}", "OUI 482 913"),
        ("{code_dashed}!", "482-913!"),
        ("re: {text}", f"re: {CODE}"),
        ("{sender} wrote to {number}", "38200 wrote to 33612345600"),
        ("{{code}}", "{code}"),
    ],
)
def test_a_template_takes_its_fields_from_the_message(template: str, text: str) -> None:
    assert said(person(reactions=[{"says": template}])) == [(0.0, text)]


def test_a_person_answers_wrongly_corrects_itself_and_repeats_itself_at_its_own_pace() -> None:
    slow = person(pace=2, reactions=[{"says": ["{wrong_code}", {"text": "{code}", "after": 10, "times": 2}]}])
    (first, wrong), (second, right), (third, again) = said(slow)
    assert (first, second, third) == (2, 14, 26)
    assert wrong != right == again == "482913"
    assert sum(one != other for one, other in zip(wrong, right, strict=True)) == 1


@given(st.from_regex(r"[0-9A-Z]{4,10}", fullmatch=True), st.integers())
def test_a_mistyped_code_is_never_the_code_and_looks_like_one(code: str, seed: int) -> None:
    wrong = mistyped(code, random.Random(seed))
    assert wrong != code
    assert [each.isdigit() for each in wrong] == [each.isdigit() for each in code]


def test_the_first_reaction_that_fits_the_text_and_our_number_is_played() -> None:
    picky = person(
        reactions=[
            {"heard": "signez|sign here", "says": "OUI"},
            {"sender": "999*", "says": "who are you?"},
            {"says": "{code}"},
            {"heard": "^bonjour", "says": "Bonjour"},
        ]
    )
    assert reaction_to(picky, heard("Please SIGN HERE 1234"), {}) == 0
    assert reaction_to(picky, heard("anything", "+99901"), {}) == 1
    assert reaction_to(picky, heard(CODE), {}) == 2
    assert reaction_to(picky, heard("Bonjour à vous"), {}) == 3
    assert reaction_to(picky, heard("no code here"), {}) is None


def test_a_reaction_may_wear_out() -> None:
    leaver = person(reactions=[{"limit": 2, "says": "later"}, {"says": "STOP"}])
    assert [reaction_to(leaver, heard(), {0: times}) for times in (0, 1, 2)] == [0, 0, 1]


def test_a_person_may_know_another_place_for_the_code() -> None:
    assert said(person(code=r"réf\. ([A-Z0-9]+)", reactions=[{"says": "{code}"}]), "Code 111111, réf. X7Q") == [
        (0.0, "X7Q")
    ]
    assert said(person(code=r"\d{3}$", reactions=[{"says": "{code}"}]), "Code 111111 or 222") == [(0.0, "222")]


def test_choices_are_drawn_by_weight_and_the_same_seed_draws_the_same() -> None:
    crowd = person(
        reactions=[
            {"one_of": [{"weight": 8, "says": "{code}"}, {"weight": 1, "says": "{wrong_code}"}, {"weight": 1}]},
        ]
    )
    drawn = [said(crowd, seed=seed) for seed in range(1000)]
    kinds = Counter("never" if not lines else "right" if lines[0][1] == "482913" else "wrong" for lines in drawn)
    assert 750 < kinds["right"] < 850
    assert 60 < kinds["wrong"] < 140
    assert drawn == [said(crowd, seed=seed) for seed in range(1000)]


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("international", ("33612345600", (1, 1))),
        ("plus", ("+33612345600", (1, 1))),
        ("zeros", ("0033612345600", (0, 1))),
        ("untyped", ("33612345600", (0, 0))),
        ("national", ("0612345600", (2, 1))),
        ("national_untyped", ("0612345600", (0, 0))),
    ],
)
def test_a_number_is_written_in_the_forms_that_operators_use(form: str, written: object) -> None:
    assert written_as("33612345600", NumberForm(form), "33", "0") == written


def test_a_number_of_another_country_has_no_national_form_here() -> None:
    assert written_as("12025550100", NumberForm.national, "33", "0") == ("12025550100", (1, 1))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"reactions": [{"says": "{kode}"}]}, "knows only the fields"),
        ({"reactions": [{"says": "{code:>9}"}]}, "knows only the fields"),
        ({"reactions": [{"says": "{code"}]}, "expected '}'"),
        ({"reactions": [{"heard": "(", "says": "x"}]}, "not a regular expression"),
        ({"reactions": [{"says": "x", "one_of": [{}]}]}, "exclude each other"),
        ({"reactions": [{"says": {"text": "x", "written": "national"}}]}, "needs country_code"),
        ({"like": "nobody"}, "like is one of obliging"),
        ({"reaction": []}, "Extra inputs"),
    ],
)
def test_a_mistake_in_a_person_is_said(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint.replace("(", r"\(")):
        person(**fields)


@pytest.mark.parametrize("name", CHARACTERS)
def test_every_character_is_a_person_and_may_be_changed(name: str) -> None:
    alike = person(like=name, pace=1)
    assert alike.name == name
    assert alike.reactions
    assert all(wait >= 1 for wait, _ in said(alike))


# -- and what is sent -----------------------------------------------------------------------------------------


async def started(nursery: trio.Nursery, *people: dict[str, Any], seed: int = 0) -> Simulator:
    simulator = Simulator(Scenario.model_validate({"people": people}), seed=seed)
    await nursery.start(simulator.run)
    return simulator


async def replies(client: Client, count: int) -> list[DeliverSm]:
    return [await client.deliver_sm() for _ in range(count)]


async def test_a_person_answers_with_the_code_after_a_while(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    simulator = await started(nursery, {"number": "+336*", "pace": 7, "reactions": [{"says": "OUI {code_spaced}"}]})
    client = await bound(simulator)
    await client.ask(submit_sm(CODE, registered_delivery=0, source_addr_ton=3))
    reply = await client.deliver_sm()
    assert trio.current_time() == 7
    assert (reply.source_addr, reply.destination_addr, reply.dest_addr_ton) == (b"33612345600", b"38200", 3)
    assert reply.short_message == b"OUI 482 913"
    await client.ask(submit_sm(CODE, b"12025550100", registered_delivery=0))
    assert await client.nothing_for(100)


async def test_a_long_message_is_answered_once_when_its_last_part_is_there(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    simulator = await started(nursery, {"reactions": [{"says": "{code}"}]})
    client = await bound(simulator)
    first, second, third = (
        part._replace(registered_delivery=0) for part in long_submits("Please read all of this. " * 15 + CODE)
    )
    for part in (third, first, first):
        await client.ask(part)
    assert await client.nothing_for(5)
    await client.send(second)
    _, reply = await client.receive(), await client.deliver_sm()
    assert reply.short_message == b"482913"
    await client.ask(second)
    assert await client.nothing_for(5)


async def test_a_person_writes_from_another_form_of_its_number_and_to_another_number_of_ours(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    says = [{"text": "{code}", "written": "national"}, {"text": "STOP", "to": "36111", "written": "plus"}]
    simulator = await started(nursery, {"country_code": "33", "reactions": [{"says": says}]})
    client = await bound(simulator)
    await client.send(submit_sm(CODE, registered_delivery=0))
    await client.receive()
    national, other = await replies(client, 2)
    assert (national.source_addr, national.source_addr_ton) == (b"0612345600", 2)
    assert (other.source_addr, other.source_addr_ton, other.destination_addr) == (b"+33612345600", 1, b"36111")


@pytest.mark.parametrize("cut", ["udh8", "udh16", "sar", "payload"])
async def test_long_replies_with_emoji_are_cut_as_the_person_says(
    autojump_clock: MockClock, nursery: trio.Nursery, cut: str
) -> None:
    text = "Merci 🙏 " + "je réponds longuement, " * 8
    simulator = await started(nursery, {"reactions": [{"says": {"text": text, "cut": cut}}]})
    client = await bound(simulator)
    await client.send(submit_sm("hello", registered_delivery=0))
    await client.receive()
    parts = await replies(client, 1 if cut == "payload" else 3)
    assert join([read_part(part)[0] for part in parts], total=len(parts)).text == text
    width = None if (concat := concat_of(parts[0])) is None else concat.width
    assert width == {"udh8": 8, "udh16": 16, "sar": 16, "payload": None}[cut]
    assert (parts[0].esm_class == 0x40) == cut.startswith(Concatenation.UDH8[:3])


async def test_nobody_answers_a_sender_without_a_number(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    simulator = await started(nursery, {"like": "obliging"})
    client = await bound(simulator)
    await client.ask(submit_sm(CODE, source_addr=b"Sceau", source_addr_ton=5, registered_delivery=0))
    assert await client.nothing_for(60)
    assert simulator.stats.replies_impossible == 1


async def test_a_person_may_be_put_in_place_and_taken_away_while_it_runs(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    simulator = await started(nursery, {"like": "leaves"})
    client = await bound(simulator)
    handset = simulator.handset(NUMBER)

    async def answer() -> bytes | None:
        await client.ask(submit_sm(CODE, registered_delivery=0))
        with trio.move_on_after(5):
            return (await client.deliver_sm()).short_message
        return None

    assert [await answer(), await answer()] == [b"STOP", None]
    handset.give_to(person(like="obliging"))
    assert [await answer(), await answer()] == [b"482913", b"482913"]
    handset.give_to(None)
    assert await answer() == b"STOP", "given back, with an empty memory"
    simulator.place(person(number="336*", like="chatty"))
    assert (await answer(), handset.person) == (b"OUI 482 913", person(number="336*", like="chatty"))
    simulator.reset()
    client = await bound(simulator)
    assert await answer() == b"STOP"


async def test_the_same_seed_gives_every_handset_the_same_luck_whatever_the_others_receive(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    torn = {"reactions": [{"one_of": [{"says": "{code}"}, {"says": "{wrong_code}"}, {"says": "STOP"}, {}]}]}

    async def lived(seed: int, *, others: bool) -> list[str]:
        simulator = await started(nursery, torn, seed=seed)
        client = await bound(simulator)
        for number in range(20):
            if others:
                await client.send(submit_sm(CODE, b"3361234561%d" % (number % 10), registered_delivery=0))
            await client.send(submit_sm(CODE, registered_delivery=0))
        await trio.sleep(1)
        sent = [row.pdu for row in simulator.pdus if row.direction == "out"]
        mine = [pdu for pdu in sent if isinstance(pdu, DeliverSm) and pdu.source_addr == b"33612345600"]
        return [pdu.short_message.decode() for pdu in mine]

    alone = await lived(1, others=False)
    assert alone == await lived(1, others=True)
    assert alone != await lived(2, others=False)
    assert len(set(alone)) > 3
