"""The latency and the speed that the gates judge, from scripted times of calls."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tidemill_jobs.release.gates.speed import Times, quiet_p99_ms, quiet_speeds, slowdown

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


def both(shares: Sequence[tuple[float, float]], slower: float = 1) -> Callable[[], list[Times]]:
    """Return a sender whose rounds disturb shares of a version's and the champion's calls."""
    random, left = np.random.default_rng(0), iter(shares)

    def times(share: float, factor: float) -> Times:
        disturbed = random.random(CALLS) < share
        return Times(np.where(disturbed, DISTURBED, factor * QUICK), np.full(5, factor * QUICK))

    def send() -> list[Times]:
        ours, theirs = next(left)
        return [times(ours, slower), times(theirs, 1)]

    return send


def test_a_version_that_is_disturbed_in_every_round_is_no_slower() -> None:
    """Most of its calls meet other work in each round, and few of the champion's do."""
    assert slowdown(*quiet_speeds(both([(0.7, 0.2)] * 5), 2)) == pytest.approx(1)


def test_a_slower_version_is_found_on_a_busy_machine() -> None:
    """Its fastest calls are slow too."""
    assert slowdown(*quiet_speeds(both([(0.5, 0.5)] * 5, slower=3), 2)) == pytest.approx(3)


def test_a_first_round_within_the_allowed_slowdown_is_enough() -> None:
    """Nothing is sent again."""
    assert slowdown(*quiet_speeds(both([(0, 0)]), 2)) == pytest.approx(1)
