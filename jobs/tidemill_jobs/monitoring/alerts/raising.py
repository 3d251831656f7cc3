"""The severity of each kind of problem, what to do about it, and the alert that it raises."""

from collections.abc import Mapping
from dataclasses import dataclass

from tidemill_core.domain.alert import Alert, Severity
from tidemill_core.domain.report import Report
from tidemill_core.settings import AlertSettings
from tidemill_core.storage.alerts import AlertStore

RETRAINING = "retraining"


@dataclass(frozen=True)
class Problem:
    """A kind of problem: how soon someone should look at it, and what to do."""

    severity: Severity
    advice: str


PROBLEMS: Mapping[str, Problem] = {
    "accuracy": Problem(
        Severity.CRITICAL,
        "See in the report which classes and slices fell. Retrain with the new labels "
        "(`tidemill jobs run retrain --task {task}`), or roll the version back "
        "(`tidemill models rollback {task}`).",
    ),
    "drift": Problem(
        Severity.WARNING,
        "See what moved in the report, and label some of the new texts "
        "(`tidemill label --task {task}`). Retrain if the accuracy falls too.",
    ),
    "latency": Problem(
        Severity.CRITICAL,
        "See whether the machine is overloaded or the new version is slow (`tidemill status`). If "
        "the version is slow, roll it back (`tidemill models rollback {task}`).",
    ),
    "rollout": Problem(
        Severity.CRITICAL,
        "The champion answers all calls again. See why in the report, and what the version did "
        "(`tidemill models list --task {task}`), before you release another one.",
    ),
    "feedback": Problem(
        Severity.WARNING,
        "The held verdicts do not train and are not counted. See them "
        "(`tidemill feedback held --task {task}`), and release or drop them "
        "(`tidemill feedback release`, `tidemill feedback drop`).",
    ),
    RETRAINING: Problem(
        Severity.WARNING,
        "No new version answers. See what went wrong "
        "(`tidemill jobs runs --task {task}`, `tidemill models list --task {task}`), fix it, and "
        "retrain (`tidemill jobs run retrain --task {task}`).",
    ),
}
"""The problems by the kind of their reports."""


def raise_alert(store: AlertStore, settings: AlertSettings, report: Report) -> Alert:
    """Write a report of a problem, and raise or update its alert."""
    problem = PROBLEMS[report.kind]
    sinks = settings.sinks_for(report.task, report.kind, problem.severity)
    advice = problem.advice.format(task=report.task)
    return store.raise_alert(report, problem.severity, advice, sinks, settings.cool_down)


def resolve_alert(store: AlertStore, report: Report) -> None:
    """Write a report that there is no problem, and resolve the alert of its kind, if any."""
    store.resolve_alert(report)
