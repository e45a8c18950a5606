"""smppsim.submission, delivery and receipts on virtual time: each behaviour, seen from the client."""

from __future__ import annotations

import itertools

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.pdu import (
    BindReceiver,
    BindTransmitter,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    Header,
    Pdu,
    Status,
    SubmitSm,
    SubmitSmResp,
    Tag,
    absolute_time,
    commands,
    relative_validity,
    tlv,
)
from smppsim.faults import Throttle
from smppsim.scenario import AccountSettings, Scenario
from smppsim.simulator import Simulator
from tests.smppsim_client import PHONE, Client, bound, submit_sm


@pytest.fixture
async def simulator(nursery: trio.Nursery) -> Simulator:
    simulator = Simulator(seed=1)
    await nursery.start(simulator.run)
    return simulator


async def answers(client: Client, count: int) -> list[tuple[int, int]]:
    """(command, status) of the next PDUs; receipts are acknowledged."""
    seen = []
    for _ in range(count):
        header, _ = await client.receive()
        seen.append((header.command_id, header.command_status))
        if header.command_id == commands.DELIVER_SM:
            await client.send(DeliverSmResp(), header.sequence_number)
    return seen


RESPONSE, RECEIPT = (commands.SUBMIT_SM_RESP, 0), (commands.DELIVER_SM, 0)


# -- the response ---------------------------------------------------------------------------------------------


