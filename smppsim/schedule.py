"""The schedule of faults: what is caused when, counted from the start of a run.

Pure: it draws its jitter from the seed and neither sleeps nor causes anything. The simulator follows it.
"""

import heapq
import math
import random
from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field, model_validator

from smppsim.data import Data, Seconds
from smppsim.faults import AnyFault, Fault


class Planned(Data):
    """A fault at an instant, or again and again."""

    at: Seconds = 0.0
    """Seconds from the start."""
    every: Annotated[Seconds, Field(gt=0)] | None = None
    """Again after so many seconds; absent, once."""
    times: Annotated[int, Field(ge=1)] | None = None
    """With `every`: how often in all."""
    jitter: Seconds = 0.0
    """Later by up to so many seconds, drawn by the seed."""
    fault: Fault

    @model_validator(mode="after")
    def _in_order(self) -> "Planned":
        if self.every is None and self.times is not None:
            raise ValueError("times needs every")
        if self.every is not None and self.jitter > self.every:
            raise ValueError("jitter is longer than every")
        return self

    def instants(self, dice: random.Random) -> Iterator[float]:
        """When it is due, in seconds from the start; they never fall."""
        count = 0
        while count == 0 or (self.every is not None and (self.times is None or count < self.times)):
            yield self.at + count * (self.every or 0.0) + (dice.uniform(0, self.jitter) if self.jitter else 0.0)
            count += 1


class Schedule:
    """The planned faults of one run in order of time; of equal instants the first planned comes first."""

    def __init__(self, planned: Sequence[Planned], seed: int) -> None:
        self._heap: list[tuple[float, int]] = []
        self._planned = planned
        self._instants = [
            each.instants(random.Random(f"{seed}:schedule:{number}"))  # noqa: S311 - reproducible by intent
            for number, each in enumerate(planned)
        ]
        for number in range(len(planned)):
            self._await(number)

    def _await(self, number: int) -> None:
        instant = next(self._instants[number], None)
        if instant is not None:
            heapq.heappush(self._heap, (instant, number))

    @property
    def next_due(self) -> float:
        """Seconds from the start to the next fault, infinity after the last."""
        return self._heap[0][0] if self._heap else math.inf

    def take(self) -> AnyFault:
        """The next fault; IndexError after the last."""
        _, number = heapq.heappop(self._heap)
        self._await(number)
        return self._planned[number].fault
