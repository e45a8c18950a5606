"""The shipped profiles, each lived through for minutes of virtual time by a client that keeps coming back."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from engine.smpp.errors import CodecError, FramingError
from engine.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Pdu,
    Status,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    decode,
)
from engine.smpp.receipts import read_receipt
from smppsim.pdulog import OUT
from smppsim.scenario_files import load_profile, profiles
from smppsim.simulator import Simulator
from tests.scheduling import schedule_by
from tests.smppsim_client import Client, submit_sm

_NUMBERS = [b"336123456%02d" % number for number in range(100)]


class Diary:
    """What a client lived through; instants are seconds from the start."""

    def __init__(self) -> None:
        self.binds: list[tuple[float, int]] = []
        self.losses: list[float] = []
        self.unbinds: list[float] = []
        self.enquiries: list[float] = []
        self.sent: list[float] = []
        self.responses: list[tuple[float, int, int, bytes]] = []
        """(instant, sequence, status, id)"""
        self.receipts: list[tuple[float, str, str]] = []
        """(instant, id, stat)"""
        self.nacks = 0
        self.malformed: list[str] = []
        self.strangers = 0
        """Responses to nothing that was asked."""
        self.sent_at: dict[int, float] = {}
        self.waits: list[float] = []
        """Seconds from a submit to its first response."""

    @property
    def statuses(self) -> Counter[int]:
        return Counter(status for _, _, status, _ in self.responses)

    @property
    def stats(self) -> Counter[str]:
        return Counter(stat for _, _, stat in self.receipts)


class Customer:
    """Submits `rate` messages a second as long as it is bound, and binds again five seconds after a loss."""

    def __init__(self, simulator: Simulator, rate: float) -> None:
        self._simulator = simulator
        self._pause = 1 / rate
        self._start = trio.current_time()
        self._sequence = 0
        self._lock = trio.Lock()
        self.diary = Diary()

    @property
    def _now(self) -> float:
        return trio.current_time() - self._start

    async def live(self) -> None:
        while True:
            with suppress(trio.BrokenResourceError, ConnectionRefusedError):
                await self._session()
            await trio.sleep(5)

    async def _session(self) -> None:
        client = Client(await self._simulator.dial())
        header, answer = await client.ask(BindTransceiver(system_id=b"demo", password=b"demo", interface_version=0x34))
        assert isinstance(answer, BindTransceiverResp)
        self.diary.binds.append((self._now, header.command_status))
        if header.command_status:
            await client.stream.aclose()
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._submit, client)
            with suppress(trio.BrokenResourceError):
                await self._listen(client)
            nursery.cancel_scope.cancel()
        self.diary.losses.append(self._now)
        await client.stream.aclose()

    async def _submit(self, client: Client) -> None:
        while True:
            self._sequence += 1
            number = _NUMBERS[self._sequence % len(_NUMBERS)]
            self.diary.sent_at[self._sequence] = self._now
            await self._send(client, submit_sm(destination=number), self._sequence)
            await trio.sleep(self._pause)

    async def _send(self, client: Client, pdu: Pdu, sequence: int) -> None:
        """What cannot be sent is lost with the link; the listener notices its end."""
        async with self._lock:
            with suppress(trio.BrokenResourceError):
                await client.send(pdu, sequence)

    async def _listen(self, client: Client) -> None:
        diary = self.diary
        while True:
            try:
                with trio.fail_after(40):
                    frame = await client.frame()
            except trio.TooSlowError:
                return
            except FramingError as error:
                diary.malformed.append(type(error).__name__)
                return
            if frame is None:
                return
            try:
                header, pdu = decode(frame)
            except CodecError as error:
                diary.malformed.append(type(error).__name__)
                continue
            match pdu:
                case SubmitSmResp():
                    sent = diary.sent_at.pop(header.sequence_number, None)
                    if sent is not None:
                        diary.waits.append(self._now - sent)
                    elif header.sequence_number > self._sequence:
                        diary.strangers += 1
                    diary.responses.append((self._now, header.sequence_number, header.command_status, pdu.message_id))
                case DeliverSm():
                    await self._send(client, DeliverSmResp(), header.sequence_number)
                    receipt = read_receipt(pdu)
                    assert receipt is not None
                    diary.receipts.append((self._now, receipt.smsc_id, receipt.stat))
                case EnquireLink():
                    diary.enquiries.append(self._now)
                    await self._send(client, EnquireLinkResp(), header.sequence_number)
                case Unbind():
                    diary.unbinds.append(self._now)
                    await self._send(client, UnbindResp(), header.sequence_number)
                case GenericNack():
                    diary.nacks += 1
                case _:
                    raise AssertionError(pdu)


async def lived(simulator: Simulator, seconds: float, rate: float = 10) -> Diary:
    customer = Customer(simulator, rate)
    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            await nursery.start(simulator.run)
            nursery.start_soon(customer.live)
    return customer.diary


async def rehearsed(name: str, seconds: float, rate: float = 10, seed: int = 3) -> tuple[Diary, Simulator]:
    simulator = Simulator(load_profile(name), seed=seed)
    return await lived(simulator, seconds, rate), simulator


async def test_healthy_answers_at_once_and_delivers_nearly_everything(autojump_clock: MockClock) -> None:
    diary, _ = await rehearsed("healthy", 120)
    assert (len(diary.binds), diary.losses, diary.malformed, diary.strangers) == (1, [], [], 0)
    assert set(diary.statuses) == {0}
    assert max(diary.waits) <= 0.051
    assert diary.stats["DELIVRD"] > 0.93 * diary.stats.total() > 900
    assert set(diary.stats) == {"DELIVRD", "UNDELIV", "EXPIRED"}


async def test_healthy_asks_an_idle_link_whether_it_lives(autojump_clock: MockClock) -> None:
    diary, _ = await rehearsed("healthy", 200, rate=0.001)
    assert len(diary.enquiries) >= 4


async def test_slow_binds_late_answers_late_and_reports_much_later(autojump_clock: MockClock) -> None:
    diary, _ = await rehearsed("slow", 240, rate=6)
    assert [(round(instant), status) for instant, status in diary.binds] == [(5, 0)]
    assert min(diary.waits) > 0.99
    assert max(diary.waits) >= 19
    assert diary.receipts[0][0] > 60
    # A window of ten is full of those that take twenty seconds.
    assert diary.statuses[Status.ESME_RTHROTTLED] > 0


async def test_lossy_loses_doubles_delays_and_shuffles(autojump_clock: MockClock) -> None:
    diary, simulator = await rehearsed("lossy", 120)
    sequences = [sequence for _, sequence, _, _ in diary.responses]
    answered = set(sequences)
    assert 0.90 < len(answered) / simulator.stats.submits < 0.98
    assert len(sequences) - len(answered) > 20
    assert sequences != sorted(sequences)
    assert max(diary.waits) > 45
    ids = {message_id.decode() for *_, message_id in diary.responses}
    receipted = Counter(message_id for _, message_id, _ in diary.receipts)
    assert simulator.stats.receipts_withheld > 20
    assert sum(count > 1 for count in receipted.values()) > 20
    # Of the submits whose answer was lost the receipts name ids that the client never heard of either.
    assert len(set(receipted) - ids) > simulator.stats.unanswered * 0.5


async def test_throttling_never_takes_more_than_its_rate_and_says_so(autojump_clock: MockClock) -> None:
    diary, simulator = await rehearsed("throttling", 60, rate=50)
    taken = [instant for instant, _, status, _ in diary.responses if not status]
    assert all(later - earlier >= 0.99 for earlier, later in zip(taken, taken[20:], strict=False))
    assert diary.statuses[Status.ESME_RTHROTTLED] > 1_000
    assert simulator.stats.throttled > 1_000


async def test_flapping_loses_its_links_in_every_way_and_takes_the_client_back(autojump_clock: MockClock) -> None:
    diary, simulator = await rehearsed("flapping", 240)
    assert len(diary.binds) >= 8
    assert {status for _, status in diary.binds} == {0}
    assert len(diary.unbinds) >= 3
    assert simulator.stats.sessions_lost >= 5
    assert len(diary.losses) > len(diary.unbinds)
    # Receipts of lost sessions come on later ones.
    assert diary.stats["DELIVRD"] > 0.9 * simulator.stats.accepted


async def test_liar_reports_delivery_at_once_of_what_reached_nobody(autojump_clock: MockClock) -> None:
    diary, simulator = await rehearsed("liar", 60)
    reached = sum(simulator.deliveries().values())
    reported = diary.stats["DELIVRD"]
    assert reported > 550
    assert reached < 0.3 * reported
    assert diary.stats["EXPIRED"] > 5  # … of messages that had been reported as delivered
    answered = {message_id.decode(): instant for instant, *_, message_id in diary.responses}
    said = {message_id: instant for instant, message_id, stat in diary.receipts if stat == "DELIVRD"}
    assert all(said[name] - answered[name] < 1 for name in said.keys() & answered.keys())


async def test_hostile_breaks_the_protocol_in_every_way_it_says(autojump_clock: MockClock) -> None:
    diary, _ = await rehearsed("hostile", 120)
    assert diary.nacks >= 8
    assert diary.strangers >= 10
    assert "FramingError" in diary.malformed
    assert len(set(diary.malformed)) >= 2
    assert len(diary.binds) >= 4
    assert diary.statuses[0] > 800


async def test_ghost_takes_a_lost_session_for_alive_for_two_minutes(autojump_clock: MockClock) -> None:
    diary, simulator = await rehearsed("ghost", 300)
    [lost] = diary.losses
    refused = [instant for instant, status in diary.binds if status == Status.ESME_RALYBND]
    bound = [instant for instant, status in diary.binds if not status]
    assert len(bound) == 2
    assert len(refused) >= 20
    assert lost + 114 < max(refused) < bound[1] < lost + 126
    assert simulator.account("demo").most_sessions == 1


def test_every_profile_is_rehearsed_here() -> None:
    names = {name.split("_")[1] for name in globals() if name.startswith("test_")}
    assert set(profiles()) <= names


# -- the same again ---------------------------------------------------------------------------------------------


def run(name: str, seed: int) -> list[Any]:
    """The whole PDU log of half a minute."""

    async def main() -> list[Any]:
        _, simulator = await rehearsed(name, 30, seed=seed)
        return list(simulator.pdus)

    schedule_by(1)
    return trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.mark.parametrize("name", profiles())
def test_the_same_file_and_seed_give_the_same_run_and_another_seed_another(name: str) -> None:
    first, second, other = run(name, 11), run(name, 11), run(name, 12)
    assert first == second
    assert sum(row.direction == OUT for row in first) > 100
    assert first != other
