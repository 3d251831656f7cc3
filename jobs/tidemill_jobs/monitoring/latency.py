"""The job `check_latency`: compares the champion's latency with its limit."""

from collections.abc import Sequence
from datetime import timedelta

from tidemill_core.domain.report import ReportVerdict
from tidemill_core.settings import MonitoringSettings
from tidemill_core.storage.predictions import PredictionWindow
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.reporting import (
    NO_CHAMPION,
    Finding,
    Subject,
    champion_manifest,
    report,
)

KIND = "latency"
METHODS = ("Predict", "StreamPredict")
"""The methods with a latency of their own per prediction; the rows of a batch share one."""
LOOK_BACK = timedelta(hours=1)
"""The time that the check covers: short, so a slow hour shows and soon passes."""


def run(context: JobContext) -> Result:
    """Compare the last hour's 99th percentile of the latency with its limit, and write a report.

    Raises:
        DataError: the champion's manifest is missing or damaged.
        StorageUnavailable: the database does not answer.
    """
    storage, now = context.storage, context.clock()
    manifest = champion_manifest(storage.models, context.repository, context.task)
    if manifest is None:
        return NO_CHAMPION
    window = PredictionWindow(context.task, manifest.version, now - LOOK_BACK)
    count, latencies_ms = storage.predictions.latency_percentiles(window, METHODS, (50, 99))
    finding = _find(count, latencies_ms, context.settings.monitoring)
    subject = Subject(context.task, KIND, manifest.version, context.run_id, now)
    return report(storage, context.settings.alerts, subject, finding)


def _find(count: int, latencies_ms: Sequence[float], settings: MonitoringSettings) -> Finding:
    limit = settings.max_p99_latency_ms
    counted = {"prediction_count": count, "min_prediction_count": settings.min_predictions}
    if count < settings.min_predictions:
        summary = f"{count} predictions are too few; {settings.min_predictions} are needed"
        return Finding(ReportVerdict.INSUFFICIENT, summary, counted)
    p50, p99 = latencies_ms
    figures = {"p50_latency_ms": p50, "p99_latency_ms": p99, "max_p99_latency_ms": limit}
    summary = f"p99 latency {p99:.1f} ms over {count} predictions; limit {limit:g} ms"
    verdict = ReportVerdict.ALERT if p99 > limit else ReportVerdict.OK
    return Finding(verdict, summary, {**counted, **figures})
