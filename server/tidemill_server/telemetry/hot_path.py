"""What changes with every request, for the event loop's thread alone.

prometheus_client takes a lock at each change of a value, and looks through a histogram's buckets
one by one. These change the same values at a fifth of the cost; no other thread may.
"""

from bisect import bisect_left

from prometheus_client import Counter, Gauge, Histogram


class Level:
    """A number that goes up and down, of a gauge."""

    __slots__ = ("_value",)

    def __init__(self, gauge: Gauge) -> None:
        self._value = gauge._value

    def inc(self) -> None:
        """One more."""
        self._value._value += 1

    def dec(self) -> None:
        """One less."""
        self._value._value -= 1


class Count:
    """A number that grows, of a counter."""

    __slots__ = ("_value",)

    def __init__(self, counter: Counter) -> None:
        self._value = counter._value

    def inc(self, amount: int = 1) -> None:
        """So many more."""
        self._value._value += amount


class Distribution:
    """Values that are seen, of a histogram."""

    __slots__ = ("_bounds", "_buckets", "_sum")

    def __init__(self, histogram: Histogram) -> None:
        self._bounds = histogram._upper_bounds
        self._buckets = histogram._buckets
        self._sum = histogram._sum

    def observe(self, value: float) -> None:
        """See a value."""
        self._buckets[bisect_left(self._bounds, value)]._value += 1
        self._sum._value += value
