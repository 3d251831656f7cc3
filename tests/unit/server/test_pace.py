"""Refusals of requests whose answer would come too late."""

import pytest

from tidemill_core.errors import ResourceExhausted
from tidemill_server.inference.pace import Pace


def pace_of(seconds: float) -> Pace:
    """Return the pace of a model whose calls took a time, with one in flight."""
    pace = Pace()
    for _ in range(100):
        pace.took(seconds)
    pace.in_flight = 1
    return pace


def test_what_comes_too_late_is_refused() -> None:
    """Three calls of 0.1 s fit into 0.4 s, but not into 0.2 s."""
    pace = pace_of(0.1)
    pace.refuse_late(3, remaining=0.4)
    with pytest.raises(ResourceExhausted) as caught:
        pace.refuse_late(3, remaining=0.2)
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.retry_after_seconds > 0


def test_a_quiet_model_refuses_nobody() -> None:
    """Without calls in flight even a slow model is called, because it may be fast now."""
    pace = pace_of(10.0)
    pace.in_flight = 0
    pace.refuse_late(1, remaining=0.001)


def test_it_follows_the_last_calls() -> None:
    """After ten fast calls, hurried requests are admitted again."""
    pace = pace_of(2.0)
    for _ in range(10):
        pace.took(0.01)
    pace.refuse_late(1, remaining=0.5)
    with pytest.raises(ResourceExhausted):
        pace.refuse_late(2, remaining=0.2)
