"""The job `check_accuracy`: is the champion right as often as when it was new?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scipy.stats import binomtest

from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.report import ReportVerdict
from tidemill_core.settings import MonitoringSettings
from tidemill_core.storage.storage import Storage
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.reporting import (
    NO_CHAMPION,
    Finding,
    champion_manifest,
    report,
    window_start,
)

KIND = "accuracy"
CONFIDENCE_LEVEL = 0.95
BIAS = (
    "Users choose what they judge, and judge wrong answers more often than right ones; the "
    "accuracy over all predictions may well be another."
)


@dataclass(frozen=True)
class Tally:
    """Verdicts counted.

    Attributes:
        right: verdicts that the prediction is right.
        judged: verdicts in all.
        without_prediction: labels given to predictions that are not stored, or not yet, so
            that they cannot be compared; not in `judged`.
    """

    right: int
    judged: int
    without_prediction: int


def run(context: JobContext) -> Result:
    """Estimate the champion's accuracy from the window's feedback, and report.

    Each source's latest verdict on each prediction counts once.

    Raises:
        DataError: the champion's manifest is missing or damaged.
        StorageUnavailable: the database does not answer.
    """
    manifest = champion_manifest(context)
    if manifest is None:
        return NO_CHAMPION
    verdicts = context.storage.feedback.latest_verdicts(context.task, window_start(context))
    own = [verdict for verdict in verdicts if verdict.model_version == manifest.version]
    context.progress(0.5, f"counts {len(own)} verdicts")
    tally = count_verdicts(own, context.storage)
    finding = _find(tally, manifest.measures["accuracy"], context.settings.monitoring)
    return report(context, KIND, manifest.version, finding)


def count_verdicts(verdicts: Iterable[Feedback], storage: Storage) -> Tally:
    """Count verdicts: right are a yes and a label equal to the predicted one.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    verdicts = list(verdicts)
    labelled = [verdict.prediction_id for verdict in verdicts if verdict.label is not None]
    predictions = storage.predictions.texts_and_labels(labelled)
    right = judged = 0
    for verdict in verdicts:
        if verdict.label is None:
            right += verdict.correct is True
            judged += 1
        elif verdict.prediction_id in predictions:
            right += verdict.label == predictions[verdict.prediction_id][1]
            judged += 1
    return Tally(right, judged, len(verdicts) - judged)


def _find(tally: Tally, baseline: float, settings: MonitoringSettings) -> Finding:
    counted: dict[str, Any] = {
        "verdict_count": tally.judged,
        "right_count": tally.right,
        "verdict_count_without_prediction": tally.without_prediction,
        "min_verdict_count": settings.min_verdicts,
        "biased": True,
        "bias": BIAS,
    }
    if tally.judged < settings.min_verdicts:
        summary = f"{tally.judged} verdicts are too few to tell; {settings.min_verdicts} are needed"
        return Finding(ReportVerdict.INSUFFICIENT, summary, counted)
    return _judge(tally, counted, baseline, settings.max_accuracy_drop)


def _judge(tally: Tally, counted: Mapping[str, Any], baseline: float, max_drop: float) -> Finding:
    """Judge by the Wilson interval (Wilson 1927) of the share of right predictions."""
    test = binomtest(tally.right, tally.judged)
    interval = test.proportion_ci(CONFIDENCE_LEVEL, method="wilson")
    low, high = float(interval.low), float(interval.high)
    limit = baseline - max_drop
    figures = {
        "accuracy": float(test.statistic),
        "accuracy_low": low,
        "accuracy_high": high,
        "interval_confidence": CONFIDENCE_LEVEL,
        "baseline_accuracy": baseline,
        "max_accuracy_drop": max_drop,
    }
    summary = (
        f"accuracy {test.statistic:.3f} by {tally.judged} verdicts ({low:.3f} to {high:.3f}); "
        f"baseline {baseline:.3f}, limit {limit:.3f}"
    )
    verdict = ReportVerdict.ALERT if high < limit else ReportVerdict.OK
    return Finding(verdict, summary, {**counted, **figures})
