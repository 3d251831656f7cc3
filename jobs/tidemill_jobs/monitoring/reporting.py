"""The version that the checks look at, and their reports."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.model_repository import ModelManifest, ModelRepository
from tidemill_core.settings import AlertSettings
from tidemill_core.storage.models import ModelStore
from tidemill_core.storage.storage import Storage
from tidemill_jobs.context import Result
from tidemill_jobs.monitoring.alerts.raising import raise_alert, resolve_alert


@dataclass(frozen=True)
class CheckFinding:
    """The finding of a check; `details` are JSON values with their units in their names."""

    verdict: ReportVerdict
    summary: str
    details: Mapping[str, Any]


@dataclass(frozen=True)
class ReportSubject:
    """The subject of a report: a champion, the kind of the check, and its run."""

    task: str
    kind: str
    model_version: int
    run_id: str
    time: datetime


NO_CHAMPION: Result = {
    "verdict": str(ReportVerdict.INSUFFICIENT),
    "summary": "the task has no champion yet, so there is no version to report on",
}
"""The result of a check without a champion; it writes no report."""


def champion_manifest(
    models: ModelStore, repository: ModelRepository, task: str
) -> ModelManifest | None:
    """Return the manifest of a task's champion; None if it has none.

    Raises:
        DataError: the champion's manifest is missing or damaged.
    """
    deployment = models.deployment(task)
    if deployment is None:
        return None
    version = models.get(task, deployment.champion)
    return repository.manifest(task, version.model_format, version.version)


def report(
    storage: Storage, alerts: AlertSettings, subject: ReportSubject, finding: CheckFinding
) -> Result:
    """Store a finding as a report, raise or resolve the alert of its kind, and return its figures.

    The verdict ALERT raises an alert and OK resolves it; INSUFFICIENT leaves it as it is.
    """
    written = Report(
        report_id=uuid.uuid4().hex,
        task=subject.task,
        kind=subject.kind,
        model_version=subject.model_version,
        verdict=finding.verdict,
        summary=finding.summary,
        details=finding.details,
        run_id=subject.run_id,
        create_time=subject.time,
    )
    if finding.verdict is ReportVerdict.ALERT:
        raise_alert(storage.alerts, alerts, written)
    elif finding.verdict is ReportVerdict.OK:
        resolve_alert(storage.alerts, written)
    else:
        storage.reports.add(written)
    return {
        "report_id": written.report_id,
        "model_version": subject.model_version,
        "verdict": str(finding.verdict),
        "summary": finding.summary,
        **finding.details,
    }
