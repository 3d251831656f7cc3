"""Measures of predicted probabilities."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Measures:
    """The scores of a model on some rows; all are 0 without rows.

    Attributes:
        accuracy: the share of rows whose likeliest label is right, in [0, 1].
        macro_f1: the mean F1 over the labels that occur or are predicted, in [0, 1] (Opitz & Burst
            2019, "Macro F1 and Macro F1", equation 2, https://arxiv.org/abs/1911.03347).
        expected_calibration_error: in [0, 1], 0 is best.
        n: the number of rows.
    """

    accuracy: float
    macro_f1: float
    expected_calibration_error: float
    n: int


def evaluate(probabilities: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]) -> Measures:
    """Return the measures of predictions.

    Args:
        probabilities: shape [n, labels].
        targets: label indices, shape [n]; -1 is a label that the model does not know. It
            counts as an error, and as a label with an F1 of 0.
    """
    if len(targets) == 0:
        return Measures(accuracy=0.0, macro_f1=0.0, expected_calibration_error=0.0, n=0)
    predicted = probabilities.argmax(axis=1)
    right = predicted == targets
    return Measures(
        accuracy=float(right.mean()),
        macro_f1=float(f1_score(targets, predicted, average="macro")),
        expected_calibration_error=_calibration_error(probabilities.max(axis=1), right),
        n=len(targets),
    )


def _calibration_error(confidence: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> float:
    """Return the sum over bins of |accuracy - confidence|, weighted by their shares of the rows.

    Guo et al. 2017, equation 3, https://arxiv.org/abs/1706.04599, with equal-width bins
    (i / 15, (i + 1) / 15].
    """
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1]
    bins = np.digitize(confidence, edges, right=True)
    gaps = right.astype(np.float64) - confidence
    per_bin = np.bincount(bins, weights=gaps, minlength=CALIBRATION_BINS)
    return float(np.abs(per_bin).sum() / len(right))
