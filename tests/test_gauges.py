"""The gauges: what they count in the rows of both databases, and that no figure stays when its rows are gone."""

from __future__ import annotations

from typing import Any

import pytest

from engine.clock import VirtualClock
from engine.core import Core, open_core
from engine.gauges import Counts, Gauges, bind_state, count
from engine.keyring import KeyRing
from engine.metrics import BIND_STATES
from engine.smpp.bind import BindPhase, BindStatus
from engine.smpp.reconnect import Failure
from engine.store.connections import Database
from engine.store.doorway import Store
from tests import rig
from tests.shipped import shipped_templates


def figure(core: Core, name: str, **labels: str) -> float | None:
    value: float | None = core.metrics.registry.get_sample_value(f"sceau_{name}", labels)
    return value


async def test_what_waits_is_counted_by_lane_with_the_age_of_the_oldest(
    database: Database, autojump_clock: Any
) -> None:
    async with rig.rig(database, bound=False, account={"binds": {"main": rig.bind_settings(mode="RX")}}) as pair:
        await pair.send_many(["un", "deux", "trois"])
        await pair.settled(30.0)
        await pair.send(category="marketing")
        gauges = Gauges(pair.core)
        gauges.show_counts(await pair.core.store.read(count))
        assert figure(pair.core, "messages_queued", lane="transactional") == 3
        assert figure(pair.core, "messages_queued", lane="bulk") == 1
        assert figure(pair.core, "messages_queued", lane="otp") == 0
        oldest = figure(pair.core, "messages_oldest_queued_seconds", lane="transactional")
        assert oldest == pytest.approx(30.0, abs=0.5)


async def test_messages_in_doubt_are_counted_and_a_figure_goes_back_to_nothing(
    database: Database, autojump_clock: Any
) -> None:
    simulator = rig.simulator(behaviour={"response": "never"})
    async with rig.rig(database, sim=simulator) as pair:
        message_id = await pair.send(category="marketing")
        await pair.until(message_id, "in_doubt")
        gauges = Gauges(pair.core)
        counts = await pair.core.store.read(count)
        gauges.show_counts(counts)
        assert figure(pair.core, "in_doubt_now", lane="bulk", account="sim") == 1
        gauges.show_counts(counts._replace(in_doubt={}))
        assert figure(pair.core, "in_doubt_now", lane="bulk", account="sim") == 0
        gauges.show_lines(pair.core.pool.status())
        assert figure(pair.core, "window", account="sim", bind="main") == 10
        assert figure(pair.core, "bind_state", account="sim", bind="main", state="bound") == 1


async def test_orphans_and_webhooks_are_shown_as_they_are_found(sqlite_database: Database, autojump_clock: Any) -> None:
    store = Store(sqlite_database, inline=True)
    store.open()
    clock = VirtualClock()
    core = await open_core(rig.settings(), store, clock, KeyRing.generate(clock.entropy), templates=shipped_templates())
    gauges = Gauges(core)
    gauges.show_counts(Counts({}, {}, {"sim": 4}, 7))
    assert (figure(core, "orphan_receipts_now", account="sim"), figure(core, "webhooks_waiting")) == (4, 7)
    gauges.show_counts(Counts({}, {}, {}, 0))
    assert (figure(core, "orphan_receipts_now", account="sim"), figure(core, "webhooks_waiting")) == (0, 0)
    await store.close()


@pytest.mark.parametrize("phase", BindPhase)
@pytest.mark.parametrize("failure", [None, *Failure])
def test_every_phase_of_a_bind_has_a_word_in_the_metrics(phase: BindPhase, failure: Failure | None) -> None:
    status = BindStatus(phase, 0, failure, "", 0, None)
    assert bind_state(status) in BIND_STATES


def test_a_bind_that_waits_because_it_was_refused_is_told_from_one_that_is_unreachable() -> None:
    def waiting(failure: Failure) -> str:
        return bind_state(BindStatus(BindPhase.WAITING, 0, failure, "", 1, None))

    assert waiting(Failure.NETWORK) == "closed"
    assert {waiting(failure) for failure in Failure if failure is not Failure.NETWORK} == {"refused"}
