"""The confidence sequence for the ratio of two versions' events."""

import math
import random

import pytest

from tidemill_jobs.release.rollout.ratio import Share, ratio_interval


def _ever_excluded(ratio: float, probability: float, draw: random.Random, looks: int) -> bool:
    """Return whether an interval excludes the true ratio at any of the looks, five events apart."""
    chance = probability * ratio / (probability * ratio + 1 - probability)
    hits = 0
    for look in range(1, looks + 1):
        hits += sum(draw.random() < chance for _ in range(5))
        low, high = ratio_interval([Share(probability, hits, 5 * look)], 0.05)
        if not low <= ratio <= high:
            return True
    return False


@pytest.mark.parametrize(("ratio", "probability"), [(1.0, 0.5), (1.0, 0.05), (1.6, 0.25)])
def test_looking_often_does_not_make_it_wrong(ratio: float, probability: float) -> None:
    """Over 30 looks at growing evidence, at most 5 % of the sequences ever exclude the truth."""
    draw = random.Random(3)
    excluded = sum(_ever_excluded(ratio, probability, draw, looks=30) for _ in range(200))
    assert excluded <= 0.05 * 200


def test_no_events_exclude_nothing() -> None:
    """Without events every ratio is possible."""
    assert ratio_interval([], 0.05) == (0.0, math.inf)
    assert ratio_interval([Share(0.5, 0, 0)], 0.05) == (0.0, math.inf)


def test_steps_are_pooled_by_their_own_probabilities() -> None:
    """A candidate that gets its share of the events at 5 % and at 50 % is as good."""
    low, high = ratio_interval([Share(0.05, 10, 200), Share(0.5, 200, 400)], 0.05)
    assert 0.7 < low < 1 < high < 1.4


def test_twice_as_often_is_found() -> None:
    """Events that happen twice as often exclude equality, and bound the ratio on both sides."""
    low, high = ratio_interval([Share(0.5, 200, 300)], 0.05)
    assert 1 < low < 2 < high < 3.2


def test_many_events_do_not_overflow() -> None:
    """A million events of one version only leave an extreme ratio, and no error."""
    assert ratio_interval([Share(0.05, 0, 1_000_000)], 0.05)[1] < 0.01
    assert ratio_interval([Share(0.99, 1_000_000, 1_000_000)], 0.05)[1] == math.inf
