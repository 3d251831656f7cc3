"""The job `check_accuracy`: compares the champion's accuracy with that on its hold-out."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from scipy.stats import binomtest

from tidemill_core.domain.report import ReportVerdict
from tidemill_core.settings import MonitoringSettings
from tidemill_core.storage.feedback import VerdictCounts
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.reporting import (
    NO_CHAMPION,
    Finding,
    Subject,
    champion_manifest,
    report,
)

KIND = "accuracy"
CONFIDENCE_LEVEL = 0.95
BIAS = (
    "Users choose what they judge, and judge wrong answers more often than right ones, so the "
    "accuracy over all predictions may be different."
)


def run(context: JobContext) -> Result:
    """Estimate the champion's accuracy from the window's feedback, and write a report.

    The latest verdict of each source on each stored prediction counts; labels are compared by their
    current names. Verdicts on other predictions do not count: a correction cannot be compared with
    the predicted label, and if only confirmations counted, the accuracy would be too high.

    Raises:
        DataError: the champion's manifest is missing or damaged.
        StorageUnavailable: the database does not answer.
    """
    storage, now = context.storage, context.clock()
    manifest = champion_manifest(storage.models, context.repository, context.task)
    if manifest is None:
        return NO_CHAMPION
    monitoring = context.settings.monitoring
    start = now - timedelta(hours=monitoring.window_hours)
    renames = context.task_settings.labels.rename
    counts = storage.feedback.count_verdicts(context.task, manifest.version, start, renames)
    context.progress(0.5, f"counting {counts.judged} verdicts")
    log_sample = context.task_settings.log_sample
    finding = _find(counts, manifest.measures["accuracy"], monitoring, log_sample)
    subject = Subject(context.task, KIND, manifest.version, context.run_id, now)
    return report(storage, context.settings.alerts, subject, finding)


def _find(
    counts: VerdictCounts, baseline: float, settings: MonitoringSettings, log_sample: float
) -> Finding:
    left_out = _left_out(counts.without_prediction, log_sample)
    counted: dict[str, Any] = {
        "verdict_count": counts.judged,
        "right_count": counts.right,
        "verdict_count_without_prediction": counts.without_prediction,
        "left_out": left_out,
        "min_verdict_count": settings.min_verdicts,
        "biased": True,
        "bias": BIAS,
    }
    if counts.judged < settings.min_verdicts:
        verdict = ReportVerdict.INSUFFICIENT
        summary = f"{counts.judged} verdicts are too few; {settings.min_verdicts} are needed"
    else:
        judged = _judge(counts, baseline, settings.max_accuracy_drop)
        verdict, summary = judged.verdict, judged.summary
        counted |= judged.details
    return Finding(verdict, f"{summary}; {left_out}" if left_out else summary, counted)


def _left_out(count: int, log_sample: float) -> str:
    """Return how many verdicts do not count, and why; empty if all count."""
    if not count:
        return ""
    reason = f" (log_sample is {log_sample:g})" if log_sample < 1 else ""
    return f"{count} verdicts do not count because their predictions are not stored{reason}"


def _judge(counts: VerdictCounts, baseline: float, max_drop: float) -> Finding:
    """Judge by the Wilson interval (Wilson 1927) of the share of right predictions."""
    test = binomtest(counts.right, counts.judged)
    interval = test.proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    low, high = float(interval.low), float(interval.high)
    limit = baseline - max_drop
    figures: Mapping[str, Any] = {
        "accuracy": float(test.statistic),
        "accuracy_low": low,
        "accuracy_high": high,
        "interval_confidence": CONFIDENCE_LEVEL,
        "baseline_accuracy": baseline,
        "max_accuracy_drop": max_drop,
    }
    summary = (
        f"accuracy {test.statistic:.3f} by {counts.judged} verdicts ({low:.3f} to {high:.3f}); "
        f"baseline {baseline:.3f}, limit {limit:.3f}"
    )
    verdict = ReportVerdict.ALERT if high < limit else ReportVerdict.OK
    return Finding(verdict, summary, figures)
