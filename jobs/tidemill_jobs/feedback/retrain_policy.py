"""The retrain policy: the reasons to retrain, from settings and from what is known.

The settings are `feedback.retrain_*`; docs/training.md explains them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from tidemill_core.counted import counted
from tidemill_core.domain.alert import Alert
from tidemill_core.domain.job import JobRun
from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.settings import FeedbackSettings


@dataclass(frozen=True)
class RetrainEvidence:
    """What is known about a task.

    Attributes:
        new_examples: new trusted examples since the last successful retraining began.
        last: the newest retraining that started, whatever came of it; None if there is none.
        last_success: the newest that succeeded; None if there is none.
        alert: the unresolved alert about accuracy, if there is one.
        drift: the newest report about drift, if there is one.
    """

    new_examples: int
    last: JobRun | None
    last_success: JobRun | None
    alert: Alert | None
    drift: Report | None


def retrain_reason(evidence: RetrainEvidence, policy: FeedbackSettings, now: datetime) -> str:
    """Return the first reason to retrain, in a sentence; empty if there is none.

    An alert or a report from before the last retraining began says nothing about what came of it,
    so it is no reason. Only new examples start a retraining within the cool-down.
    """
    if evidence.new_examples >= policy.retrain_after:
        return (
            f"{counted(evidence.new_examples, 'new trusted example')} "
            f"(feedback.retrain_after is {policy.retrain_after:,})"
        )
    began = None if evidence.last is None else evidence.last.start_time
    if began is None or now - began < timedelta(hours=policy.retrain_cool_down_hours):
        return ""
    return (
        _because_of_alert(evidence.alert, policy, began)
        or _because_of_drift(evidence.drift, policy, began)
        or _because_of_age(evidence.last_success, policy, now)
    )


def _because_of_alert(alert: Alert | None, policy: FeedbackSettings, began: datetime) -> str:
    if alert is None or not policy.retrain_on_accuracy_alert:
        return ""
    if (alert.update_time or alert.create_time) <= began:
        return ""
    return f"accuracy alert: {alert.message}"


def _because_of_drift(drift: Report | None, policy: FeedbackSettings, began: datetime) -> str:
    if drift is None or drift.verdict is not ReportVerdict.ALERT or drift.create_time <= began:
        return ""
    cost = drift.details.get("accuracy_cost")
    low = drift.details.get("accuracy_cost_low")
    is_chance = low is not None and low <= 0
    if not isinstance(cost, int | float) or cost < policy.retrain_on_accuracy_cost or is_chance:
        return ""
    return (
        f"drift costs {cost:.3f} of the accuracy "
        f"(feedback.retrain_on_accuracy_cost is {policy.retrain_on_accuracy_cost:g})"
    )


def _because_of_age(success: JobRun | None, policy: FeedbackSettings, now: datetime) -> str:
    limit = policy.retrain_max_age_days
    if limit is None or success is None or success.start_time is None:
        return ""
    age = now - success.start_time
    if age < timedelta(days=limit):
        return ""
    days = counted(round(age / timedelta(days=1)), "day")
    return f"the last retraining is {days} old (feedback.retrain_max_age_days is {limit:g})"
