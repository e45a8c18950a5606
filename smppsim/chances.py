"""Chance: one of several possibilities by weight, and whether something of a given share happens.

Every draw takes the dice as an argument, so that the same seed gives the same run. `outcomes`, `delays` and
whoever carries them out draw through it.
"""

import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from smppsim.data import Data, Weight


class Weighted(Data):
    """One of several possibilities."""

    weight: Weight = 1.0


W = TypeVar("W", bound=Weighted)


class Lottery(Generic[W]):
    """Possibilities with their weights added up, once; a draw is one look-up."""

    __slots__ = ("_bounds", "_last", "_options")

    def __init__(self, options: Sequence[W]) -> None:
        self._options = tuple(options)
        self._bounds = list(accumulate(option.weight for option in options))
        self._last = len(options) - 1

    def draw(self, dice: random.Random) -> W:
        """One possibility by weight; the dice are left alone when there is only one."""
        if not self._last:
            return self._options[0]
        return self._options[bisect(self._bounds, dice.random() * self._bounds[-1], hi=self._last)]


def happens(share: float, dice: random.Random) -> bool:
    """Whether something that happens to this share of all does; 0 and 1 leave the dice alone."""
    return share > 0 and (share >= 1 or dice.random() < share)
