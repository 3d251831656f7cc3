"""Two versions on the same rows."""

from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest, norm

CONFIDENCE = 0.95
_SIGNIFICANT = 1 - CONFIDENCE

Right = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class PairedComparison:
    """How a version compares with another one.

    Attributes:
        only_first: rows that only the first version gets right.
        only_second: rows that only the second version gets right.
        difference: the first accuracy minus the second.
        difference_low: lower end of its 95 % interval.
        difference_high: upper end.
        p_value: the probability of at least such a difference if both are equally good.
        verdict: `better`, `worse`, or `no difference is proven`; about the first version.
    """

    only_first: int
    only_second: int
    difference: float
    difference_low: float
    difference_high: float
    p_value: float
    verdict: str


def compare(first: Right, second: Right) -> PairedComparison:
    """Compare the right answers of two versions to the same rows: [n], at least one.

    The test is McNemar's, exact and two-sided (McNemar 1947, https://doi.org/10.1007/BF02295996).
    The interval is that of Bonett and Price 2012, https://doi.org/10.3102/1076998611411915.
    """
    n = len(first)
    won, lost = int((first & ~second).sum()), int((second & ~first).sum())
    p_value = float(binomtest(won, won + lost).pvalue) if won + lost else 1.0
    ours, theirs = (won + 1) / (n + 2), (lost + 1) / (n + 2)
    spread = sqrt((ours + theirs - (ours - theirs) ** 2) / (n + 2))
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * spread
    verdict = "no difference is proven"
    if p_value < _SIGNIFICANT:
        verdict = "better" if won > lost else "worse"
    low, high = ours - theirs - half, ours - theirs + half
    return PairedComparison(
        won, lost, (won - lost) / n, max(-1.0, low), min(1.0, high), p_value, verdict
    )
