"""The confidence from which a model's predictions are precise enough."""

import numpy as np
import numpy.typing as npt
import structlog
from scipy.stats import beta

NEVER = 2.0
"""A threshold that no confidence reaches."""
_RISK = 0.05

log = structlog.get_logger()


def find_threshold(
    probabilities: npt.NDArray[np.float32], targets: npt.NDArray[np.int64], precision: float
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

    Returns:
        The threshold: predictions with a lower confidence should be marked as abstained. `NEVER`
        if the rows show no threshold that is high enough.
    """
    confidence = probabilities.max(axis=1, initial=0.0)
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(probabilities.argmax(axis=1)[order] == targets[order])
    rows = np.arange(1, len(order) + 1)
    bound = beta.ppf(_RISK, right, rows - right + 1)  # NaN where none is right
    # Rows of equal confidence are answered together, so only the last of them counts.
    last = np.append(np.diff(confidence[order]) != 0, True)[: len(order)]
    enough = np.flatnonzero((bound >= precision) & last)
    if not len(enough):
        log.warning("precision_not_shown", precision=precision, rows=len(order))
        return NEVER
    return float(confidence[order][enough[-1]])
