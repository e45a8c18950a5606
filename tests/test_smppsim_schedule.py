"""smppsim.schedule: when planned faults are due, and a simulator that follows the plan."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
import trio
from pydantic import ValidationError
from trio.testing import MockClock

from engine.smpp.pdu import Status
from smppsim.faults import Drop, Throttle
from smppsim.scenario import Scenario
from smppsim.schedule import Planned, Schedule
from smppsim.simulator import Simulator
from tests.smppsim_client import bound, submit_sm


def planned(**said: Any) -> Planned:
    return Planned.model_validate({"fault": {"kind": "drop"}, **said})


def instants(each: Planned, seed: int = 1) -> list[float]:
    return list(itertools.islice(each.instants(random.Random(seed)), 5))


def test_a_fault_comes_once_or_again_and_again_or_so_many_times() -> None:
    assert instants(planned(at=30)) == [30]
    assert instants(planned(at=30, every=60)) == [30, 90, 150, 210, 270]
    assert instants(planned(every=60, times=2)) == [0, 60]


def test_jitter_delays_by_the_seed_and_never_changes_the_order() -> None:
    each = planned(at=10, every=5, jitter=5)
    assert instants(each, 1) == instants(each, 1) != instants(each, 2)
    nominal = [10, 15, 20, 25, 30]
    assert all(0 <= instant - due <= 5 for instant, due in zip(instants(each), nominal, strict=True))
    assert instants(each) == sorted(instants(each))


@pytest.mark.parametrize("wrong", [{"times": 2}, {"every": 5, "jitter": 6}, {"every": 0}, {"fault": {"kind": "no"}}])
def test_a_plan_without_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        planned(**wrong)


def test_a_schedule_hands_out_its_faults_in_order_of_time_and_equal_ones_as_planned() -> None:
    schedule = Schedule(
        [planned(at=20, every=20, times=2), planned(at=10, fault={"kind": "throttle", "for_s": 1}), planned(at=20)], 0
    )
    taken = []
    while schedule.next_due < math.inf:
        taken.append((schedule.next_due, type(schedule.take())))
    assert taken == [(10, Throttle), (20, Drop), (20, Drop), (40, Drop)]


async def test_the_simulator_causes_each_fault_at_its_instant(autojump_clock: MockClock, nursery: trio.Nursery) -> None:
    plan = [
        {"at": 10, "fault": {"kind": "throttle", "for_s": 5}},
        {"at": 30, "every": 30, "times": 2, "fault": {"kind": "drop", "how": "reset"}},
    ]
    simulator = Simulator(Scenario.model_validate({"schedule": plan}))
    await nursery.start(simulator.run)
    start = trio.current_time()
    client = await bound(simulator)
    statuses = []
    for _ in range(4):
        header, _ = await client.ask(submit_sm(registered_delivery=0))
        statuses.append(header.command_status)
        await trio.sleep(4)
    assert statuses == [0, 0, 0, Status.ESME_RTHROTTLED]
    for due in (30, 60):
        assert await client.ended()
        assert trio.current_time() - start == pytest.approx(due)
        client = await bound(simulator)
    assert await client.nothing_for(1000)
