"""A counter and a histogram for the message path, where the Prometheus client's cost more than what they measure.

They count in plain integers and become families of the client's when they are scraped. Each child is counted in one
thread alone; `metrics` makes them.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Final, Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.utils import floatToGoString

Child = TypeVar("Child")
_UNBOUNDED: Final = "+Inf"


class Count:
    """How often something happened."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def inc(self) -> None:
        """Count it once more."""
        self.count += 1


class Spread:
    """How often a value fell between two bounds, and the sum of all values."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self._bounds, value)] += 1
        self.total += value


class _Labelled(Generic[Child]):
    """The children of a metric by the values of its labels."""

    def __init__(self, name: str, documentation: str, labelnames: Sequence[str], registry: CollectorRegistry) -> None:
        self._name = name
        self._documentation = documentation
        self._labelnames = tuple(labelnames)
        self._children: dict[tuple[str, ...], Child] = {}
        registry.register(self)  # type: ignore[arg-type]  # the registry asks for `collect` alone

    def _labels(self, values: tuple[str, ...], new: Child) -> Child:
        if len(values) != len(self._labelnames):
            raise ValueError("Incorrect label count")
        return self._children.setdefault(values, new)


class PathCounter(_Labelled[Count]):
    """Counters by label."""

    _type: Final = "counter"

    def labels(self, *values: str) -> Count:
        """Return the counter of these values; ask once and keep it."""
        return self._labels(values, Count())

    def collect(self) -> Iterator[Metric]:
        """Give the family to the registry."""
        family = CounterMetricFamily(self._name, self._documentation, labels=self._labelnames)
        for values, child in tuple(self._children.items()):
            family.add_metric(values, child.count)
        yield family


class PathHistogram(_Labelled[Spread]):
    """Histograms by label; `buckets` are upper bounds, rising."""

    _type: Final = "histogram"

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str],
        registry: CollectorRegistry,
        buckets: Sequence[float],
    ) -> None:
        self._bounds = tuple(buckets)
        super().__init__(name, documentation, labelnames, registry)

    def labels(self, *values: str) -> Spread:
        """Return the histogram of these values; ask once and keep it."""
        return self._labels(values, Spread(self._bounds))

    def collect(self) -> Iterator[Metric]:
        """Give the family to the registry."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labelnames)
        names = [*map(floatToGoString, self._bounds), _UNBOUNDED]
        for values, child in tuple(self._children.items()):
            counts, upto = child.counts, 0
            buckets: list[tuple[str, float]] = []
            for name, count in zip(names, counts, strict=True):
                upto += count
                buckets.append((name, upto))
            family.add_metric(values, buckets=buckets, sum_value=child.total)
        yield family
