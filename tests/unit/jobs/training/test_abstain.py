"""The threshold below which a model abstains."""

import numpy as np
import pytest

from tidemill_jobs.training.abstain import NEVER, abstain_below, find_threshold


def rows(seed: int, n: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Return answers whose confidence is the probability that they are right."""
    random = np.random.default_rng(seed)
    confidence = random.uniform(0.5, 1.0, n).astype(np.float32)
    return np.stack([confidence, 1 - confidence], axis=1), (random.random(n) > confidence).astype(
        np.int64
    )


def precision_from(threshold: float, seed: int) -> tuple[float, float]:
    """Return the precision of other rows from a threshold, and the share that is answered."""
    probabilities, targets = rows(seed, 100_000)
    answered = probabilities[:, 0] >= threshold
    return float((targets[answered] == 0).mean()), float(answered.mean())


def test_other_rows_are_as_precise_as_wanted() -> None:
    """Of 40 thresholds, at most 4 are too low for other rows, and none answers too few."""
    missed = 0
    for seed in range(40):
        precision, answered = precision_from(find_threshold(*rows(seed), 0.9), seed + 1000)
        missed += precision < 0.9
        # Confidence is uniform, so 40 % of the rows could be answered.
        assert answered > 0.25
    assert missed <= 4


@pytest.mark.parametrize(("n", "threshold"), [(0, NEVER), (58, NEVER), (59, 0.75)])
def test_few_rows_prove_little(n: int, threshold: float) -> None:
    """59 rows that are all right prove a precision of 0.95, and 58 do not."""
    probabilities = np.tile(np.array([[0.75, 0.25]], dtype=np.float32), (n, 1))
    assert find_threshold(probabilities, np.zeros(n, dtype=np.int64), 0.95) == threshold


def test_rows_of_equal_confidence_are_answered_together() -> None:
    """A threshold never counts the right half of the rows that share its confidence."""
    probabilities = np.tile(np.array([[0.75, 0.25]], dtype=np.float32), (400, 1))
    targets = np.repeat([0, 1], 200)
    assert find_threshold(probabilities, targets, 0.9) == NEVER


def test_a_label_that_the_model_does_not_know_is_an_error() -> None:
    """Rows with an unknown label raise the threshold above their confidence."""
    probabilities = np.repeat([[0.9, 0.1], [0.8, 0.2]], 200, axis=0).astype(np.float32)
    targets = np.repeat([0, -1], 200)
    assert find_threshold(probabilities, targets, 0.95) == pytest.approx(0.9)


def traffic(seed: int, n: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return answers to rows with a share of label 0, by a model that expects half of each."""
    random = np.random.default_rng(seed)
    targets = (random.random(n) > share).astype(np.int64)
    scores = random.normal(np.where(targets == 0, 1.0, -1.0), 1.0)
    first = (1 / (1 + np.exp(-2 * scores))).astype(np.float32)
    return np.stack([first, 1 - first], axis=1), targets


def test_a_model_that_follows_the_traffic_is_as_precise_there() -> None:
    """The threshold holds for adapted answers in traffic with other class shares than the rows."""
    odds = np.array([0.2, 1.8], np.float32)
    missed = 0
    for seed in range(40):
        threshold = abstain_below(*traffic(seed, 4000, 0.5), 0.97, odds)
        answers, targets = traffic(seed + 1000, 100_000, 0.1)
        adapted = answers * odds / (answers * odds).sum(axis=1, keepdims=True)
        answered = adapted.max(axis=1) >= threshold
        assert answered.mean() > 0.5
        missed += (adapted.argmax(axis=1) == targets)[answered].mean() < 0.97
    assert missed <= 4
