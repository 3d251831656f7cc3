"""Rate limits: a token bucket per caller.

A bucket fills at the caller's rate and holds the calls of one second, at least one call. Each call
takes one out. A call that finds none is refused, with the time when there will be one.
"""

import time
from collections.abc import Callable

from tidemill_core.counted import counted
from tidemill_core.domain.access import Caller
from tidemill_core.errors import ResourceExhausted

MAX_BUCKETS = 10_000
"""Bound on the callers in memory; beyond it, the first one starts again with a full bucket."""


class _Bucket:
    __slots__ = ("calls", "filled")

    def __init__(self, calls: float, filled: float) -> None:
        self.calls = calls
        self.filled = filled


class RateLimits:
    """The buckets of one worker.

    Args:
        workers: processes that share the port. The kernel spreads connections among them, so each
            allows its share of a rate, and a caller on one connection gets that share.
        clock: returns monotonic seconds.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: Caller) -> None:
        """Take a call out of a caller's bucket; callers without a rate have none.

        Raises:
            ResourceExhausted: RATE_LIMITED, with the seconds until the next call.
        """
        if caller.requests_per_second is None:
            return
        rate = caller.requests_per_second / self._workers
        size = max(rate, 1.0)
        now = self._clock()
        bucket = self._buckets.get(caller.caller_id)
        if bucket is None:
            bucket = self._new_bucket(caller.caller_id, size, now)
        calls = min(bucket.calls + (now - bucket.filled) * rate, size)
        bucket.filled = now
        if calls < 1.0:
            bucket.calls = calls
            calls_allowed = counted(caller.requests_per_second, "call")
            message = f"{caller.name!r} may begin {calls_allowed} a second"
            raise ResourceExhausted("RATE_LIMITED", message, (1.0 - calls) / rate)
        bucket.calls = calls - 1.0

    def _new_bucket(self, caller_id: str, calls: float, now: float) -> _Bucket:
        if len(self._buckets) >= MAX_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        bucket = _Bucket(calls, now)
        self._buckets[caller_id] = bucket
        return bucket
