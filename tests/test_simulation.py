"""The whole engine under seeded weather: every seed keeps the promises, tells the same story twice, and is replayable.

Seeds are played in processes of their own, with the very command that a failure prints.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.duties import messages
from engine.smpp.pdu import Status
from engine.transit import answers, intake
from engine.transit.capacity import Capacity
from engine.transit.lines import Line
from engine.transit.tally import Tally
from engine.webhooks import claims
from tests.simulation.__main__ import report
from tests.simulation.plan import FAULTS, POINTS, draw
from tests.simulation.trace import Trace
from tests.simulation.world import Result, simulate

ROOT = Path(__file__).resolve().parent.parent


def replay(*arguments: str, within_s: float) -> str:
    """Play seeds in a process of their own; fail with all it said unless every promise was kept."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        timeout=within_s,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-5_000:]
    return ran.stdout


@pytest.mark.real
@pytest.mark.parametrize("seeds", ["0-24", "25-49", "50-74", "75-99"])
def test_a_hundred_seeds_keep_every_promise(seeds: str) -> None:
    """B27, D16, G1: crashes at named points, databases that fail, clocks that jump, and all that links can do."""
    replay(seeds, within_s=400)


@pytest.mark.soak
@pytest.mark.real
@pytest.mark.parametrize("first", range(100, 2_200, 100))
def test_two_thousand_more_seeds_keep_every_promise(first: int) -> None:
    """B27, D16, G1: as the hundred, for as long as it takes."""
    replay(f"{first}-{first + 99}", within_s=3_000)


@pytest.mark.real
def test_a_seed_tells_the_same_story_in_every_process_whatever_was_played_before_it() -> None:
    alone = replay("7", "--digest", within_s=120).splitlines()[0]
    after_another = replay("8", "7", "--digest", within_s=120).splitlines()[1]
    assert alone == after_another
    assert alone.startswith("7 ")


def test_a_seed_tells_the_same_story_twice_and_another_seed_another_one() -> None:
    first, again, other = simulate(11), simulate(11), simulate(12)
    assert first.trace.lines == again.trace.lines
    assert first.trace.digest != other.trace.digest


def test_a_plan_depends_on_its_seed_alone_and_the_plans_know_every_fault_and_every_point() -> None:
    plans = [draw(seed) for seed in range(200)]
    assert plans == [draw(seed) for seed in range(200)]
    assert {fault.kind for plan in plans for fault in plan.faults} == set(FAULTS)
    assert {crash.point for plan in plans for crash in plan.crashes} == set(POINTS)


def test_a_failure_says_the_seed_the_plan_the_last_of_what_happened_and_how_to_see_it_again() -> None:
    result = Result(draw(3), Trace([f"line {number}" for number in range(80)]), ["a promise was broken"])
    said = report(result).splitlines()
    assert said[0].startswith("seed 3: ")
    assert said[1].startswith("account alpha")
    assert "line 29" not in said
    assert "line 30" in said
    assert "BREACH a promise was broken" in said
    assert said[-1] == "replay: PYTHONHASHSEED=0 python -m tests.simulation 3"


# That the verdict can fail: each of these breaks one promise in the engine, and some seed of a few must notice.


def forgets_the_unanswered(patch: pytest.MonkeyPatch) -> None:
    """What was unanswered is never thought of again, not even by the duty that looks for it at the next start."""
    for module in (intake, messages):
        patch.setattr(module, "apply_silence", lambda *_args: 0)


def sends_again_without_a_doubt(patch: pytest.MonkeyPatch) -> None:
    """A message whose answer is missing is sent again and nobody is told."""

    def unanswered(tally: Tally, _now: int, _classes: Any = None) -> None:
        if tally.state == "on_wire":
            tally.move("queued")

    patch.setattr(answers, "unanswered", unanswered)


def acknowledges_before_it_has_stored(patch: pytest.MonkeyPatch) -> None:
    """A delivery is acknowledged as soon as it was read."""

    def events(line: Line, happened: list[Any]) -> None:
        plain(line, happened)
        early = [(a.sequence, a.command_id, Status.ESME_ROK) for a in line.inbox._batch.arrivals]
        if early and line.link is not None:
            line.link.acknowledge(early)
            line.inbox._batch.arrivals = [a._replace(sequence=0x7FFFFFFF) for a in line.inbox._batch.arrivals]

    plain = Line.events
    patch.setattr(Line, "events", events)


def overruns_the_window(patch: pytest.MonkeyPatch) -> None:
    """A slot is taken for free that is not."""
    patch.setattr(Capacity, "free", property(lambda capacity: capacity.window + 1 - capacity.outstanding))


def loses_a_webhook(patch: pytest.MonkeyPatch) -> None:
    """An event whose post failed is taken for delivered."""
    settle = claims.settle

    def forgetful(tx: Any, endpoint: str, rows: Any, freed: Any, now: int) -> Any:
        return settle(tx, endpoint, [row._replace(state="delivered") for row in rows], freed, now)

    patch.setattr(claims, "settle", forgetful)


@pytest.mark.parametrize(
    ("breakage", "seeds"),
    [
        (forgets_the_unanswered, range(12)),
        (sends_again_without_a_doubt, range(12)),
        (acknowledges_before_it_has_stored, range(12)),
        (overruns_the_window, range(12)),
        (loses_a_webhook, range(25, 45)),
    ],
)
def test_an_engine_that_breaks_a_promise_is_caught(
    monkeypatch: pytest.MonkeyPatch, breakage: Callable[[pytest.MonkeyPatch], None], seeds: range
) -> None:
    breakage(monkeypatch)
    assert any(_fails(seed) for seed in seeds), breakage.__doc__


def _fails(seed: int) -> bool:
    try:
        return bool(simulate(seed).breaches)
    except BaseExceptionGroup:
        return True  # the engine itself protested
