"""The latency that the gate judges, from scripted times of calls."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tidemill_jobs.release.gates.speed import quiet_p99_ms

CALLS = 200
QUICK, DISTURBED = 0.002, 0.4


def scripted(rounds: Sequence[Sequence[int]]) -> Callable[[], Sequence[float]]:
    """Return a sender whose rounds have long times at the given calls."""
    left = iter(rounds)

    def send() -> Sequence[float]:
        seconds = np.full(CALLS, QUICK)
        seconds[list(next(left))] = DISTURBED
        return seconds.tolist()

    return send


def test_other_work_on_the_machine_is_no_reason_to_reject() -> None:
    """A quarter of the calls is slow in each round, but not the same ones."""
    random = np.random.default_rng(0)
    rounds = [random.choice(CALLS, CALLS // 4, replace=False).tolist() for _ in range(5)]
    assert quiet_p99_ms(scripted(rounds), 50) <= 50


def test_texts_that_always_take_long_are_found() -> None:
    """If the same texts are slow in every round, their time is the figure."""
    assert quiet_p99_ms(scripted([range(5)] * 5), 50) == pytest.approx(1e3 * DISTURBED)


def test_a_first_round_within_the_objective_is_enough() -> None:
    """Nothing is sent again once the figure is within the objective."""
    assert quiet_p99_ms(scripted([[0]]), 50) == pytest.approx(1e3 * QUICK)
