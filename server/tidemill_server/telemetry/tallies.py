"""Numbers that change with every request, kept in plain Python until somebody looks.

A metric of prometheus_client lies in a file that the workers share, and each change of it costs a
lock, a system call and a write. These cost an addition; twice a second, and when the metrics are
asked for, what has come since goes into the metric in one change.

Each belongs to the thread that changes it. `flush` may run on another one: it reads what only
grows, and never resets it.
"""

from bisect import bisect_left
from typing import Protocol

from prometheus_client import Counter, Gauge, Histogram


class Tally(Protocol):
    """What is brought into a metric."""

    def flush(self) -> None:
        """Bring it there; by one thread at a time."""


class Level:
    """A number that goes up and down, for a gauge."""

    __slots__ = ("_gauge", "value")

    def __init__(self, gauge: Gauge) -> None:
        self.value = 0
        self._gauge = gauge

    def inc(self) -> None:
        """One more."""
        self.value += 1

    def dec(self) -> None:
        """One less."""
        self.value -= 1

    def flush(self) -> None:
        """Set the gauge."""
        self._gauge.set(self.value)


class Count:
    """A number that grows, for a counter."""

    __slots__ = ("_counter", "_flushed", "value")

    def __init__(self, counter: Counter) -> None:
        self.value = 0
        self._flushed = 0
        self._counter = counter

    def inc(self, amount: int = 1) -> None:
        """So many more."""
        self.value += amount

    def flush(self) -> None:
        """Count what has come since."""
        value = self.value
        if value != self._flushed:
            self._counter.inc(value - self._flushed)
            self._flushed = value


class Distribution:
    """Values that are seen, for a histogram."""

    __slots__ = ("_bounds", "_counts", "_flushed", "_flushed_sum", "_histogram", "_sum")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._bounds = histogram._upper_bounds  # no other way to add many values at once
        self._counts = [0] * len(self._bounds)
        self._flushed = list(self._counts)
        self._sum = self._flushed_sum = 0.0

    def observe(self, value: float) -> None:
        """See a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def flush(self) -> None:
        """See all that has come since."""
        total = self._sum
        for index, count in enumerate(self._counts):
            if count != self._flushed[index]:
                self._histogram._buckets[index].inc(count - self._flushed[index])
                self._flushed[index] = count
        if total != self._flushed_sum:
            self._histogram._sum.inc(total - self._flushed_sum)
            self._flushed_sum = total
