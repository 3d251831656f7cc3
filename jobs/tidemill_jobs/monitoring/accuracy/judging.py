"""The verdict on an estimate: did accuracy fall, and how many more audits would settle it?"""

import math
from dataclasses import dataclass

from tidemill_core.domain.interval import Z
from tidemill_core.domain.report import ReportVerdict
from tidemill_jobs.monitoring.accuracy.estimate import Estimate

_NEAREST = 1 / 3
"""The least distance from the limit that audits are counted for, as a share of the allowed drop."""


@dataclass(frozen=True)
class AccuracyLimits:
    """What an estimate is compared with.

    Attributes:
        baseline: the version's accuracy on its hold-out; None if it is not known.
        max_drop: how much it may fall.
        fewest: the fewest audits for a conclusion.
    """

    baseline: float | None
    max_drop: float
    fewest: int

    @property
    def lowest(self) -> float:
        """The lowest accuracy that is no fall; 0 without a baseline."""
        return 0.0 if self.baseline is None else self.baseline - self.max_drop


def verdict_on(estimate: Estimate | None, limits: AccuracyLimits, part_fell: bool) -> ReportVerdict:
    """Return ALERT if the whole interval is below the limit, and OK if the accuracy is not.

    In between, with too few audits or without a baseline, the evidence is INSUFFICIENT.

    Args:
        estimate: the one that decides; None without audits.
        limits: what it is compared with.
        part_fell: whether the accuracy of a class or a slice fell, which is an ALERT too.
    """
    if estimate is None or estimate.row_count < limits.fewest or limits.baseline is None:
        return ReportVerdict.INSUFFICIENT
    if part_fell or (estimate.high is not None and estimate.high < limits.lowest):
        return ReportVerdict.ALERT
    return ReportVerdict.OK if estimate.accuracy >= limits.lowest else ReportVerdict.INSUFFICIENT


def more_audits_needed(estimate: Estimate | None, limits: AccuracyLimits) -> int:
    """Return about how many more audits would show on which side of the limit the accuracy is.

    It is 0 if the interval shows it already, or if there is no baseline. Without an estimate, it is
    the number of audits whose interval reaches `max_drop` to either side of the baseline.
    """
    if limits.baseline is None:
        return 0
    if estimate is None or estimate.low is None or estimate.high is None:
        spread = limits.baseline * (1 - limits.baseline)
        return max(limits.fewest, _rows(spread, limits.max_drop))
    given = estimate.row_count
    missing = max(0, limits.fewest - given)
    if estimate.high < limits.lowest or estimate.low > limits.lowest:
        return missing
    deviation = (estimate.high - estimate.low) / (2 * Z)
    distance = max(abs(estimate.accuracy - limits.lowest), _NEAREST * limits.max_drop)
    return max(missing, _rows(deviation**2 * given, distance) - given, 1)


def _rows(variance: float, distance: float) -> int:
    """Return how many audits, each with a variance, give an interval that reaches a distance."""
    return math.ceil(Z**2 * variance / distance**2)
