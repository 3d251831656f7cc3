"""Reports: what a check found. Alerts: what somebody should look at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class ReportVerdict(StrEnum):
    """What a check concluded."""

    OK = "OK"
    ALERT = "ALERT"
    INSUFFICIENT = "INSUFFICIENT"
    """Too little data to conclude anything."""


@dataclass(frozen=True)
class Report:
    """What one check found about one model version.

    Attributes:
        report_id: its id.
        task: the task checked.
        kind: `drift`, `accuracy` or `latency`.
        model_version: the champion that was checked.
        verdict: what was concluded.
        summary: the finding in a sentence.
        details: the figures behind it, each with its unit in its name.
        run_id: the job run that wrote it.
        create_time: when it was written.
    """

    report_id: str
    task: str
    kind: str
    model_version: int
    verdict: ReportVerdict
    summary: str
    details: Mapping[str, Any]
    run_id: str
    create_time: datetime


@dataclass(frozen=True)
class Alert:
    """A report that somebody should look at.

    Attributes:
        alert_id: its id.
        report_id: the report behind it.
        task: the task.
        kind: the report's kind.
        message: the report's summary.
        create_time: when it was raised.
        acknowledge_time: when somebody took it on.
        acknowledged_by: who did.
    """

    alert_id: str
    report_id: str
    task: str
    kind: str
    message: str
    create_time: datetime
    acknowledge_time: datetime | None
    acknowledged_by: str
