"""The kinds of load on a front, in the order in which they are measured."""

from collections.abc import Callable, Iterator

from bench.serving.callers import closed_loop, open_loop
from bench.serving.load import Load
from bench.serving.messages import Calls

IN_FLIGHT = 64
_OVERLOAD_CALLERS = 192
_SHARE_OF_MAXIMUM = 0.7
_FLOOD = 3.0
IN_TIME_SECONDS = 0.5
"""The deadline of calls in open loops."""
MANY = "64 callers"
ONE = "one caller"
OVERLOADED = "192 callers"
STEADY = "open loop, 70 % of the maximum"
FLOODED = "open loop, 3 x the maximum"
STREAMS = "4 streams of 1,024 texts"
BATCHES = "4 callers of BatchPredict of 64"
MANY_BESIDE = "64 callers beside 4 of BatchPredict of 200"
ONE_BESIDE = "one caller beside 4 of BatchPredict of 200"
WARM_UP_SECONDS = 2

Counted = Callable[[Callable[[], Load]], Load]
"""Measures a load, and counts the CPU time of the server meanwhile."""


def unary(calls: Calls, seconds: int, counted: Counted) -> Load:
    """Keep 64 calls of Predict in flight, after a warm-up."""
    many = calls.predict(IN_FLIGHT)
    closed_loop([many], WARM_UP_SECONDS)
    return counted(lambda: closed_loop([many], seconds)[0])


def other_loads(
    calls: Calls, maximum: float, seconds: int, counted: Counted
) -> Iterator[tuple[str, Load]]:
    """Measure everything but 64 calls of Predict in flight.

    Args:
        calls: of the front.
        maximum: calls of Predict per second with 64 in flight.
        seconds: length of each measurement.
        counted: measures a load.
    """
    one, many = calls.predict(1), calls.predict(IN_FLIGHT)
    overload, large = calls.predict(_OVERLOAD_CALLERS), calls.large_batch_predict()
    loads: dict[str, Callable[[], Load]] = {
        ONE: lambda: closed_loop([one], seconds)[0],
        OVERLOADED: lambda: closed_loop([overload], seconds)[0],
        STEADY: lambda: open_loop(many, _SHARE_OF_MAXIMUM * maximum, seconds, IN_TIME_SECONDS),
        FLOODED: lambda: open_loop(many, _FLOOD * maximum, seconds, IN_TIME_SECONDS),
        STREAMS: lambda: closed_loop([calls.stream_predict()], seconds)[0],
        BATCHES: lambda: closed_loop([calls.batch_predict()], seconds)[0],
        MANY_BESIDE: lambda: closed_loop([many, large], seconds)[0],
        ONE_BESIDE: lambda: closed_loop([one, large], seconds)[0],
    }
    for kind, load in loads.items():
        yield kind, counted(load)
