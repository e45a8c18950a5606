"""When a courier will arrive, guessed from where they are: as the crow flies, with a detour, at the speed of a town.

Pure. A platform that knows better says so (`eta_at`), and this is not asked.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from workflows.base import SECOND

_EARTH_M: Final = 6_371_000.0
_DETOUR: Final = 1.4
_METRES_PER_S: Final = 25 / 3.6


class Position(NamedTuple):
    """Degrees north and east (WGS 84)."""

    latitude: float
    longitude: float

    def __str__(self) -> str:
        return f"{self.latitude:.5f},{self.longitude:.5f}"


def eta(here: Position, there: Position, now: int) -> int:
    """Return the instant of arrival, in microseconds."""
    return now + round(distance_m(here, there) * _DETOUR / _METRES_PER_S) * SECOND


def distance_m(one: Position, other: Position) -> float:
    """Return the great-circle distance in metres (haversine)."""
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, place)) for place in (one, other))
    half = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * _EARTH_M * math.asin(math.sqrt(min(1.0, half)))
