"""Reports of checks."""

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
        kind: `drift`, `accuracy`, `latency`, `feedback`, `rollout` or `retraining`.
        model_version: the version that was checked; 0 if the report is about none.
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
