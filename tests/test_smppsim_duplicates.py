"""smppsim.duplicates: a submit that comes once more is a new message, unless the account asked to be spared it."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import SubmitSm, SubmitSmResp, Tag
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, bound, submit_sm


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator()
    await nursery.start(simulator.run)
    return simulator


async def accepted(client: Client, pdu: SubmitSm) -> bytes:
    header, answer = await client.ask(pdu)
    assert header.command_status == 0
    assert isinstance(answer, SubmitSmResp)
    return answer.message_id


def numbered(text: str, reference: bytes) -> SubmitSm:
    return submit_sm(text, registered_delivery=0, tlvs=((Tag.USER_MESSAGE_REFERENCE, reference),))


async def test_an_equal_submit_is_a_new_message_unless_asked_otherwise(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    """H7: nobody opted in, so the client's resend is sent twice."""
    client = await bound(simulator)
    ids = {await accepted(client, numbered("hello", b"\0\1")) for _ in range(2)}
    assert len(ids) == 2
    assert simulator.deliveries()["+33612345600", "hello"] == 2


@pytest.mark.parametrize("by", ["reference", "content"])
async def test_a_repeated_submit_gets_the_first_id_and_reaches_the_phone_once(
    autojump_clock: MockClock, simulator: Simulator, by: str
) -> None:
    """H7: opted in, by user_message_reference or by content, over a lost session too."""
    simulator.link(duplicates=by)
    client = await bound(simulator)
    first = await accepted(client, numbered("hello", b"\0\1"))
    await client.stream.aclose()
    client = await bound(simulator)
    assert await accepted(client, numbered("hello", b"\0\1")) == first
    assert simulator.deliveries()["+33612345600", "hello"] == 1
    assert simulator.stats.duplicates_recognised == 1
    assert await accepted(client, numbered("hello", b"\0\2")) != first
    assert await accepted(client, numbered("hello", b"\0\1")._replace(destination_addr=b"33612345601")) != first


async def test_after_some_minutes_it_is_a_new_message(autojump_clock: MockClock, simulator: Simulator) -> None:
    """H7: within minutes only."""
    simulator.link(duplicates="content", duplicates_within_s=120)
    client = await bound(simulator)
    first = await accepted(client, submit_sm(registered_delivery=0))
    await trio.sleep(120)
    assert await accepted(client, submit_sm(registered_delivery=0)) == first
    await trio.sleep(1)
    assert await accepted(client, submit_sm(registered_delivery=0)) != first


async def test_without_a_reference_nothing_is_recognised_by_it(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.link(duplicates="reference")
    client = await bound(simulator)
    ids = {await accepted(client, submit_sm(registered_delivery=0)) for _ in range(2)}
    assert len(ids) == 2
