"""The confidence from which a model's predictions are precise enough."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import structlog
from scipy.stats import beta

from tidemill_jobs.training.class_shares import as_in_traffic

NEVER = 2.0
"""A threshold that no confidence reaches."""
_RISK = 0.05

log = structlog.get_logger()


def abstain_below(
    probabilities: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    precision: float | None,
    odds: Iterable[float] = (),
) -> float:
    """Return the confidence below which a model abstains; 0 without a wanted precision.

    Args:
        probabilities: of held-out rows, before the adaptation to the class shares of the traffic.
        targets: as in `find_threshold`.
        precision: the wanted share of right labels.
        odds: the factors of the adaptation, one for each label; none for no adaptation.
    """
    if precision is None:
        return 0.0
    factors = np.array(list(odds), np.float32)
    if not len(factors):
        return find_threshold(probabilities, targets, precision)
    adapted, weights = as_in_traffic(probabilities, targets, factors)
    return find_threshold(adapted, targets, precision, weights)


def find_threshold(
    probabilities: npt.NDArray[np.float32],
    targets: npt.NDArray[np.int64],
    precision: float,
    weights: npt.NDArray[np.float32] | None = None,
) -> float:
    """Return the lowest confidence from which a model is precise enough.

    A share of right labels on few rows may be luck. So not the share counts, but its lower
    confidence bound at 95 % (Clopper & Pearson 1934, "The Use of Confidence or Fiducial Limits
    Illustrated in the Case of the Binomial", one-sided). Even if all are right, this needs 59 rows
    for a precision of 0.95, and 299 for 0.99.

    Args:
        probabilities: of held-out rows, shape [n, labels].
        targets: label indices, shape [n]; -1 is a label that the model does not know.
        precision: the wanted share of right labels, in (0, 1).
        weights: how many texts of the traffic each row stands for, shape [n]; None if all stand
            for as many. Unequal weights count as fewer rows: Kish's effective number.

    Returns:
        The threshold: predictions with a lower confidence should be marked as abstained. `NEVER`
        if the rows show no threshold that is high enough.
    """
    confidence = probabilities.max(axis=1, initial=0.0)
    order = np.argsort(-confidence, kind="stable")
    counts = np.ones(len(order)) if weights is None else weights[order].astype(np.float64)
    is_right = probabilities.argmax(axis=1)[order] == targets[order]
    rows = np.cumsum(counts) ** 2 / np.cumsum(counts**2)
    right = rows * np.cumsum(counts * is_right) / np.cumsum(counts)
    bound = beta.ppf(_RISK, right, rows - right + 1)  # NaN where none is right
    # Rows of equal confidence are answered together, so only the last of them counts.
    last = np.append(np.diff(confidence[order]) != 0, True)[: len(order)]
    enough = np.flatnonzero((bound >= precision) & last)
    if not len(enough):
        log.warning("precision_not_shown", precision=precision, rows=len(order))
        return NEVER
    return float(confidence[order][enough[-1]])
