"""Temperature scaling."""

import numpy as np
import pytest
from scipy.special import softmax

from tidemill_jobs.training.calibrate import fit_temperature


def test_recovers_the_temperature_that_made_the_labels() -> None:
    """Labels drawn from softmax(logits / 2) give a temperature near 2."""
    random = np.random.default_rng(0)
    logits = random.normal(scale=4.0, size=(5000, 5)).astype(np.float32)
    chances = softmax(logits / 2.0, axis=1)
    targets = (random.random((5000, 1)) > chances.cumsum(axis=1)).sum(axis=1).clip(max=4)
    assert fit_temperature(logits, targets) == pytest.approx(2.0, rel=0.05)


def test_a_few_rows_that_are_all_right_do_not_make_it_certain() -> None:
    """Thirty perfect rows of one class do not give an extreme temperature."""
    logits = np.tile(np.array([[3.0, 0.0, 0.0]], dtype=np.float32), (30, 1))
    assert 0.2 < fit_temperature(logits, np.zeros(30, dtype=np.int64)) < 1.0


def test_without_rows_nothing_is_scaled() -> None:
    """Without rows the temperature is 1."""
    assert fit_temperature(np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.int64)) == 1.0
