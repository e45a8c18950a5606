"""smppsim.delays and chances: draws have the shape that the data says, from the dice they are given."""

from __future__ import annotations

import random
from collections import Counter
from statistics import median, quantiles

import pytest
from pydantic import TypeAdapter, ValidationError

from smppsim.chances import Lottery, happens
from smppsim.delays import DELAYS, Delay, Fixed, LongTail, Mixture, Normal, Spike, Step, Uniform
from smppsim.outcomes import Outcome

EACH = {
    Fixed: Fixed(seconds=1),
    Uniform: Uniform(low=1, high=2),
    Normal: Normal(mean=0.1, deviation=1),
    Spike: Spike(usual=0.1, spike=9, share=0.25),
    LongTail: LongTail(median=1, p99=30),
    Mixture: Mixture(steps=(Step(seconds=0.01, weight=80), Step(seconds=0.1, weight=15), Step(seconds=1, weight=5))),
}
DELAY: TypeAdapter[Delay] = TypeAdapter(Delay)


def draws(delay: Delay, count: int = 10_000) -> list[float]:
    dice = random.Random(5)
    return [delay.draw(dice) for _ in range(count)]


def test_every_kind_is_drawn_from_the_dice_it_is_given_and_is_never_negative() -> None:
    assert set(EACH) == set(DELAYS)
    for delay in EACH.values():
        assert draws(delay, 1000) == draws(delay, 1000)
        assert min(draws(delay)) >= 0


def test_a_spike_is_as_frequent_as_its_share() -> None:
    counts = Counter(draws(EACH[Spike]))
    assert set(counts) == {0.1, 9.0}
    assert 2_300 < counts[9.0] < 2_700


def test_a_long_tail_has_its_median_its_99th_percentile_and_no_more_than_its_most() -> None:
    drawn = draws(EACH[LongTail], 50_000)
    assert median(drawn) == pytest.approx(1, rel=0.05)
    assert quantiles(drawn, n=100)[98] == pytest.approx(30, rel=0.15)
    capped = draws(LongTail(median=1, p99=30, most=31))
    assert max(capped) == 31


def test_a_mixture_comes_by_weight() -> None:
    counts = Counter(draws(EACH[Mixture]))
    assert counts[0.01] == pytest.approx(8_000, rel=0.05)
    assert counts[0.1] == pytest.approx(1_500, rel=0.1)
    assert counts[1.0] == pytest.approx(500, rel=0.2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "uniform", "low": 2, "high": 1},
        {"kind": "long_tail", "median": 2, "p99": 1},
        {"kind": "long_tail", "median": 0, "p99": 1},
        {"kind": "long_tail", "median": 1, "p99": 9, "most": 5},
        {"kind": "mixture", "steps": []},
        {"kind": "spike"},
        {"kind": "sometimes"},
        -1,
    ],
)
def test_a_delay_without_sense_is_refused(wrong: object) -> None:
    with pytest.raises(ValidationError):
        DELAY.validate_python(wrong)


def test_a_lottery_keeps_the_proportion_of_its_weights() -> None:
    lottery = Lottery((Outcome(state="delivered", weight=9), Outcome(state="undeliverable", weight=1)))
    dice = random.Random(1)
    drawn = Counter(lottery.draw(dice).state for _ in range(10_000))
    assert 850 < drawn["undeliverable"] < 1150


def test_what_is_certain_leaves_the_dice_alone() -> None:
    dice = random.Random(1)
    before = dice.getstate()
    assert Lottery((Outcome(),)).draw(dice) == Outcome()
    assert happens(1, dice)
    assert not happens(0, dice)
    assert dice.getstate() == before
