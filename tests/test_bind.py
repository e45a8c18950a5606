"""A bind kept up: attempts, waits, alarms, drain. Far ends are scripted, time is virtual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from engine.clock import VirtualClock
from engine.smpp.bind import Bind, BindOptions, BindPhase
from engine.smpp.errors import NotEncodable
from engine.smpp.events import Answered, LossReason, Lost, Suspect, Unanswered
from engine.smpp.pdu import BindTransceiver, GenericNack, Status, SubmitSm, Unbind, commands, encode
from engine.smpp.reconnect import ConnectLimiter, Failure
from tests.scripted_smsc import Network, Recorder, Reply, ScriptedSmsc, accepting, batch, binding, silence
from tests.session_kit import OPTIONS, SUBMIT

START_US = 1_900_000_000_000_000


class Trial:
    """A bind, what it reaches, and what its handler saw."""

    def __init__(self, nursery: trio.Nursery, *scripts: Mapping[int, Reply], seed: int = 1, **options: Any) -> None:
        limiter = options.pop("limiter", None)
        connect = options.pop("connect", None)
        self.network = Network(nursery, *scripts)
        self.told = Recorder()
        self.clock = VirtualClock(START_US, seed)
        chosen = replace(BindOptions(session=OPTIONS, host="smsc.example"), **options)
        self.bind = Bind(chosen, connect or self.network.connect, self.clock, limiter=limiter)
        self._nursery = nursery

    async def start(self) -> None:
        await self._nursery.start(self.bind.run, self.told)

    @property
    def peer(self) -> ScriptedSmsc:
        return self.network.peers[-1]


def refusing(status: int) -> dict[int, Reply]:
    return dict.fromkeys(commands.BINDS, binding(status))


MUTE: dict[int, Reply] = {commands.SUBMIT_SM: silence}
DEAF: dict[int, Reply] = dict.fromkeys(commands.BINDS, silence)


async def test_a_bind_comes_up_says_so_and_ends_when_drained(autojump_clock: MockClock) -> None:
    """B26: unbind is said, answered, and the connection closed."""
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery)
        await trial.start()
        await trial.told.until_bound()
        status = trial.bind.status
        assert (status.phase, status.failure, status.attempts, status.next_try) == (BindPhase.BOUND, None, 0, None)
        assert status.since >= START_US
        await trial.bind.drain(10.0)
        assert trial.bind.status.phase is BindPhase.STOPPED
        assert trial.told.losses == [Lost(LossReason.SHUTDOWN, ())]
        assert len(trial.peer.seen(Unbind)) == 1
        await wait_all_tasks_blocked()
        assert trial.peer.closed_at is not None


async def test_an_hour_of_bad_credentials_is_few_attempts_and_an_alarm(autojump_clock: MockClock) -> None:
    """B6: no tight loop, health says credentials, another bind goes on undisturbed."""
    for status in (Status.ESME_RINVPASWD, Status.ESME_RINVSYSID, Status.ESME_RINVSYSTYP):
        async with trio.open_nursery() as nursery:
            trial, other = Trial(nursery, refusing(status)), Trial(nursery)
            await trial.start()
            await other.start()
            await trio.sleep(3600)
            assert 4 <= len(trial.network.dialled) <= 8
            assert trial.bind.status.failure is Failure.CREDENTIALS
            assert trial.bind.status.phase is BindPhase.WAITING
            assert trial.told.alarms[0][1] == "credentials"
            assert [refused for refused, _ in trial.told.refusals] == [status] * len(trial.network.dialled)
            next_try = trial.bind.status.next_try
            assert next_try == trial.told.refusals[-1][1]
            assert next_try is not None
            assert next_try > trial.clock.now()
            assert (len(other.network.dialled), len(other.told.losses)) == (1, 0)
            nursery.cancel_scope.cancel()


async def test_a_refused_bind_follows_its_schedule_and_alarms_after_three(autojump_clock: MockClock) -> None:
    """B7: 10, 20, 40, 80, 160, 300 s, each wait from half of it to all."""
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, refusing(Status.ESME_RBINDFAIL))
        await trial.start()
        await trial.told.until(lambda: len(trial.told.refusals) == 7)
        dialled = trial.network.dialled
        for number, ceiling in enumerate((10, 20, 40, 80, 160, 300)):
            assert ceiling / 2 <= dialled[number + 1] - dialled[number] <= ceiling + 1
        (alarm,) = [at for at, kind, _ in trial.told.alarms if at < dialled[3]]
        assert dialled[2] <= alarm <= dialled[3]
        nursery.cancel_scope.cancel()


async def test_a_ghost_session_is_outwaited_and_never_taken_for_bound(autojump_clock: MockClock) -> None:
    """B8: the SMSC frees the slot after 120 s; bound by 180 s, no submit before."""
    began = trio.current_time()

    def ghost(header: Any, pdu: Any) -> bytes | None:
        gone = trio.current_time() - began >= 120
        return binding(0 if gone else Status.ESME_RALYBND)(header, pdu)

    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, dict.fromkeys(commands.BINDS, ghost))
        await trial.start()
        await trial.told.until_bound()
        assert 120 <= trio.current_time() - began <= 180
        assert sum(len(peer.seen(SubmitSm)) for peer in trial.network.peers) == 0
        assert len(trial.told.bound_at) == 1
        nursery.cancel_scope.cancel()


async def test_a_bind_response_that_never_comes_is_given_up_at_thirty_seconds(autojump_clock: MockClock) -> None:
    """B9, B5: closed, tried again, nothing but the bind was said."""
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, DEAF, {})
        await trial.start()
        await trial.told.until_bound()
        first = trial.network.peers[0]
        assert first.closed_at is not None
        assert 30 <= first.closed_at - trial.network.dialled[0] <= 31.5
        assert [type(pdu) for _, _, pdu in first.received] == [BindTransceiver]
        assert trial.bind.status.last_error == "bind_timeout"
        nursery.cancel_scope.cancel()


async def test_the_peers_unbind_leads_to_a_new_session_after_a_wait(autojump_clock: MockClock) -> None:
    """B11: outstanding answers that come after the unbind are honoured."""
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, MUTE, {})
        await trial.start()
        link = await trial.told.until_bound()
        await link.submit(batch(["a", "b"], SUBMIT))
        peer = trial.peer
        await wait_all_tasks_blocked()
        await peer.say(Unbind(), 77)
        await wait_all_tasks_blocked()
        assert link.free_slots == 0
        for header in peer.seen(SubmitSm):
            await peer.write(accepting(header, SUBMIT))
        assert await trial.told.until_lost() == Lost(LossReason.PEER_UNBOUND, ())
        assert trial.told.tokens(Answered) == ["a", "b"]
        again = await trial.told.until_bound(2)
        assert again is not link
        nursery.cancel_scope.cancel()


async def test_a_lost_connection_is_made_again_with_jitter(autojump_clock: MockClock) -> None:
    """B12: ten in doubt; other seeds wait other times, none over a second after a good session."""
    waits = set()
    for seed in range(5):
        async with trio.open_nursery() as nursery:
            trial = Trial(nursery, MUTE, seed=seed)
            await trial.start()
            link = await trial.told.until_bound()
            await link.submit(batch(range(10), SUBMIT))
            await trio.sleep(1)
            await trial.peer.stream.aclose()
            assert (await trial.told.until_lost()).unanswered == tuple(range(10))
            await trial.told.until_bound(2)
            waits.add(round(trial.told.bound_at[1] - trial.told.lost_at[0], 6))
            nursery.cancel_scope.cancel()
    assert len(waits) == 5
    assert max(waits) <= 1.2


async def test_a_session_that_falls_at_once_is_not_made_again_at_once_for_ever(autojump_clock: MockClock) -> None:
    """B12, B21: bound and thrown out again and again: the waits grow; a stable session forgets them."""

    def hang_up(_header: Any, _pdu: Any) -> bytes:
        return encode(Unbind(), 5)

    flapping: dict[int, Reply] = {commands.SUBMIT_SM: hang_up}
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, flapping)
        await trial.start()
        for times in range(1, 12):
            link = await trial.told.until_bound(times)
            await link.submit(batch([times], SUBMIT))
            await trial.told.until_lost(times)
        assert trial.bind.status.attempts >= 10
        await trial.told.until_bound(12)
        await trio.sleep(61)
        await trial.peer.stream.aclose()
        await trial.told.until_bound(13)
        assert trial.bind.status.attempts == 1
        nursery.cancel_scope.cancel()


async def test_a_suspect_session_is_drained_and_bound_anew(autojump_clock: MockClock) -> None:
    """B20: what was outstanding is in doubt."""
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, MUTE, {})
        await trial.start()
        link = await trial.told.until_bound()
        await link.submit(batch(["t"], SUBMIT))
        await trial.peer.say(GenericNack(), 0, Status.ESME_RINVCMDLEN)
        assert await trial.told.until_lost() == Lost(LossReason.SUSPECT, ("t",))
        assert Suspect(Status.ESME_RINVCMDLEN) in trial.told.seen
        await trial.told.until_bound(2)
        nursery.cancel_scope.cancel()


async def test_a_hundred_binds_lost_at_once_dial_five_times_a_second(autojump_clock: MockClock) -> None:
    """B21: one limiter for one host, over all binds."""
    limiter = ConnectLimiter(5.0)
    async with trio.open_nursery() as nursery:
        trials = [Trial(nursery, seed=seed, limiter=limiter) for seed in range(100)]
        for trial in trials:
            await trial.start()
        for trial in trials:
            await trial.told.until_bound()
        for trial in trials:
            await trial.peer.stream.aclose()
        for trial in trials:
            await trial.told.until_bound(2)
        again = sorted(trial.network.dialled[1] for trial in trials)
        assert len(again) == 100
        assert max(Counter(int(at - again[0] + 1e-6) for at in again).values()) <= 5
        nursery.cancel_scope.cancel()


async def test_a_shutdown_under_load_leaves_nothing_in_doubt(autojump_clock: MockClock) -> None:
    """B26: answers that take a second are waited for, then unbind, then the end."""
    async with trio.open_nursery() as nursery:

        async def later(header: Any) -> None:
            await trio.sleep(1)
            await trial.peer.write(accepting(header, SUBMIT))

        def slow(header: Any, _pdu: Any) -> None:
            nursery.start_soon(later, header)

        trial = Trial(nursery, {commands.SUBMIT_SM: slow})
        await trial.start()
        link = await trial.told.until_bound()
        await link.submit(batch(range(10), SUBMIT))
        began = trio.current_time()
        await trial.bind.drain(20.0)
        assert trial.told.losses == [Lost(LossReason.SHUTDOWN, ())]
        assert set(trial.told.tokens(Answered)) == set(range(10))
        assert trio.current_time() - began < 2


async def test_a_shutdown_of_a_silent_peer_is_bounded(autojump_clock: MockClock) -> None:
    """B26: grace, five seconds for the unbind_resp, the rest in doubt."""
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, MUTE | {commands.UNBIND: silence})
        await trial.start()
        link = await trial.told.until_bound()
        await link.submit(batch(["t"], SUBMIT))
        began = trio.current_time()
        await trial.bind.drain(7.0)
        assert trial.told.losses == [Lost(LossReason.SHUTDOWN, ("t",))]
        assert 12 <= trio.current_time() - began <= 13.5


@pytest.mark.parametrize("phase", [BindPhase.CONNECTING, BindPhase.BINDING, BindPhase.WAITING])
async def test_a_bind_that_is_not_bound_is_drained_at_once(autojump_clock: MockClock, phase: BindPhase) -> None:
    """B26: whatever it waits for."""
    script = {BindPhase.BINDING: DEAF, BindPhase.WAITING: refusing(Status.ESME_RBINDFAIL)}.get(phase, {})
    connect = trio.sleep_forever if phase is BindPhase.CONNECTING else None
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, script, connect=connect)
        await trial.start()
        await wait_all_tasks_blocked()
        assert trial.bind.status.phase is phase
        began = trio.current_time()
        await trial.bind.drain(30.0)
        assert trio.current_time() - began <= 1.0
        assert (trial.told.bound_at, trial.told.losses) == ([], [])


async def test_a_connect_that_hangs_is_given_up_after_ten_seconds_and_tried_again(autojump_clock: MockClock) -> None:
    """B29: every attempt asks `connect` anew; three failures in a row are told."""
    tried: list[float] = []

    async def connect() -> trio.abc.Stream:
        tried.append(trio.current_time())
        if len(tried) < 5:
            await trio.sleep_forever()
        if len(tried) < 10:
            raise OSError("no route")
        return await trial.network.connect()

    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, connect=connect)
        await trial.start()
        await trial.told.until_bound()
        assert 10 <= tried[1] - tried[0] <= 11.5
        assert trial.bind.status.last_error == "connect: OSError"
        assert trial.told.alarms[0][1:] == ("network", "connect: TooSlowError")
        nursery.cancel_scope.cancel()


async def test_the_wait_for_the_next_attempt_can_be_cut_short(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, refusing(Status.ESME_RINVPASWD), {})
        await trial.start()
        await trial.told.until(lambda: bool(trial.told.refusals))
        await wait_all_tasks_blocked()
        began = trio.current_time()
        trial.bind.retry_now()
        await trial.told.until_bound()
        assert trio.current_time() - began <= 1.0
        nursery.cancel_scope.cancel()


async def test_a_thousand_connections_full_of_garbage_make_few_alarms(autojump_clock: MockClock) -> None:
    """A13: closed within the bind timer, at most one alarm a minute, no task left behind."""
    garbage = [b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes.fromhex("15030300020228"), b"\0\0\0\x20short"]

    def babble(_header: Any, _pdu: Any) -> bytes:
        return garbage[len(trial.network.peers) % 3]

    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, dict.fromkeys(commands.BINDS, babble))
        await trial.start()
        await trial.told.until(lambda: bool(trial.told.alarms))
        await trio.sleep(12 * 3600)
        assert len(trial.network.dialled) >= 1000
        assert trial.told.bound_at == []
        for dialled, peer in zip(trial.network.dialled, trial.network.peers[:-1], strict=False):
            assert peer.closed_at is not None
            assert peer.closed_at - dialled <= 31.5
        minutes = (trio.current_time() - trial.network.dialled[0]) / 60
        assert len(trial.told.alarms) <= minutes
        assert trio.lowlevel.current_statistics().tasks_living <= 10
        nursery.cancel_scope.cancel()


async def test_a_slow_peer_gives_its_slots_back_at_the_deadline(autojump_clock: MockClock) -> None:
    """B22: one answer a minute; codes with five seconds are in doubt after five, so that another bind may act."""
    async with trio.open_nursery() as nursery:
        trial = Trial(nursery, MUTE, session=replace(OPTIONS, window=3))
        await trial.start()
        link = await trial.told.until_bound()
        await link.submit(batch(["a", "b", "c"], SUBMIT), 5.0)
        began = trio.current_time()
        assert link.free_slots == 0
        await trial.told.until(lambda: len(trial.told.tokens(Unanswered)) == 3)
        assert trio.current_time() == began + 5.0
        assert link.free_slots == 3
        await trial.peer.write(accepting(trial.peer.seen(SubmitSm)[0], SUBMIT))
        await trial.told.until(lambda: trial.told.tokens(Answered) == ["a"])
        nursery.cancel_scope.cancel()


async def test_a_bind_whose_fields_cannot_be_said_is_refused_when_made() -> None:
    with pytest.raises(NotEncodable):
        Bind(
            BindOptions(session=replace(OPTIONS, system_id="a-name-too-long-for-smpp")),
            trio.sleep_forever,
            VirtualClock(START_US, 1),
        )
