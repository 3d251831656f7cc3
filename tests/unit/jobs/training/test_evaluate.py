"""Measures."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tidemill_jobs.training.evaluate import Measures, evaluate


def test_agrees_with_a_known_implementation() -> None:
    """Accuracy and macro F1 are what scikit-learn computes."""
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(4), size=200).astype(np.float32)
    targets = random.integers(0, 4, size=200)
    predicted = probabilities.argmax(axis=1)
    measures = evaluate(probabilities, targets)
    assert measures.n == 200
    assert measures.accuracy == pytest.approx((predicted == targets).mean())
    assert measures.macro_f1 == pytest.approx(f1_score(targets, predicted, average="macro"))


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    """Rows at confidence 0.8 that are right half of the time are 0.3 off."""
    probabilities = np.tile(np.array([[0.8, 0.2]], dtype=np.float32), (10, 1))
    measures = evaluate(probabilities, np.array([0, 1] * 5))
    assert measures.expected_calibration_error == pytest.approx(0.3)


def test_an_unknown_label_is_an_error() -> None:
    """A row whose label the model does not know counts as wrong."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1]], dtype=np.float32)
    measures = evaluate(probabilities, np.array([0, -1]))
    assert measures.accuracy == 0.5
    assert measures.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_no_rows_measure_nothing() -> None:
    """An empty split scores zero on zero rows."""
    empty = evaluate(np.zeros((0, 2), dtype=np.float32), np.zeros(0, dtype=np.int64))
    assert empty == Measures(0.0, 0.0, 0.0, 0)
