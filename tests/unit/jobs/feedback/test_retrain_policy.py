"""When to retrain."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidemill_core.domain.alert import Alert
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.settings import FeedbackSettings
from tidemill_jobs.feedback.retrain_policy import RetrainEvidence, retrain_reason

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
POLICY = FeedbackSettings(retrain_after=10, retrain_max_age_days=30)


def _ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def _run(start: datetime) -> JobRun:
    return JobRun(
        run_id="r",
        job="retrain",
        task="support",
        state=JobRunState.SUCCEEDED,
        trigger="rpc",
        fire_time=None,
        progress=1.0,
        message="",
        result={},
        error="",
        cancel_requested=False,
        create_time=start,
        start_time=start,
        end_time=start,
    )


TWO_DAYS_AGO = _run(_ago(days=2))
QUIET = RetrainEvidence(9, TWO_DAYS_AGO, TWO_DAYS_AGO, None, None)
ALERT = Alert("a", "r", "support", "accuracy", "accuracy 0.70, limit 0.87", _ago(hours=3))


def _drift(cost: object, time: datetime = NOW) -> Report:
    details = {} if cost is None else {"accuracy_cost": cost}
    return Report("r", "support", "drift", 1, ReportVerdict.ALERT, "moved", details, "run", time)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"new_examples": 10}, "10 new trusted examples (feedback.retrain_after is 10)"),
        ({"alert": ALERT}, "accuracy alert: accuracy 0.70, limit 0.87"),
        (
            {"drift": _drift(0.02)},
            "drift costs 0.020 of the accuracy (feedback.retrain_on_accuracy_cost is 0.01)",
        ),
        (
            {"last_success": _run(_ago(days=31))},
            "the last retraining is 31 days old (feedback.retrain_max_age_days is 30)",
        ),
    ],
)
def test_each_reason_starts_a_retraining(changes: dict[str, object], reason: str) -> None:
    """New examples, an accuracy alert, drift that costs accuracy, and age are reasons."""
    assert retrain_reason(replace(QUIET, **changes), POLICY, NOW) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"drift": _drift(0.009)},
        {"drift": _drift(None)},
        {"drift": replace(_drift(0.1), details={"accuracy_cost": 0.1, "accuracy_cost_low": -0.1})},
        {"drift": replace(_drift(0.5), verdict=ReportVerdict.OK)},
        {"drift": _drift(0.5, _ago(days=3))},
        {"alert": replace(ALERT, create_time=_ago(days=3))},
        {"last_success": _run(_ago(days=29))},
        {"last_success": None, "last": None, "alert": ALERT},
    ],
)
def test_what_is_no_reason(changes: dict[str, object]) -> None:
    """Cheap drift, what was known before the last retraining, and a task that never trained."""
    assert retrain_reason(replace(QUIET, **changes), POLICY, NOW) == ""


def test_an_alert_that_was_found_again_is_a_reason() -> None:
    """An old alert that a newer report updated is about what answers now."""
    again = replace(ALERT, create_time=_ago(days=9), update_time=_ago(hours=1))
    assert retrain_reason(replace(QUIET, alert=again), POLICY, NOW)
    off = POLICY.model_copy(update={"retrain_on_accuracy_alert": False})
    assert not retrain_reason(replace(QUIET, alert=again), off, NOW)


def test_only_examples_start_a_retraining_within_the_cool_down() -> None:
    """A retraining that began an hour ago holds alerts back, but not a thousand new examples."""
    hour_ago = _run(_ago(hours=1))
    recent = replace(QUIET, last=hour_ago, alert=replace(ALERT, update_time=NOW))
    assert retrain_reason(recent, POLICY, NOW) == ""
    short = POLICY.model_copy(update={"retrain_cool_down_hours": 0.5})
    assert retrain_reason(recent, short, NOW).startswith("accuracy alert")
    assert retrain_reason(replace(recent, new_examples=10), POLICY, NOW)
