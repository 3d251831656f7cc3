"""The verdict on an estimate, and the audits that would settle it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from tidemill_core.domain.gate import GateResult, GateVerdict
from tidemill_core.domain.interval import wilson
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.storage.audited_predictions import AuditedPrediction
from tidemill_jobs.monitoring.accuracy.baselines import hold_out_accuracy, hold_out_classes
from tidemill_jobs.monitoring.accuracy.deciding_window import choose, windows_before
from tidemill_jobs.monitoring.accuracy.estimate import Estimate
from tidemill_jobs.monitoring.accuracy.judging import AccuracyLimits, more_audits_needed, verdict_on
from tidemill_jobs.monitoring.accuracy.prediction_powered import Audits, audit_estimate

LIMITS = AccuracyLimits(baseline=0.9, max_drop=0.03, fewest=30)
NOW = datetime(2026, 3, 29, 12, tzinfo=UTC)
PREDICTION = AuditedPrediction(1, "a", "a", 0.9, "Predict", False, {}, 0, NOW, 0.01, None)


def _estimate(right: int, count: int) -> Estimate:
    return Estimate("combined", right / count, *wilson(right / count, count), count)


@pytest.mark.parametrize(
    ("right", "count", "verdict"),
    [
        (0, 29, "INSUFFICIENT"),
        (0, 30, "ALERT"),
        (70, 100, "ALERT"),
        (85, 100, "INSUFFICIENT"),
        (87, 100, "OK"),
        (100, 100, "OK"),
    ],
)
def test_the_interval_decides(right: int, count: int, verdict: str) -> None:
    """Only an interval below the limit is an alert, and an estimate below it is not OK."""
    assert verdict_on(_estimate(right, count), LIMITS, part_fell=False) == verdict


def test_a_part_that_fell_is_an_alert() -> None:
    """A class that fell alerts if there are enough audits and a baseline."""
    good, few = _estimate(95, 100), _estimate(20, 20)
    assert verdict_on(good, LIMITS, part_fell=True) is ReportVerdict.ALERT
    assert verdict_on(few, LIMITS, part_fell=True) is ReportVerdict.INSUFFICIENT
    unknown = AccuracyLimits(None, 0.03, 30)
    assert verdict_on(good, unknown, part_fell=True) is ReportVerdict.INSUFFICIENT


def test_so_many_more_audits_settle_it() -> None:
    """With the audits that it asks for, the interval ends just below the limit."""
    first = _estimate(83, 100)
    needed = more_audits_needed(first, LIMITS)
    count = 100 + needed
    mean = first.accuracy
    audits = Audits(
        np.repeat([1.0, 0.0], [round(mean * count), count - round(mean * count)]),
        np.zeros(count),
        np.ones(count),
    )
    settled = audit_estimate(audits)
    assert settled.high == pytest.approx(LIMITS.lowest, abs=0.005)
    assert more_audits_needed(settled, LIMITS) == 0


def test_a_settled_estimate_needs_no_audits() -> None:
    """Beyond the limit on either side nothing is missing but the fewest audits."""
    assert more_audits_needed(_estimate(70, 100), LIMITS) == 0
    assert more_audits_needed(_estimate(1000, 1000), LIMITS) == 0
    assert more_audits_needed(_estimate(0, 20), LIMITS) == 10


def test_an_accuracy_at_the_limit_needs_a_finite_number() -> None:
    """An estimate on the limit is settled to within a third of the drop."""
    assert 4000 < more_audits_needed(_estimate(87, 100), LIMITS) < 5000


def _span(*rights: tuple[float, int, int]) -> list[int]:
    """Return the ages of the windows to judge: each item is an age in days, rights and wrongs."""
    windows = windows_before(NOW, 24)
    audited = [
        replace(PREDICTION, predict_time=NOW - timedelta(days=age), label=label)
        for age, right, wrong in rights
        for label in ["a"] * right + ["b"] * wrong
    ]
    return [windows.index(each) for each in choose(windows, audited, LIMITS)]


def test_the_newest_windows_with_enough_labels_are_judged() -> None:
    """Windows without labels are skipped, and older ones are added until it is enough."""
    assert _span() == [0]
    assert _span((9.5, 30, 0)) == [0]
    assert _span((0.5, 30, 0), (1.5, 30, 0)) == [0]
    assert _span((1.5, 29, 0), (2.5, 1, 0), (3.5, 30, 0)) == [1, 2]
    assert _span((2.5, 2, 0), (5.5, 1, 0)) == [2, 3, 4, 5]


def test_windows_have_full_hours() -> None:
    """The newest window ends with the current hour, in UTC, and a part of an hour is rounded up."""
    berlin = timezone(timedelta(hours=1, minutes=30))
    newest, *older = windows_before(datetime(2026, 3, 29, 13, 31, tzinfo=berlin), 0.5)
    assert newest.until == datetime(2026, 3, 29, 13, tzinfo=UTC)
    assert all(each.until - each.since == timedelta(hours=1) for each in (newest, *older))
    assert len(older) == 7


def test_a_lasting_fall_is_found_over_more_windows() -> None:
    """Where the newest audits leave it open, a longer span that shows a fall is judged."""
    fall = [(age + 0.5, 24, 6) for age in range(8)]
    assert _span(fall[0]) == [0]
    assert _span(*fall[:6]) == [0, 1, 2]
    assert _span(fall[0], (1.5, 29, 1)) == [0]
    assert _span((0.5, 27, 3), *fall[1:]) == [0]


def test_a_version_without_a_hold_out_has_no_baseline() -> None:
    """Its accuracy of 0 on no rows is not a baseline."""
    assert hold_out_accuracy({"accuracy": 0.0, "n": 0}) is None
    assert hold_out_accuracy({}) is None
    assert hold_out_accuracy({"accuracy": 0.9}) == 0.9


def test_baselines_of_merged_classes() -> None:
    """Classes that were merged have one baseline, weighted by their rows."""
    parts = [
        {"name": "old", "rows": 10, "accuracy": 0.5},
        {"name": "new", "rows": 30, "accuracy": 0.9},
        {"name": "empty", "rows": 0, "accuracy": 0.0},
    ]
    gates = [
        GateResult(gate, GateVerdict.PASSED, 0.0, 0.0, "", {"parts": parts})
        for gate in ("slices", "classes")
    ]
    [(label, baseline)] = hold_out_classes(gates, {"old": "new"}).items()
    assert (label, baseline.accuracy, baseline.rows) == ("new", pytest.approx(0.8), 40)
    assert hold_out_classes([GateResult("classes", GateVerdict.PASSED, 0, 0, "")], {}) == {}
