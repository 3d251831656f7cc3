"""What the drift costs: how much lower the accuracy is than on the hold-out."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from tidemill_core.domain.report import Report, ReportVerdict
from tidemill_core.domain.signals import Signal, bin_bounds
from tidemill_core.model_repository import ModelManifest
from tidemill_core.rewards import REWARD_LABELS
from tidemill_jobs.monitoring.drift.shift import Counts
from tidemill_jobs.monitoring.drift.signals import Samples

_FIGURES = {"accuracy", "accuracy_low", "accuracy_high", "baseline_accuracy"}


def accuracy_cost(
    reports: Sequence[Report], manifest: ModelManifest, since: datetime, confidences: Samples
) -> dict[str, Any]:
    """Return the drop of a version's accuracy since its hold-out, and its source: JSON values.

    That of an accuracy report counts if it is of the version and the window. Otherwise the drop of
    the mean confidence estimates it: a calibrated confidence is the probability of a right answer,
    as long as the texts that are new are not also harder than they look (Guillory et al., 2021,
    https://arxiv.org/abs/2107.03315).

    Args:
        reports: the task's newest accuracy report, if it has one.
        manifest: the version's.
        since: the start of the window.
        confidences: the samples of the confidence.
    """
    for report in filter(lambda each: _is_of(each, manifest.version, since), reports):
        found = report.details
        baseline = float(found["baseline_accuracy"])
        return {
            "accuracy_cost": baseline - float(found["accuracy"]),
            "accuracy_cost_low": baseline - float(found["accuracy_high"]),
            "accuracy_cost_high": baseline - float(found["accuracy_low"]),
            "accuracy_cost_source": "accuracy report",
        }
    known = not confidences.note and manifest.labels != REWARD_LABELS
    drop = _mean(confidences.reference) - _mean(confidences.window) if known else None
    return {
        "accuracy_cost": drop,
        "accuracy_cost_low": None,
        "accuracy_cost_high": None,
        "accuracy_cost_source": "confidence" if known else "",
    }


def _is_of(report: Report, version: int, since: datetime) -> bool:
    return (
        report.model_version == version
        and report.create_time >= since
        and report.verdict is not ReportVerdict.INSUFFICIENT
        and report.details.keys() >= _FIGURES
    )


def _mean(counts: Counts) -> float:
    """Return the mean confidence of predictions that are counted by bin."""
    bounds = [bin_bounds(Signal.CONFIDENCE, number) for number in range(len(counts))]
    middles = [(low + min(high, 1.0)) / 2 for low, high in bounds]
    return float(np.average(middles, weights=counts))
