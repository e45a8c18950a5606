"""smppsim.answers, overtaking and the parts and reports of submission: what a client sees of each, on virtual time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import DeliverSm, DeliverSmResp, SubmitSmResp
from engine.smpp.receipts import read_receipt
from smppsim.behaviour import Behaviour
from smppsim.simulator import Simulator
from tests.smppsim_client import Client, bound, long_submits, submit_sm


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator(seed=1)
    await nursery.start(simulator.run)
    return simulator


class Heard:
    """What came in until nothing more did."""

    def __init__(self) -> None:
        self.responses: list[tuple[float, int, int, bytes]] = []
        """(instant, sequence, status, id)"""
        self.receipts: list[tuple[float, str, str, int]] = []
        """(instant, id, stat, esm_class)"""

    @property
    def order(self) -> list[int]:
        return [sequence for _, sequence, _, _ in self.responses]

    @property
    def stats(self) -> list[str]:
        return [stat for _, _, stat, _ in self.receipts]


async def heard(client: Client, for_s: float = 1000) -> Heard:
    found = Heard()
    with trio.move_on_after(for_s):
        while True:
            header, pdu = await client.receive()
            if isinstance(pdu, DeliverSm):
                await client.send(DeliverSmResp(), header.sequence_number)
                receipt = read_receipt(pdu)
                assert receipt is not None
                found.receipts.append((trio.current_time(), receipt.smsc_id, receipt.stat, pdu.esm_class))
            elif isinstance(pdu, SubmitSmResp):
                row = trio.current_time(), header.sequence_number, header.command_status, pdu.message_id
                found.responses.append(row)
    return found


async def said(simulator: Simulator, count: int = 200, **behaviour: Any) -> Heard:
    """What a client hears of `count` submits under `behaviour`."""
    simulator.behave(**behaviour)
    client = await bound(simulator)
    for _ in range(count):
        await client.send(submit_sm())
    return await heard(client)


async def test_some_responses_come_twice(autojump_clock: MockClock, simulator: Simulator) -> None:
    found = await said(simulator, responses_doubled=0.2, receipts="never")
    twice = [sequence for sequence, count in Counter(found.order).items() if count == 2]
    assert 25 < len(twice) < 55
    assert len(set(found.order)) == 200
    assert len({(sequence, message_id) for _, sequence, _, message_id in found.responses}) == 200


async def test_some_responses_are_late_by_as_much_as_is_said(autojump_clock: MockClock, simulator: Simulator) -> None:
    start = trio.current_time()
    found = await said(simulator, responses_late=0.2, responses_late_by=40, response_delay=1, receipts="never")
    delays = Counter(round(instant - start) for instant, *_ in found.responses)
    assert set(delays) == {1, 41}
    assert 25 < delays[41] < 55


async def test_some_responses_let_the_next_one_pass(autojump_clock: MockClock, simulator: Simulator) -> None:
    found = await said(simulator, responses_reordered=0.2, receipts="never")
    assert sorted(found.order) == sorted(set(found.order))
    assert len(found.order) == 200
    assert 20 < sum(one > other for one, other in zip(found.order, found.order[1:], strict=False)) < 60


async def test_a_response_that_nobody_overtakes_goes_on_after_a_second(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    start = trio.current_time()
    found = await said(simulator, 1, responses_reordered=1, receipts="never")
    assert [instant - start for instant, *_ in found.responses] == [1.0]
    assert simulator.sessions[0].unanswered == 0


async def test_some_receipts_let_the_next_one_of_their_account_pass(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    found = await said(simulator, receipts_reordered=0.2, receipt_delay=1)
    answered = [message_id.decode() for *_, message_id in found.responses]
    receipted = [message_id for _, message_id, *_ in found.receipts]
    assert sorted(receipted) == sorted(answered)
    assert receipted != answered


async def test_some_receipts_name_an_id_that_nobody_was_ever_given(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    found = await said(simulator, receipts_orphaned=0.2)
    answered = {message_id.decode() for *_, message_id in found.responses}
    orphans = [message_id for _, message_id, *_ in found.receipts if message_id not in answered]
    assert 25 < len(orphans) < 55
    assert len(found.receipts) == 200


# -- parts ------------------------------------------------------------------------------------------------------


async def test_each_part_of_a_long_message_has_an_end_of_its_own(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(
        parts=[
            {"part": 2, "status": "ESME_RSUBMITFAIL"},
            {"part": 3, "outcome": {"state": "undeliverable", "err": "021"}},
            {"part": 4, "and_later": True, "receipt": False},
        ]
    )
    client = await bound(simulator)
    submits = [*long_submits("x" * 800), submit_sm("alone")]
    assert len(submits) == 7
    for pdu in submits:
        await client.send(pdu._replace(registered_delivery=1))
    found = await heard(client)
    assert [status for _, _, status, _ in found.responses] == [0, 0x45, 0, 0, 0, 0, 0]
    assert found.stats == ["DELIVRD", "UNDELIV", "DELIVRD"]


def test_what_a_part_does_not_name_stays_as_it_is() -> None:
    behaviour = Behaviour().changed({"receipts": "always", "parts": [{"part": 2, "status": 8}]})
    assert behaviour.of_part(1) is behaviour
    assert behaviour.of_part(2).receipts == "always"
    assert behaviour.of_part(2) is behaviour.of_part(2)


# -- reports ----------------------------------------------------------------------------------------------------


async def test_intermediate_states_come_before_the_end_and_contradictions_after_it(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    reports = [
        {"state": "enroute", "since": "answer", "after": 1},
        {"state": "accepted", "since": "answer", "after": 2},
        {"state": "expired", "after": 10},
    ]
    start = trio.current_time()
    found = await said(simulator, 1, receipt_delay=5, outcomes=[{"state": "delivered", "reports": reports}])
    assert [(instant - start, stat) for instant, _, stat, _ in found.receipts] == [
        (1, "ENROUTE"),
        (2, "ACCEPTD"),
        (5, "DELIVRD"),
        (15, "EXPIRED"),
    ]


async def test_an_intermediate_report_may_overtake_its_own_end_the_wrong_way_round(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    outcome = {"state": "delivered", "reports": [{"state": "enroute", "after": 3}]}
    assert (await said(simulator, 1, outcomes=[outcome])).stats == ["DELIVRD", "ENROUTE"]


@pytest.mark.parametrize(("registered_delivery", "heard_of"), [(0x11, 2), (0x01, 1), (0x10, 1), (0, 0)])
async def test_notifications_come_only_to_those_who_asked_for_them(
    autojump_clock: MockClock, simulator: Simulator, registered_delivery: int, heard_of: int
) -> None:
    report = {"state": "enroute", "since": "answer", "notification": True}
    simulator.behave(outcomes=[{"state": "delivered", "reports": [report]}], receipt_delay=1)
    client = await bound(simulator)
    await client.send(submit_sm(registered_delivery=registered_delivery))
    found = await heard(client)
    assert len(found.receipts) == heard_of
    assert (0x20 in [esm_class for *_, esm_class in found.receipts]) == bool(registered_delivery & 0x10)


async def test_a_message_that_expires_has_no_reports_of_the_end_it_did_not_reach(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    outcome = {"state": "delivered", "reports": [{"state": "undeliverable", "after": 1}]}
    simulator.behave(outcomes=[outcome], receipt_delay=600)
    client = await bound(simulator)
    await client.send(submit_sm(validity_period=b"000000000100000R"))
    assert (await heard(client)).stats == ["EXPIRED"]
