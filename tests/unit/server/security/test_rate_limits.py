"""Token buckets."""

from dataclasses import replace

import pytest

from tidemill_core.domain.access import ANONYMOUS, Caller
from tidemill_core.errors import ResourceExhausted
from tidemill_server.security.rate_limits import MAX_BUCKETS, RateLimits


class _Clock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def _caller(rate: float | None, caller_id: str = "a") -> Caller:
    return replace(ANONYMOUS, requests_per_second=rate, caller_id=caller_id)


def _passed(limits: RateLimits, caller: Caller, attempts: int) -> int:
    """Return how many of several attempts at one moment are admitted."""
    for number in range(attempts):
        try:
            limits.take(caller)
        except ResourceExhausted:
            return number
    return attempts


def test_a_second_s_worth_at_once_and_then_the_rate() -> None:
    """A burst of one second's calls is admitted, then the rate; longer idling saves no more."""
    clock = _Clock()
    limits = RateLimits(1, clock)
    assert _passed(limits, _caller(10), 50) == 10
    clock.seconds += 0.5
    assert _passed(limits, _caller(10), 50) == 5
    clock.seconds += 3600
    assert _passed(limits, _caller(10), 50) == 10


def test_whoever_waits_as_told_passes() -> None:
    """The refusal names the rate and the time until the next call."""
    clock = _Clock()
    limits = RateLimits(1, clock)
    assert _passed(limits, _caller(0.5), 5) == 1
    with pytest.raises(ResourceExhausted, match=r"0\.5 calls a second") as refused:
        limits.take(_caller(0.5))
    assert refused.value.reason == "RATE_LIMITED"
    assert refused.value.retry_after_seconds == pytest.approx(2.0)
    clock.seconds += refused.value.retry_after_seconds + 1e-9
    limits.take(_caller(0.5))


def test_refusals_cost_nothing() -> None:
    """Refused attempts do not delay the next call."""
    clock = _Clock()
    limits = RateLimits(1, clock)
    assert _passed(limits, _caller(1), 2) == 1
    for _ in range(100):
        clock.seconds += 0.005
        assert _passed(limits, _caller(1), 1) == 0
    clock.seconds += 0.5001
    limits.take(_caller(1))


def test_each_worker_has_its_share() -> None:
    """Each of four workers admits a quarter of the rate."""
    limits = RateLimits(4, _Clock())
    assert _passed(limits, _caller(40), 50) == 10


def test_callers_do_not_share() -> None:
    """A caller's refusals do not affect others; one without a rate is never refused."""
    limits = RateLimits(1, _Clock())
    assert _passed(limits, _caller(2), 5) == 2
    assert _passed(limits, _caller(2, "b"), 5) == 2
    assert _passed(limits, _caller(None), 5) == 5


def test_memory_is_bounded() -> None:
    """With too many callers, the first one's bucket is removed."""
    limits = RateLimits(1, _Clock())
    assert _passed(limits, _caller(1, "first"), 2) == 1
    for number in range(MAX_BUCKETS):
        limits.take(_caller(1, str(number)))
    assert len(limits._buckets) == MAX_BUCKETS
    assert _passed(limits, _caller(1, str(MAX_BUCKETS - 1)), 1) == 0
    assert _passed(limits, _caller(1, "first"), 1) == 1