async def test_a_submit_is_answered_with_an_id_that_its_receipt_repeats(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    _, answer = await client.ask(submit_sm(source_addr_ton=3, dest_addr_ton=1, dest_addr_npi=1))
    receipt = await client.deliver_sm()
    assert isinstance(answer, SubmitSmResp)
    assert (receipt.source_addr, receipt.source_addr_ton, receipt.source_addr_npi) == (PHONE, 1, 1)
    assert (receipt.destination_addr, receipt.dest_addr_ton) == (b"38200", 3)
    assert receipt.esm_class == 0x04
    assert receipt.short_message == (
        b"id:%b sub:001 dlvrd:001 submit date:2601010000 done date:2601010000 stat:DELIVRD err:000 text:hello"
        % answer.message_id
    )
    assert tlv(receipt.tlvs, Tag.RECEIPTED_MESSAGE_ID) == answer.message_id + b"\0"
    assert tlv(receipt.tlvs, Tag.MESSAGE_STATE) == b"\x02"


async def test_statuses_come_by_weight_and_the_same_seed_gives_the_same_run(autojump_clock: MockClock) -> None:
    runs = []
    for seed in (5, 5, 6):
        async with trio.open_nursery() as nursery:
            simulator = Simulator(seed=seed)
            await nursery.start(simulator.run)
            simulator.behave(
                answers=[{"weight": 3}, {"status": "ESME_RSYSERR"}],
                response_delay={"kind": "uniform", "high": 1},
                outcomes=[{"state": "delivered"}, {"state": "undeliverable", "err": "21b"}],
                receipt_delay={"kind": "normal", "mean": 3, "deviation": 1},
            )
            client, run = await bound(simulator), []
            start = trio.current_time()
            for number in range(40):
                await client.send(submit_sm(f"{number}"))
            with trio.move_on_after(30):
                while True:
                    header, pdu = await client.receive()
                    text = pdu.short_message if isinstance(pdu, DeliverSm) else b""
                    run.append((trio.current_time() - start, header, text))
            runs.append(run)
            nursery.cancel_scope.cancel()
    assert [row[1:] for row in runs[0]] == [row[1:] for row in runs[1]]
    assert runs[0] != runs[2]
    refused = sum(header.command_status == Status.ESME_RSYSERR for _, header, _ in runs[0])
    assert 4 <= refused <= 18


async def test_a_response_is_delayed_without_holding_up_the_next_one(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(response_delay=1)
    client = await bound(simulator)
    for _ in range(10):
        await client.send(submit_sm(registered_delivery=0))
    assert await answers(client, 10) == [RESPONSE] * 10
    assert trio.current_time() == 1
    assert simulator.account("demo").widest_window == 10


async def test_delays_that_differ_put_responses_out_of_order(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(destination="*1", response_delay=1)
    client = await bound(simulator)
    slow = await client.send(submit_sm(destination=b"33612345601", registered_delivery=0))
    fast = await client.send(submit_sm(destination=b"33612345602", registered_delivery=0))
    assert [(await client.receive())[0].sequence_number for _ in range(2)] == [fast, slow]


async def test_a_message_may_be_taken_and_never_answered(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(response="never", receipt_delay=3)
    client = await bound(simulator)
    await client.send(submit_sm())
    assert await answers(client, 1) == [RECEIPT]
    assert trio.current_time() == 3
    assert len(simulator.handset("+33612345600").messages) == 1


async def test_a_share_of_responses_is_swallowed(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(responses_lost=0.2)
    client = await bound(simulator)
    for _ in range(200):
        await client.send(submit_sm(registered_delivery=0))
    await simulator.until(lambda: simulator.stats.submits == 200)
    assert 20 < simulator.stats.unanswered < 60
    assert simulator.stats.delivered_to_handsets == 200


async def test_a_message_may_be_ignored_altogether(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(response="ignored")
    client = await bound(simulator)
    await client.send(submit_sm())
    assert await client.nothing_for(3600)
    assert simulator.stats.accepted == 0


async def test_responses_are_held_and_released_in_any_order(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(response="hold")
    client = await bound(simulator)
    sent = [await client.send(submit_sm(f"{number}")) for number in range(3)]
    await simulator.until(lambda: len(simulator.held) == 3)
    assert await client.nothing_for(60)
    first, second, third = simulator.held
    simulator.release(third, first)
    seen = [(await client.receive())[0] for _ in range(4)]
    assert [header.sequence_number for header in seen if header.command_id == RESPONSE[0]] == [
        sent[2],
        sent[0],
    ]
    simulator.release(second, status=Status.ESME_RSYSERR)
    assert await answers(client, 1) == [(commands.SUBMIT_SM_RESP, Status.ESME_RSYSERR)]
    assert await client.nothing_for(0)
    assert simulator.held == []
    assert [message.text for message in simulator.handset("+33612345600").messages] == ["2", "0"]


# -- limits ---------------------------------------------------------------------------------------------------


async def test_a_submit_beyond_the_window_is_refused(autojump_clock: MockClock, simulator: Simulator) -> None:
    """H4: window abuse is throttled."""
    simulator.link(window=2)
    simulator.behave(response_delay=1, receipts="never")
    client = await bound(simulator)
    for _ in range(3):
        await client.send(submit_sm())
    throttled = (commands.SUBMIT_SM_RESP, Status.ESME_RTHROTTLED)
    # The refusal is an answer like the others and takes its time.
    assert sorted(await answers(client, 3)) == sorted([RESPONSE, RESPONSE, throttled])
    assert simulator.stats.window_overruns == 1
    await client.send(submit_sm())
    assert await answers(client, 1) == [RESPONSE]


async def test_no_second_takes_more_than_the_rate(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.link(rate=10)
    simulator.behave(receipts="never")
    one, two = await bound(simulator), await bound(simulator)
    taken = []
    for tick in range(40):
        client = (one, two)[tick % 2]
        header, _ = await client.ask(submit_sm())
        if header.command_status == 0:
            taken.append(trio.current_time())
        else:
            assert header.command_status == Status.ESME_RTHROTTLED
        await trio.sleep(0.0625)
    assert simulator.stats.throttled == 40 - len(taken) > 0
    assert all(later - earlier >= 1 for earlier, later in zip(taken, taken[10:], strict=False))
    assert simulator.account("demo").busiest_second == 16


async def test_a_throttle_window_opens_and_closes(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.cause(Throttle(for_s=30))
    client = await bound(simulator)
    assert (await client.ask(submit_sm()))[0].command_status == Status.ESME_RTHROTTLED
    await trio.sleep(30)
    assert (await client.ask(submit_sm()))[0].command_status == 0


async def test_the_queue_of_one_destination_is_full_while_another_has_room(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(queue_limit=2, receipt_delay=10)
    client = await bound(simulator)
    statuses = [
        (await client.ask(submit_sm(destination=phone)))[0].command_status
        for phone in (PHONE, PHONE, PHONE, b"33612345601")
    ]
    assert statuses == [0, 0, Status.ESME_RMSGQFUL, 0]
    await answers(client, 3)
    assert (await client.ask(submit_sm()))[0].command_status == 0


async def test_what_is_on_its_way_is_bounded(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    settings = Scenario.model_validate({"bounds": {"undelivered": 5, "messages": 3}})
    simulator = Simulator(settings)
    await nursery.start(simulator.run)
    simulator.behave(receipt_delay=10)
    client = await bound(simulator)
    statuses = [(await client.ask(submit_sm()))[0].command_status for _ in range(8)]
    assert Status.ESME_RMSGQFUL in statuses
    assert len(simulator.smsc.messages) == 3


async def test_a_client_that_submits_and_acknowledges_nothing_is_refused_before_memory_fills(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    """H5: what waits for a window that never opens counts as on its way; when it opens, submits are taken again."""
    simulator = Simulator(Scenario.model_validate({"bounds": {"undelivered": 30}}))
    await nursery.start(simulator.run)
    simulator.link(deliver_window=5)
    client = await bound(simulator)
    for _ in range(60):
        await client.send(submit_sm())
    await trio.testing.wait_all_tasks_blocked()
    session = simulator.account("demo").sessions[0]
    assert (simulator.stats.accepted < 35, len(session.outstanding)) == (True, 5)
    receipts = 0
    while receipts < simulator.stats.accepted:
        header, pdu = await client.receive()
        if isinstance(pdu, DeliverSm):
            receipts += 1
            await client.send(DeliverSmResp(), header.sequence_number)
    await trio.testing.wait_all_tasks_blocked()
    assert simulator.smsc.deliveries.ready == 0
    await client.send(submit_sm())
    assert RESPONSE in await answers(client, 1)


# -- drops ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "reset", "black_hole"])
@pytest.mark.parametrize(
    ("at", "taken", "answered"),
    [("before_taking", 0, False), ("before_response", 1, False), ("after_response", 1, True)],
)
async def test_the_link_drops_around_a_submit(
    autojump_clock: MockClock, simulator: Simulator, how: str, at: str, taken: int, answered: bool
) -> None:
    simulator.behave(drop={"at": at, "how": how}, receipts="never")
    client = await bound(simulator)
    await client.send(submit_sm())
    if answered and how == "close":
        assert await answers(client, 1) == [RESPONSE]
    if how == "black_hole":
        assert await client.nothing_for(3600)
    else:
        assert await client.ended()
    assert len(simulator.handset("+33612345600").messages) == taken


async def test_a_link_that_drops_after_a_late_response_waits_for_it(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(drop={"at": "after_response"}, response_delay=3, receipts="never")
    client = await bound(simulator)
    await client.send(submit_sm())
    assert await answers(client, 1) == [RESPONSE]
    assert await client.ended()
    assert trio.current_time() == 3


# -- receipts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "order", "ends"),
    [("before", [RECEIPT, RESPONSE], 7), ("with", [RESPONSE, RECEIPT], 2), ("after", [RESPONSE, RECEIPT], 7)],
)
async def test_receipts_come_before_with_or_after_the_response(
    autojump_clock: MockClock, simulator: Simulator, when: str, order: list[tuple[int, int]], ends: float
) -> None:
    simulator.behave(receipt_when=when, receipt_delay=5, response_delay=2)
    client = await bound(simulator)
    await client.send(submit_sm())
    assert await answers(client, 2) == order
    assert trio.current_time() == ends


async def test_a_receipt_with_its_response_is_in_the_same_write(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    for when in ("before", "with"):
        simulator.behave(receipt_when=when)
        await client.send(submit_sm())
        octets = await client.stream.receive_some(65_536)
        assert len(octets) > 150


@pytest.mark.parametrize(
    ("asked", "state", "wanted"),
    [
        (0, "delivered", False),
        (1, "delivered", True),
        (1, "expired", True),
        (2, "delivered", False),
        (2, "rejected", True),
        (3, "delivered", True),
        (3, "undeliverable", False),
    ],
)
async def test_receipts_are_sent_as_asked_for(
    autojump_clock: MockClock, simulator: Simulator, asked: int, state: str, wanted: bool
) -> None:
    simulator.behave(outcomes=[{"state": state}])
    client = await bound(simulator)
    await client.ask(submit_sm(registered_delivery=asked))
    assert await client.nothing_for(60) is not wanted
    assert len(simulator.handset("+33612345600").messages) == (state == "delivered")


async def test_receipts_can_be_forced_and_suppressed(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    simulator.behave(receipts="always")
    await client.ask(submit_sm(registered_delivery=0))
    await client.deliver_sm()
    simulator.behave(receipts="never")
    await client.ask(submit_sm())
    assert await client.nothing_for(60)


async def test_receipts_are_lost_doubled_and_late(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    simulator.behave(receipts_lost=1)
    await client.ask(submit_sm())
    assert await client.nothing_for(3600)
    simulator.behave(receipts_lost=0, receipts_doubled=1)
    await client.ask(submit_sm())
    assert (await client.deliver_sm()) == (await client.deliver_sm())
    simulator.behave(receipts_doubled=0, receipts_late=1, receipts_late_by=240)
    await client.ask(submit_sm())
    started = trio.current_time()
    await client.deliver_sm()
    assert trio.current_time() - started == 240


async def test_receipts_come_on_a_sibling_when_asked(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(receipt_bind="sibling")
    one, two = await bound(simulator), await bound(simulator)
    for sender, other in itertools.permutations((one, two)):
        await sender.ask(submit_sm())
        await other.deliver_sm()
    await two.stream.aclose()
    await simulator.until(lambda: len(simulator.sessions) == 1)
    await one.ask(submit_sm())
    await one.deliver_sm()


async def test_a_transmitters_receipts_come_on_a_receiver_and_wait_for_one(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    transmitter = await bound(simulator, BindTransmitter)
    for number in range(3):
        await transmitter.ask(submit_sm(f"{number}"))
    await trio.sleep(60)
    receiver = await bound(simulator, BindReceiver)
    texts = [(await receiver.deliver_sm()).short_message[-1:] for _ in range(3)]
    assert texts == [b"0", b"1", b"2"]


async def test_ids_and_texts_are_written_as_the_account_says(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(id_form="hex", receipt_id_form="padded", receipt_text="no_counts", receipt_tlvs=False)
    client = await bound(simulator)
    _, answer = await client.ask(submit_sm())
    receipt = await client.deliver_sm()
    assert isinstance(answer, SubmitSmResp)
    assert receipt.short_message.startswith(b"id:%010d submit date:" % int(answer.message_id, 16))
    assert receipt.tlvs == ()


async def test_a_receipt_may_come_as_data_sm(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(
        receipt_pdu="data_sm", outcomes=[{"state": "undeliverable", "err": "008", "network_error": [3, 300]}]
    )
    client = await bound(simulator)
    await client.ask(submit_sm())
    header, receipt = await client.receive()
    assert isinstance(receipt, DataSm)
    assert receipt.esm_class == 0x04
    assert b"stat:UNDELIV err:008" in (tlv(receipt.tlvs, Tag.MESSAGE_PAYLOAD) or b"")
    assert tlv(receipt.tlvs, Tag.NETWORK_ERROR_CODE) == b"\x03\x01\x2c"
    await client.send(DataSmResp(), header.sequence_number)
    await simulator.until(lambda: simulator.stats.deliveries_acknowledged == 1)


async def test_a_message_expires_when_its_validity_ends_before_its_delivery(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.behave(receipt_delay=600)
    client = await bound(simulator)
    await client.ask(submit_sm(validity_period=relative_validity(60)))
    receipt = await client.deliver_sm()
    assert b"stat:EXPIRED" in receipt.short_message
    assert trio.current_time() == 60
    assert simulator.handset("+33612345600").messages == []


async def test_a_scheduled_message_waits_for_its_time(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    at = absolute_time(simulator.smsc.wall() + 90_000_000)
    await client.ask(submit_sm(schedule_delivery_time=at))
    assert b"stat:DELIVRD" in (await client.deliver_sm()).short_message
    assert trio.current_time() == 90


async def test_any_receipt_can_be_sent_for_a_message_by_hand(autojump_clock: MockClock, simulator: Simulator) -> None:
    simulator.behave(receipts="never", receipt_delay=60)
    client = await bound(simulator)
    _, answer = await client.ask(submit_sm())
    assert isinstance(answer, SubmitSmResp)
    message_id = answer.message_id.decode()
    simulator.receipt(message_id, "enroute", intermediate=True)
    simulator.receipt(message_id, "delivered")
    simulator.receipt(message_id, "expired", message_id=b"1")
    intermediate, first, second = [await client.deliver_sm() for _ in range(3)]
    assert (intermediate.esm_class, first.esm_class) == (0x20, 0x04)
    assert b"stat:EXPIRED" in second.short_message
    assert second.short_message.startswith(b"id:1 ")
    simulator.behave(receipts="always")
    _, answer = await client.ask(submit_sm())
    simulator.settle(list(simulator.smsc.messages)[-1], "rejected")
    assert b"stat:REJECTD" in (await client.deliver_sm()).short_message


# -- who gets what --------------------------------------------------------------------------------------------


async def test_rules_change_behaviour_for_some_destinations_and_some_accounts(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    accounts = tuple(AccountSettings(system_id=name, password="p") for name in ("one", "two"))
    simulator = Simulator(Scenario(accounts=accounts))
    await nursery.start(simulator.run)
    simulator.behave("one", "+336*9?", answers=[{"status": "0x0B"}])
    simulator.behave("one", receipts="never")
    simulator.behave("one", "+336*9?", responses_lost=0)
    clients = [await bound(simulator, system_id=name, password="p") for name in ("one", "two")]
    statuses = [
        (await client.ask(submit_sm(destination=phone, registered_delivery=0)))[0].command_status
        for client in clients
        for phone in (b"33612345690", b"33612345600")
    ]
    assert statuses == [Status.ESME_RINVDSTADR, 0, 0, 0]
    assert simulator.account("one").behaviour_for(b"33612345690").receipts == "never"
    assert simulator.account("one").rules[0].behaviour.model_fields_set == {"answers", "responses_lost"}


# -- redelivery -----------------------------------------------------------------------------------------------


async def collect(client: Client, count: int) -> list[tuple[Header, Pdu]]:
    return [await client.receive() for _ in range(count)]


async def test_a_refused_delivery_comes_again_with_longer_pauses_and_the_same_octets(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    client = await bound(simulator)
    simulator.handset("+33612345600").reply("hello", "38200")
    seen, at = [], []
    for status in (Status.ESME_RX_T_APPN, Status.ESME_RX_T_APPN, Status.ESME_RX_T_APPN, 0):
        seen.append(await client.deliver_sm(status))
        at.append(trio.current_time())
    assert at == [0, 5, 15, 35]
    assert len(set(seen)) == 1
    assert await client.nothing_for(3600)


async def test_a_delivery_refused_for_good_does_not_come_again(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    simulator.handset("+33612345600").reply("hello", "38200")
    await client.deliver_sm(Status.ESME_RX_P_APPN)
    assert await client.nothing_for(3600)
    assert simulator.stats.deliveries_refused == 1


async def test_redelivery_pauses_longer_each_time_and_then_parks_until_a_receiver_binds_anew(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    """H5: redelivery with backoff, then parking; nothing is lost."""
    simulator.link(redeliver_times=3, redeliver_after_s=5)
    client = await bound(simulator)
    simulator.handset("+33612345600").reply("hello", "38200")
    instants = []
    for _ in range(4):
        await client.deliver_sm(Status.ESME_RX_T_APPN)
        instants.append(trio.current_time())
    assert instants == [0, 5, 15, 35]
    assert await client.nothing_for(3600)
    assert (simulator.stats.deliveries_parked, len(simulator.account("demo").parked)) == (1, 1)
    again = await bound(simulator, BindReceiver)
    assert (await again.deliver_sm()).short_message == b"hello"
    assert len(simulator.account("demo").parked) == 0


async def test_an_unanswered_delivery_comes_again_after_its_timeout(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.link(deliver_timeout_s=30)
    client = await bound(simulator)
    simulator.handset("+33612345600").reply("hello", "38200")
    await client.receive()
    await client.deliver_sm()
    assert trio.current_time() == 35
    assert simulator.stats.deliveries_unanswered == 1


async def test_what_a_lost_session_had_not_acknowledged_goes_to_its_sibling_in_order(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.link(deliver_window=2)
    first = await bound(simulator, BindReceiver)
    for number in range(4):
        simulator.handset("+33612345600").reply(f"{number}", "38200")
    assert len(await collect(first, 2)) == 2
    assert await first.nothing_for(1)
    second = await bound(simulator, BindReceiver)
    await first.stream.aclose()
    texts = [(await second.deliver_sm()).short_message for _ in range(4)]
    assert texts == [b"0", b"1", b"2", b"3"]


async def test_a_session_that_never_acknowledges_does_not_hold_up_another_one(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    """H5: a window per session; the others go on."""
    simulator.link(deliver_window=5, deliver_timeout_s=3600)
    lazy, busy = await bound(simulator), await bound(simulator)
    for _ in range(20):
        await lazy.send(submit_sm())
    for _ in range(20):
        await busy.ask(submit_sm())
        await busy.deliver_sm()
    session = simulator.account("demo").sessions[0]
    assert (len(session.outstanding), len(session.ready)) == (5, 15)


async def test_a_limit_refuses_at_once_even_where_responses_are_held(
    autojump_clock: MockClock, simulator: Simulator
) -> None:
    simulator.link(window=1)
    simulator.behave(response="hold")
    client = await bound(simulator)
    await client.send(submit_sm())
    assert (await client.ask(submit_sm()))[0].command_status == Status.ESME_RTHROTTLED
    assert len(simulator.held) == 1


async def test_a_part_on_the_handset_is_the_submit_as_it_came(autojump_clock: MockClock, simulator: Simulator) -> None:
    client = await bound(simulator)
    await client.ask(submit_sm("kept", registered_delivery=0))
    (part,) = simulator.handset("+33612345600").parts
    assert part.pdu == SubmitSm(source_addr=b"38200", destination_addr=PHONE, short_message=b"kept")
