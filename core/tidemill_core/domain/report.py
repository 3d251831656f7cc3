"""Reports of checks, and the alerts that they raise."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any


class ReportVerdict(StrEnum):
    """The conclusion of a check."""

    OK = "OK"
    ALERT = "ALERT"
    INSUFFICIENT = "INSUFFICIENT"
    """Too little data for a conclusion."""


@dataclass(frozen=True)
class Report:
    """The result of one check of one model version.

    Attributes:
        report_id: its id.
        task: the task that was checked.
        kind: `drift`, `accuracy` or `latency`.
        model_version: the champion that was checked.
        verdict: the conclusion.
        summary: the finding in a sentence.
        details: the figures behind it; each name includes the unit.
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
    """A report that someone should look at.

    Attributes:
        alert_id: its id.
        report_id: the report behind it.
        task: the task.
        kind: the report's kind.
        message: the report's summary.
        create_time: when it was raised.
        acknowledge_time: when someone acknowledged it; None until then.
        acknowledged_by: who acknowledged it; empty until then.
    """

    alert_id: str
    report_id: str
    task: str
    kind: str
    message: str
    create_time: datetime
    acknowledge_time: datetime | None
    acknowledged_by: str
