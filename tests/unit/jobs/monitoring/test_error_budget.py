"""Alerts on the error budget."""

from datetime import UTC, datetime, timedelta

import pytest

from tidemill_core.domain.outcomes import Outcomes
from tidemill_jobs.monitoring.error_budget import burns

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
BUDGET = 0.001


def alerting(rate: float, begin: timedelta, end: timedelta, a_minute: int = 1000) -> list[float]:
    """Return the long windows, in hours, that alert if a share fails from one time to another."""

    def sums(since: datetime, until: datetime) -> Outcomes:
        overlap = min(until, NOW - end) - max(since, NOW - begin)
        total = (until - since) // MINUTE * a_minute
        failed = round(rate * a_minute * max(overlap / MINUTE, 0.0))
        return Outcomes(total - failed, failed)

    return [burn.long_hours for burn in burns(sums, BUDGET, NOW) if burn.alerts]


@pytest.mark.parametrize(
    ("rate", "begin", "end", "found"),
    [
        (0.0, 72 * HOUR, 0 * HOUR, []),
        (0.0009, 72 * HOUR, 0 * HOUR, []),
        (0.002, 72 * HOUR, 0 * HOUR, [72.0]),
        (0.007, 6 * HOUR, 0 * HOUR, [6.0]),
        (0.02, HOUR, 0 * HOUR, [1.0]),
        (1.0, HOUR, 0 * HOUR, [1.0, 6.0, 72.0]),
        (1.0, HOUR, 6 * MINUTE, [6.0, 72.0]),
        (1.0, 3 * MINUTE, 2 * MINUTE, [1.0]),
        (0.5, MINUTE, 0 * HOUR, []),
    ],
)
def test_a_pair_of_windows_alerts_at_its_burn_rate(
    rate: float, begin: timedelta, end: timedelta, found: list[float]
) -> None:
    """Both windows must reach the rate, so a short spike, and one that is over, raise no alert."""
    assert alerting(rate, begin, end) == found


def test_one_failure_in_little_traffic_is_no_alert() -> None:
    """One of sixty texts is a burn rate of 17 by chance; an outage of all texts is none."""
    assert alerting(1.0, MINUTE, 0 * HOUR, a_minute=1) == []
    assert alerting(1.0, 10 * MINUTE, 0 * HOUR, a_minute=1) == [1.0, 6.0]


def test_no_texts_are_no_alert() -> None:
    """Without texts all rates are 0."""
    found = burns(lambda *_: Outcomes(0, 0), BUDGET, NOW)
    assert {(burn.long_burn_rate, burn.alerts) for burn in found} == {(0.0, False)}
