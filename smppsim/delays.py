"""How long something takes, as data: the shapes of delay that an operator's day is made of.

A delay waits for nothing; it draws seconds with the dice it is given. `behaviour` has one wherever time passes.
"""

import math
import random
from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, model_validator

from smppsim.chances import Lottery, Weighted
from smppsim.data import Data, Seconds, Share

_NORMAL_P99: Final = 2.3263478740408408  # the 99th percentile of the standard normal distribution


class Fixed(Data):
    """Always the same delay."""

    kind: Literal["fixed"] = "fixed"
    seconds: Seconds = 0.0

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return self.seconds


class Uniform(Data):
    """Any delay between two bounds, all equally likely."""

    kind: Literal["uniform"] = "uniform"
    low: Seconds = 0.0
    high: Seconds

    @model_validator(mode="after")
    def _ordered(self) -> "Uniform":
        if self.low > self.high:
            raise ValueError("low is above high")
        return self

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return dice.uniform(self.low, self.high)


class Normal(Data):
    """A bell curve, cut off at zero."""

    kind: Literal["normal"] = "normal"
    mean: Seconds
    deviation: Seconds

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return max(0.0, dice.gauss(self.mean, self.deviation))


class Spike(Data):
    """Usually one delay, now and then a much longer one: a garbage collection, a failover, a full queue."""

    kind: Literal["spike"] = "spike"
    usual: Seconds = 0.0
    spike: Seconds
    share: Share = 0.01
    """Of all draws, those that are spikes."""

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return self.spike if dice.random() < self.share else self.usual


class LongTail(Data):
    """Log-normal: most are near the median, a few take very long, and none longer than `most`."""

    kind: Literal["long_tail"] = "long_tail"
    median: Annotated[Seconds, Field(gt=0)]
    p99: Seconds
    """One draw in a hundred is longer."""
    most: Seconds = 86_400.0

    @model_validator(mode="after")
    def _ordered(self) -> "LongTail":
        if not self.median <= self.p99 <= self.most:
            raise ValueError("median, p99 and most must rise")
        return self

    @cached_property
    def _shape(self) -> tuple[float, float]:
        mu = math.log(self.median)
        return mu, (math.log(self.p99) - mu) / _NORMAL_P99

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        mu, sigma = self._shape
        return min(self.most, dice.lognormvariate(mu, sigma))


class Step(Weighted):
    """One of the delays of a mixture."""

    seconds: Seconds


class Mixture(Data):
    """One of a few delays, drawn by weight: 80 % after 10 ms, 15 % after 100 ms, 5 % after a second."""

    kind: Literal["mixture"] = "mixture"
    steps: Annotated[tuple[Step, ...], Field(min_length=1)]

    @cached_property
    def _lottery(self) -> Lottery[Step]:
        return Lottery(self.steps)

    def draw(self, dice: random.Random) -> float:
        """Seconds."""
        return self._lottery.draw(dice).seconds


DELAYS: Final = (Fixed, Uniform, Normal, Spike, LongTail, Mixture)
"""Every kind there is."""


def _read_delay(value: object) -> object:
    return {"kind": "fixed", "seconds": value} if isinstance(value, (int, float)) else value


Delay = Annotated[
    Annotated[Fixed | Uniform | Normal | Spike | LongTail | Mixture, Field(discriminator="kind")],
    BeforeValidator(_read_delay),
]
"""A delay; a bare number means fixed seconds."""

NO_DELAY: Final = Fixed()
