"""Alerts on the error budget: multiwindow, multi-burn-rate alerts.

The burn rate is the error rate over the budget: at 1, a month's budget lasts a month. An alert
needs the rate in a long window, so that a short spike raises no alert, and in a short one, so that
it ends soon after the problem. The windows and rates are those of "Alerting on SLOs", chapter 5 of
Google's Site Reliability Workbook (2018), table 5-8: 2 % of a 30-day budget in one hour, 5 % in six
hours, or 10 % in three days. With little traffic one failure is a high rate, so the long window's
failures must also be more than chance would make at the limit (a one-sided binomial test).
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from scipy.stats import binomtest

from tidemill_core.domain.outcomes import Outcomes

MAX_P_VALUE = 0.01
KEPT = timedelta(days=7)
"""How long the counts are kept: longer than the longest window."""


@dataclass(frozen=True)
class BurnWindow:
    """A pair of windows and the burn rate at which both together alert."""

    long: timedelta
    short: timedelta
    max_burn_rate: float


WINDOWS = (
    BurnWindow(timedelta(hours=1), timedelta(minutes=5), 14.4),
    BurnWindow(timedelta(hours=6), timedelta(minutes=30), 6.0),
    BurnWindow(timedelta(days=3), timedelta(hours=6), 1.0),
)


@dataclass(frozen=True)
class Burn:
    """How fast a pair of windows uses the budget up.

    Attributes:
        long_hours: length of the long window.
        short_hours: length of the short window.
        max_burn_rate: the limit of both.
        long_burn_rate: error rate over budget in the long window.
        short_burn_rate: the same in the short window.
        failed_count: failures in the long window.
        total_count: texts in the long window.
        alerts: whether both are at the limit, and not by chance.
    """

    long_hours: float
    short_hours: float
    max_burn_rate: float
    long_burn_rate: float
    short_burn_rate: float
    failed_count: int
    total_count: int
    alerts: bool

    def details(self) -> Mapping[str, Any]:
        """Return it as JSON values."""
        return asdict(self)


def burns(
    sums: Callable[[datetime, datetime], Outcomes], budget: float, now: datetime
) -> list[Burn]:
    """Return how fast each pair of windows uses the budget up.

    Args:
        sums: returns the outcomes after a time and up to another.
        budget: the share of texts that may fail, in (0, 1).
        now: the end of the windows.
    """
    return [_burn(window, sums, budget, now) for window in WINDOWS]


def _burn(
    window: BurnWindow, sums: Callable[[datetime, datetime], Outcomes], budget: float, now: datetime
) -> Burn:
    long, short = (sums(now - length, now) for length in (window.long, window.short))
    long_rate, short_rate = (each.error_rate / budget for each in (long, short))
    above = min(long_rate, short_rate) >= window.max_burn_rate
    return Burn(
        window.long / timedelta(hours=1),
        window.short / timedelta(hours=1),
        window.max_burn_rate,
        long_rate,
        short_rate,
        long.failed,
        long.total,
        above and _is_no_chance(long, min(window.max_burn_rate * budget, 1.0)),
    )


def _is_no_chance(outcomes: Outcomes, limit: float) -> bool:
    test = binomtest(outcomes.failed, outcomes.total, limit, alternative="greater")
    return bool(test.pvalue < MAX_P_VALUE)
