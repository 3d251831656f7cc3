"""What is refused because its answer would come too late."""

import pytest

from tidemill_core.errors import ResourceExhausted
from tidemill_server.inference.pace import Pace


def pace_of(seconds: float) -> Pace:
    """A model whose last calls all took so long, with one under way."""
    pace = Pace()
    for _ in range(100):
        pace.took(seconds)
    pace.in_flight = 1
    return pace


def test_what_comes_too_late_is_refused() -> None:
    """Three calls of 0.1 s fit into 0.4 s and not into 0.2 s."""
    pace = pace_of(0.1)
    pace.refuse_late(3, remaining=0.4)
    with pytest.raises(ResourceExhausted) as caught:
        pace.refuse_late(3, remaining=0.2)
    assert caught.value.reason == "OVERLOADED"
    assert caught.value.retry_after_seconds > 0


def test_a_quiet_model_refuses_nobody() -> None:
    """With nothing under way even a slow one is asked: it may have become fast."""
    pace = pace_of(10.0)
    pace.in_flight = 0
    pace.refuse_late(1, remaining=0.001)


def test_it_follows_the_last_calls() -> None:
    """Ten fast calls after many slow ones, and the hurried are let in again."""
    pace = pace_of(2.0)
    for _ in range(10):
        pace.took(0.01)
    pace.refuse_late(1, remaining=0.5)
    with pytest.raises(ResourceExhausted):
        pace.refuse_late(2, remaining=0.2)
