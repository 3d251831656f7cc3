"""Fast metrics for values that change with every request, on the event loop's thread only.

prometheus_client takes a lock at each change of a value, and scans a histogram's buckets. These
classes change the same values at a fifth of the cost, without locks.
"""

from bisect import bisect_left
from collections.abc import Sequence

from prometheus_client import Counter, Gauge, Histogram


class Level:
    """A gauge's number, which goes up and down."""

    __slots__ = ("_value",)

    def __init__(self, gauge: Gauge) -> None:
        self._value = gauge._value

    def inc(self) -> None:
        """Add one."""
        self._value._value += 1

    def dec(self) -> None:
        """Subtract one."""
        self._value._value -= 1


class Count:
    """A counter's number, which only grows."""

    __slots__ = ("_value",)

    def __init__(self, counter: Counter) -> None:
        self._value = counter._value

    def inc(self, amount: int = 1) -> None:
        """Add an amount."""
        self._value._value += amount


class Distribution:
    """A histogram's observations."""

    __slots__ = ("_bounds", "_buckets", "_sum")

    def __init__(self, histogram: Histogram) -> None:
        self._bounds = histogram._upper_bounds
        self._buckets = histogram._buckets
        self._sum = histogram._sum

    def observe(self, value: float) -> None:
        """Count a value."""
        self.observe_all((value,))

    def observe_all(self, values: Sequence[float]) -> None:
        """Count values."""
        bounds, buckets = self._bounds, self._buckets
        for value in values:
            buckets[bisect_left(bounds, value)]._value += 1
        self._sum._value += sum(values)
