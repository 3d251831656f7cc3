"""The limit of the distance between two samples."""

import numpy as np

from tidemill_jobs.monitoring.drift import measure_shift, null_distances

SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.08, 0.02])
REFERENCE_ROWS, PREDICTIONS, NIGHTS = 300, 200, 1000


def test_false_alarms_are_as_rare_as_promised() -> None:
    """In 1,000 nights without drift, each with its own hold-out, about 0.1 % alert."""
    random = np.random.default_rng(1)
    references = random.multinomial(REFERENCE_ROWS, SHARES, NIGHTS)
    windows = random.multinomial(PREDICTIONS, SHARES, NIGHTS)
    alerts = sum(
        measure_shift(reference, window, random).alerts
        for reference, window in zip(references, windows, strict=True)
    )
    # Of a Poisson number with mean 1, 99.99 % are 6 at most.
    assert alerts <= 6


def test_the_null_is_what_chance_makes() -> None:
    """Without drift, 5 % of the distances are above the 95th percentile of the null."""
    random = np.random.default_rng(2)
    above = 0
    for _ in range(400):
        reference = random.multinomial(REFERENCE_ROWS, SHARES)
        window = random.multinomial(PREDICTIONS, SHARES)
        null = null_distances(reference + window, PREDICTIONS, random)
        shift = measure_shift(reference, window, random)
        above += shift.distance > np.percentile(null, 95)
    # Of a binomial number of 400 with 5 %, 99.9 % lie between 8 and 36.
    assert 8 <= above <= 36


def test_a_shift_is_caught() -> None:
    """A tenth of the traffic that moves to a rare class alerts every night."""
    random = np.random.default_rng(3)
    moved = 0.9 * SHARES
    moved[-1] += 0.1
    for _ in range(20):
        reference = random.multinomial(REFERENCE_ROWS * 3, SHARES)
        assert measure_shift(reference, random.multinomial(1000, moved), random).alerts


def test_many_classes_need_a_limit_of_their_own() -> None:
    """77 classes without drift have a large distance at 200 predictions, and do not alert."""
    random = np.random.default_rng(4)
    shares = np.full(77, 1 / 77)
    shift = measure_shift(random.multinomial(700, shares), random.multinomial(200, shares), random)
    assert 0.25 < shift.distance < shift.limit


def test_equal_samples_do_not_differ() -> None:
    """The distance of a sample to itself is 0 in spite of rounding."""
    sample = np.array([7, 11, 13, 0])
    assert measure_shift(sample, sample, np.random.default_rng(5)).distance == 0.0


def test_samples_without_a_common_class_are_as_far_apart_as_can_be() -> None:
    """The largest distance to base 2 is 1, and it alerts."""
    shift = measure_shift(np.array([100, 0]), np.array([0, 100]), np.random.default_rng(6))
    assert shift.distance == 1.0
    assert shift.alerts
