"""smppsim.subscribers: phones that are off, full, ported or barred, and what becomes of messages to them."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import DeliverSm, QuerySm, QuerySmResp, Tag, relative_validity, tlv
from smppsim.scenario import Scenario
from smppsim.simulator import Simulator
from smppsim.subscribers import PhoneState, Subscribers
from tests.smppsim_client import PHONE, Client, bound, submit_sm

NUMBER = "+33612345600"


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


def says(receipt: DeliverSm) -> tuple[str, bytes | None]:
    """`stat:… err:…` of a receipt and its network_error_code."""
    text = receipt.short_message.decode()
    return text[text.index("stat:") : text.index(" text:")], tlv(receipt.tlvs, Tag.NETWORK_ERROR_CODE)


async def submitted(client: Client, *texts: str, **fields: Any) -> None:
    for text in texts:
        await client.ask(submit_sm(text, **fields))


@pytest.mark.parametrize("state", ["off", "full"])
async def test_messages_wait_for_a_phone_and_arrive_in_order_when_it_is_on_again(
    autojump_clock: MockClock, simulator: Simulator, state: str
) -> None:
    client = await bound(simulator)
    handset = simulator.handset(NUMBER)
    handset.switch(state)
    await submitted(client, "one", "two")
    assert await client.nothing_for(3600)
    assert handset.messages == []
    handset.switch("on")
    assert [says(await client.deliver_sm())[0] for _ in range(2)] == ["stat:DELIVRD err:000"] * 2
    assert [message.text for message in handset.messages] == ["one", "two"]
    assert await client.nothing_for(3 * 86_400), "nothing of it expires later"


@pytest.mark.parametrize(("state", "err", "code"), [("off", "027", 27), ("full", "032", 32)])
async def test_a_message_expires_with_its_validity_period_and_says_why(
    autojump_clock: MockClock, simulator: Simulator, state: str, err: str, code: int
) -> None:
    client = await bound(simulator)
    simulator.switch("3361234*", state)
    await submitted(client, "short-lived", validity_period=relative_validity(300))
    receipt = await client.deliver_sm()
    assert trio.current_time() == 300
    assert says(receipt) == (f"stat:EXPIRED err:{err}", bytes((3, 0, code)))
    assert receipt.source_addr == PHONE
    simulator.switch("3361234*", "on")
    assert simulator.handset(NUMBER).messages == []


async def test_without_a_validity_period_two_days_are_the_limit(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.switch(NUMBER, "off")
    await submitted(client, "patient")
    receipt = await client.deliver_sm()
    assert (says(receipt)[0], trio.current_time()) == ("stat:EXPIRED err:027", 48 * 3600)


@pytest.mark.parametrize(("state", "code"), [("ported", 1), ("unknown", 1), ("barred", 13)])
async def test_a_phone_that_is_not_there_fails_at_once_with_the_networks_reason(
    autojump_clock: MockClock, simulator: Simulator, state: str, code: int
) -> None:
    client = await bound(simulator)
    simulator.handset(NUMBER).switch(state)
    await submitted(client, "lost")
    assert says(await client.deliver_sm()) == (f"stat:UNDELIV err:{code:03}", bytes((3, 0, code)))
    assert trio.current_time() == 0
    await submitted(client, "elsewhere", destination=b"33612345601")
    assert says(await client.deliver_sm()) == ("stat:DELIVRD err:000", None)


async def test_a_number_that_leaves_while_messages_wait_fails_them(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.switch(NUMBER, "off")
    await submitted(client, "waiting")
    simulator.switch(NUMBER, "full")
    assert await client.nothing_for(60)
    simulator.switch(NUMBER, "ported")
    assert says(await client.deliver_sm())[0] == "stat:UNDELIV err:001"


async def test_an_intermediate_notification_tells_who_asked_for_it_that_a_message_waits(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.switch(NUMBER, "off", for_s=600)
    await submitted(client, "noted", registered_delivery=0x11)
    waiting = await client.deliver_sm()
    assert (waiting.esm_class, says(waiting)) == (0x20, ("stat:ENROUTE err:027", b"\x03\x00\x1b"))
    assert tlv(waiting.tlvs, Tag.MESSAGE_STATE) == b"\x01"
    final = await client.deliver_sm()
    assert (final.esm_class, says(final)[0], trio.current_time()) == (0x04, "stat:DELIVRD err:000", 600)


async def test_a_phone_may_be_off_for_a_while_and_a_later_word_counts(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.switch(NUMBER, "off", for_s=60)
    await submitted(client, "soon")
    await trio.sleep(30)
    simulator.switch(NUMBER, "off", for_s=60)
    await client.deliver_sm()
    assert trio.current_time() == 90
    simulator.switch(NUMBER, "off", for_s=10)
    simulator.switch(NUMBER, "off")
    await submitted(client, "later")
    assert await client.nothing_for(1000)


async def test_what_waits_is_enroute_and_can_be_cancelled_by_settling_it(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.switch(NUMBER, "off")
    await submitted(client, "doomed")
    (message,) = simulator.smsc.subscribers.waiting(NUMBER)
    _, answer = await client.ask(QuerySm(message.message_id, source_addr=b"38200"))
    assert isinstance(answer, QuerySmResp)
    assert answer.message_state == 1
    simulator.settle(message, "deleted")
    assert says(await client.deliver_sm())[0] == "stat:DELETED err:000"
    assert simulator.smsc.subscribers.waiting(NUMBER) == []
    simulator.switch(NUMBER, "on")
    assert await client.nothing_for(60)


async def test_phones_of_the_scenario_are_off_from_the_start_and_again_after_a_reset(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    phones = [{"number": "336123456?1", "state": "ported"}, {"number": "336*", "state": "off", "for_s": 60}]
    simulator = Simulator(Scenario.model_validate({"phones": phones}))
    await nursery.start(simulator.run)
    states = [simulator.handset(number).state for number in ("33612345601", "33612345602", "12025550100")]
    assert states == [PhoneState.ported, PhoneState.off, PhoneState.on]
    client = await bound(simulator)
    await submitted(client, "in a minute")
    await client.deliver_sm()
    assert trio.current_time() == 60
    simulator.reset()
    assert simulator.handset(NUMBER).state is PhoneState.off


async def test_a_person_whose_phone_is_off_says_nothing(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    simulator = Simulator(Scenario.model_validate({"people": [{"like": "obliging", "pace": 10}]}))
    await nursery.start(simulator.run)
    client = await bound(simulator)
    await submitted(client, "code 482913", registered_delivery=0)
    simulator.switch(NUMBER, "off", for_s=30)
    assert await client.nothing_for(60)
    assert simulator.stats.replies_impossible == 1


def test_a_pattern_overrules_what_was_said_of_its_numbers_before() -> None:
    register = Subscribers()
    register.switch("+33612345600", PhoneState.off, math.inf)
    register.switch("33612345601", PhoneState.ported, math.inf)
    register.switch("336*00", PhoneState.on, math.inf)
    assert register.state(b"33612345600", 0) is PhoneState.on
    assert register.state(b"33612345601", 0) is PhoneState.ported
    register.switch("336*", PhoneState.full, 10)
    assert register.state(b"33612345601", 9.9) is PhoneState.full
    assert register.state(b"33612345601", 10) is PhoneState.on
    register.clear()
    assert register.failure(b"+33612345601", 0) is None
