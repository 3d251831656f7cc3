"""An estimate of accuracy with its interval."""

import math
from dataclasses import dataclass

from scipy.special import ndtri

CONFIDENCE_LEVEL = 0.95
Z = float(ndtri(0.5 + CONFIDENCE_LEVEL / 2))
"""The quantile of the normal distribution that belongs to CONFIDENCE_LEVEL."""


@dataclass(frozen=True)
class Estimate:
    """The accuracy of some predictions, as one source of evidence shows it.

    Attributes:
        source: `combined`, `audits`, `feedback` or `confidence`.
        accuracy: in [0, 1].
        low: the lower end of the 95 % interval; None if the source has none.
        high: the upper end.
        row_count: the labels or verdicts behind it; for `confidence`, the predictions.
        biased: whether the source may be wrong by more than its interval shows.
        note: what a reader must know about it; empty for nothing.
    """

    source: str
    accuracy: float
    low: float | None
    high: float | None
    row_count: int
    biased: bool = False
    note: str = ""


def wilson(share: float, rows: float, quantile: float = Z) -> tuple[float, float]:
    """Return the interval of a share that was seen on independent rows (Wilson 1927).

    Args:
        share: in [0, 1].
        rows: how many rows, or how many would be as informative (Korn & Graubard 1998).
        quantile: the standard errors on either side.
    """
    if rows <= 0:
        return 0.0, 1.0
    square = quantile * quantile / rows
    center = (share + square / 2) / (1 + square)
    half = math.sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    # The share is within it; rounding may leave 1 above it, and 0 below.
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))
