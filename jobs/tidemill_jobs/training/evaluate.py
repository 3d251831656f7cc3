"""Measures of predicted probabilities."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score

from tidemill_core.model_repository import ReliabilityBin

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

    @property
    def known(self) -> dict[str, float]:
        """The scores by name; without rows, there is only `n`."""
        return asdict(self) if self.n else {"n": 0}


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
        expected_calibration_error=calibration_error(reliability(probabilities, targets)),
        n=len(targets),
    )


def reliability(
    probabilities: npt.NDArray[np.float32], targets: npt.NDArray[np.int64]
) -> tuple[ReliabilityBin, ...]:
    """Return the bins of a reliability diagram (Guo et al. 2017, equations 1 and 2).

    Bin i has the confidences in (i / 15, (i + 1) / 15]: https://arxiv.org/abs/1706.04599.

    Args:
        probabilities: shape [n, labels].
        targets: as in `evaluate`.
    """
    confidence = probabilities.max(axis=1, initial=0.0).astype(np.float64)
    right = probabilities.argmax(axis=1) == targets
    edges = np.linspace(0.0, 1.0, CALIBRATION_BINS + 1)[1:-1]
    bins = np.digitize(confidence, edges, right=True)
    counts = np.bincount(bins, minlength=CALIBRATION_BINS)
    means = [
        np.bincount(bins, weights=values, minlength=CALIBRATION_BINS) / np.maximum(counts, 1)
        for values in (confidence, right)
    ]
    rows = zip(counts.tolist(), *(mean.tolist() for mean in means), strict=True)
    return tuple(ReliabilityBin(*row) for row in rows)


def calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the sum over bins of |accuracy - confidence|, weighted by their shares of the rows.

    Guo et al. 2017, equation 3.
    """
    gap = sum(each.n * abs(each.accuracy - each.confidence) for each in bins)
    return gap / sum(each.n for each in bins)
