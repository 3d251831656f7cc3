"""The measures of predictions."""

import numpy as np
import pytest

from tidemill_jobs.training.evaluate import CALIBRATION_BINS, Measures, evaluate, reliability


def test_accuracy_and_macro_f1() -> None:
    """Macro F1 is the mean over the labels that occur or are predicted, not over all labels."""
    probabilities = np.eye(5, dtype=np.float32)[[0, 0, 1, 2]]
    measures = evaluate(probabilities, np.array([0, 1, 1, 3]))
    assert measures.n == 4
    assert measures.accuracy == 0.5
    assert measures.macro_f1 == pytest.approx((2 / 3 + 2 / 3 + 0 + 0) / 4)


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    """Rows with a confidence of 0.8 of which half are right have an error of 0.3."""
    probabilities = np.tile(np.array([[0.8, 0.2]], dtype=np.float32), (10, 1))
    measures = evaluate(probabilities, np.array([0, 1] * 5))
    assert measures.expected_calibration_error == pytest.approx(0.3)


def test_the_reliability_bins_say_where_confidence_is_wrong() -> None:
    """Each bin has its rows, their mean confidence, and the share that is right."""
    sure, unsure = [0.95, 0.05], [0.45, 0.55]
    bins = reliability(np.array([sure, sure, unsure], dtype=np.float32), np.array([0, 1, 1]))
    assert len(bins) == CALIBRATION_BINS
    filled = [each for each in bins if each.n]
    assert filled == [bins[8], bins[14]]
    assert (bins[8].n, bins[8].accuracy) == (1, 1.0)
    assert bins[8].confidence == pytest.approx(0.55)
    assert (bins[14].n, bins[14].accuracy) == (2, 0.5)
    assert bins[14].confidence == pytest.approx(0.95)


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


def test_without_rows_no_score_is_known() -> None:
    """A version without hold-out rows has no accuracy, instead of one of 0."""
    nothing = evaluate(np.zeros((0, 2), dtype=np.float32), np.zeros(0, dtype=np.int64))
    assert nothing.known == {"n": 0}
    one = evaluate(np.array([[1, 0]], dtype=np.float32), np.zeros(1, dtype=np.int64))
    assert one.known["accuracy"] == 1
