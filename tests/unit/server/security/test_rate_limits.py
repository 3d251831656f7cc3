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
    """How many of so many attempts at one moment pass."""
    for number in range(attempts):
        try:
            limits.take(caller)
        except ResourceExhausted:
            return number
    return attempts


def test_a_second_s_worth_at_once_and_then_the_rate() -> None:
    """A burst of one second's calls passes, and after it the rate; idling saves up no more."""
    clock = _Clock()
    limits = RateLimits(1, clock)
    assert _passed(limits, _caller(10), 50) == 10
    clock.seconds += 0.5
    assert _passed(limits, _caller(10), 50) == 5
    clock.seconds += 3600
    assert _passed(limits, _caller(10), 50) == 10


def test_whoever_waits_as_told_passes() -> None:
    """The refusal names the rate and the time until the next call may begin."""
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
    """Hammering does not put the next call off."""
    clock = _Clock()
    limits = RateLimits(1, clock)
    assert _passed(limits, _caller(1), 2) == 1
    for _ in range(100):
        clock.seconds += 0.005
        assert _passed(limits, _caller(1), 1) == 0
    clock.seconds += 0.5001
    limits.take(_caller(1))


def test_each_worker_has_its_share() -> None:
    """Four workers let a quarter of the rate pass each."""
    limits = RateLimits(4, _Clock())
    assert _passed(limits, _caller(40), 50) == 10


def test_callers_do_not_share() -> None:
    """One that is out of calls leaves another's alone; one without a rate is never refused."""
    limits = RateLimits(1, _Clock())
    assert _passed(limits, _caller(2), 5) == 2
    assert _passed(limits, _caller(2, "b"), 5) == 2
    assert _passed(limits, _caller(None), 5) == 5


def test_memory_is_bounded() -> None:
    """More callers than there are buckets for: the first one's is given away."""
    limits = RateLimits(1, _Clock())
    assert _passed(limits, _caller(1, "first"), 2) == 1
    for number in range(MAX_BUCKETS):
        limits.take(_caller(1, str(number)))
    assert len(limits._buckets) == MAX_BUCKETS
    assert _passed(limits, _caller(1, str(MAX_BUCKETS - 1)), 1) == 0
    assert _passed(limits, _caller(1, "first"), 1) == 1
