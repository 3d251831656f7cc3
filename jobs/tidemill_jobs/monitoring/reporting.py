"""What the checks have in common: whom they check, since when, and how they report."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog

from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.model_repository import Manifest
from tidemill_jobs.context import JobContext, Result

_log = structlog.get_logger()


@dataclass(frozen=True)
class Finding:
    """What a check found.

    Attributes:
        verdict: what was concluded.
        summary: the finding in a sentence.
        details: the figures behind it; JSON values, each with its unit in its name.
    """

    verdict: ReportVerdict
    summary: str
    details: Mapping[str, Any]


NO_CHAMPION: Result = {
    "verdict": str(ReportVerdict.INSUFFICIENT),
    "summary": "the task has no champion yet, so there is no version to report on",
}
"""The result of a check before the first champion; no report is written."""


def champion_manifest(context: JobContext) -> Manifest | None:
    """The manifest of the task's champion; None before the first.

    Raises:
        DataError: the champion's manifest is missing or damaged.
    """
    deployment = context.storage.models.deployment(context.task)
    if deployment is None:
        return None
    version = context.storage.models.get(context.task, deployment.champion)
    return context.repository.manifest(context.task, version.model_format, version.version)


def window_start(context: JobContext) -> datetime:
    """The moment from which on a check looks."""
    return context.clock() - timedelta(hours=context.settings.monitoring.window_hours)


def report(context: JobContext, kind: str, model_version: int, finding: Finding) -> Result:
    """Write a finding down, raise and log its alert if it is one, and return its figures."""
    written = Report(
        report_id=uuid.uuid4().hex,
        task=context.task,
        kind=kind,
        model_version=model_version,
        verdict=finding.verdict,
        summary=finding.summary,
        details=finding.details,
        run_id=context.run_id,
        create_time=context.clock(),
    )
    alert = context.storage.reports.add(written)
    if alert is not None:
        _log.warning(
            "alert",
            task=context.task,
            kind=kind,
            model_version=model_version,
            alert_id=alert.alert_id,
            summary=finding.summary,
        )
    return {
        "report_id": written.report_id,
        "model_version": model_version,
        "verdict": str(finding.verdict),
        "summary": finding.summary,
        **finding.details,
    }
