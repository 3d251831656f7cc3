"""The interval of a share."""

from math import sqrt
from statistics import NormalDist

CONFIDENCE_LEVEL = 0.95
Z = NormalDist().inv_cdf(0.5 + CONFIDENCE_LEVEL / 2)
"""The quantile of the normal distribution that belongs to CONFIDENCE_LEVEL."""


def wilson(share: float, rows: float, quantile: float = Z) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927, https://doi.org/10.2307/2276774).

    Without rows it is all of [0, 1].

    Args:
        share: in [0, 1], of independent rows.
        rows: how many rows, or how many would be as informative (Korn & Graubard 1998).
        quantile: the standard errors on either side.
    """
    if rows <= 0:
        return 0.0, 1.0
    square = quantile * quantile / rows
    center = (share + square / 2) / (1 + square)
    half = sqrt(square * (share * (1 - share) + square / 4)) / (1 + square)
    # The share is within it; rounding may leave 1 above it, and 0 below.
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))
