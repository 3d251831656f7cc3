"""How many calls a caller may begin: a token bucket for each.

A bucket fills at the caller's rate and holds one second's worth, at least one call. Each call
takes one out; where there is none, the call is refused and told when there will be.
"""

import time
from collections.abc import Callable

from tidemill_core.domain.access import Caller
from tidemill_core.errors import ResourceExhausted

MAX_BUCKETS = 10_000
"""Callers in memory; beyond it the one first seen begins anew, with a full bucket."""


class _Bucket:
    __slots__ = ("calls", "filled")

    def __init__(self, calls: float, filled: float) -> None:
        self.calls = calls
        self.filled = filled


class RateLimits:
    """The buckets of one worker.

    Args:
        workers: processes that share the port. Each lets its share of a rate pass, for the kernel
            spreads connections among them: a caller on one connection gets that share.
        clock: seconds, monotonic.
    """

    def __init__(self, workers: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._workers = workers
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def take(self, caller: Caller) -> None:
        """Let a call of the caller begin.

        Raises:
            ResourceExhausted: RATE_LIMITED, with the seconds until the next may.
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
            message = f"{caller.name!r} may begin {caller.requests_per_second:g} calls a second"
            raise ResourceExhausted("RATE_LIMITED", message, (1.0 - calls) / rate)
        bucket.calls = calls - 1.0

    def _new_bucket(self, caller_id: str, calls: float, now: float) -> _Bucket:
        if len(self._buckets) >= MAX_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        bucket = _Bucket(calls, now)
        self._buckets[caller_id] = bucket
        return bucket
