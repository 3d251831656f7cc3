"""The job `check_drift`: compares the champion's predictions with those on its hold-out.

The measure is the Jensen-Shannon distance to base 2, in [0, 1], between the predictions of the
window and those on the hold-out, by label and by confidence. It needs a limit that depends on the
numbers of rows: two samples of one distribution are far apart if they are small. 77 classes without
drift have a distance of 0.29 at 200 predictions and of 0.08 at 2,000. The limit is the 99.9th
percentile of the distances that chance makes for these numbers.

Without drift, the m rows of the hold-out and the n predictions of the window are one sample, split
at random. So the null distribution comes from splitting the pooled rows at random, without
replacement, into m and n (a permutation test; Good, "Permutation, Parametric and Bootstrap Tests of
Hypotheses", 2005). It estimates nothing, so its rate of false alarms is exact: 0.1 % for each of
the two measures. Resampling only the window from the shares of the hold-out would ignore the chance
in the hold-out, and raise more alarms.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import jensenshannon

from tidemill_core.domain.report import ReportVerdict
from tidemill_core.model_repository import ModelManifest
from tidemill_core.storage.predictions import PredictionWindow
from tidemill_jobs.context import JobContext, Result
from tidemill_jobs.monitoring.reference import align_labels, confidence_edges
from tidemill_jobs.monitoring.reporting import (
    NO_CHAMPION,
    Finding,
    Subject,
    champion_manifest,
    report,
)

KIND = "drift"
REPLICATES = 4000
PERCENTILE = 99.9
LABELS_NAMED = 5
"""The number of labels in a report: those whose share moved most."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shift:
    """The distance of two samples, and its limit.

    Attributes:
        distance: Jensen-Shannon distance to base 2, in [0, 1].
        limit: the 99.9th percentile of the distances that chance makes.
    """

    distance: float
    limit: float

    @property
    def alerts(self) -> bool:
        """Whether the distance is above the limit."""
        return self.distance > self.limit


def run(context: JobContext) -> Result:
    """Compare the window's predictions with the champion's reference, and write a report.

    Shadow predictions do not count. The same predictions always get the same verdict.

    Raises:
        DataError: the champion's manifest is missing or damaged, or does not fit its predictions.
        StorageUnavailable: the database does not answer.
    """
    storage, monitoring, now = context.storage, context.settings.monitoring, context.clock()
    manifest = champion_manifest(storage.models, context.repository, context.task)
    if manifest is None:
        return NO_CHAMPION
    start = now - timedelta(hours=monitoring.window_hours)
    window = PredictionWindow(context.task, manifest.version, start)
    edges = confidence_edges(len(manifest.reference.confidence_counts))
    store = storage.predictions
    labels, confidences = store.label_counts(window), store.confidence_counts(window, edges)
    context.progress(0.5, f"comparing {sum(labels.values())} predictions with the reference")
    finding = _find(manifest, labels, confidences, monitoring.min_predictions)
    subject = Subject(context.task, KIND, manifest.version, context.run_id, now)
    return report(storage, context.settings.alerts, subject, finding)


def measure_shift(reference: Counts, window: Counts, random: np.random.Generator) -> Shift:
    """Return the distance of two samples, both as counts [categories], and its limit."""
    null = null_distances(reference + window, int(window.sum()), random)
    # The replicate above, so the rate of false alarms is at most what it should be.
    limit = np.percentile(null, PERCENTILE, method="higher")
    return Shift(float(_distance(reference, window)), float(limit))


def null_distances(pooled: Counts, size: int, random: np.random.Generator) -> npt.NDArray[Any]:
    """Return the distances of the two parts of a sample that is split at random: [REPLICATES].

    `pooled` has the sample's counts [categories], and `size` is the size of one part.
    """
    present = pooled[pooled > 0]
    parts = random.multivariate_hypergeometric(present, size, REPLICATES, method="marginals")
    return _distance(present - parts, parts)


def _distance(one: Counts, other: Counts) -> npt.NDArray[Any]:
    """Return the distances of samples along the last axis."""
    # For equal samples, rounding may leave a square below 0, whose root is NaN.
    distances: npt.NDArray[Any] = jensenshannon(one, other, base=2, axis=-1)
    return np.nan_to_num(distances, nan=0.0)


def _find(
    manifest: ModelManifest,
    label_counts: Mapping[str, int],
    confidence_counts: Sequence[int],
    minimum: int,
) -> Finding:
    count, reference = sum(label_counts.values()), manifest.reference
    expected = np.array(reference.label_counts, dtype=np.int64)
    details: dict[str, Any] = {
        "prediction_count": count,
        "min_prediction_count": minimum,
        "reference_count": int(expected.sum()),
    }
    if count < minimum or not expected.any():
        few = f"{count} predictions and a hold-out of {expected.sum()} rows are too few"
        summary = f"{few}; {minimum} predictions are needed"
        return Finding(ReportVerdict.INSUFFICIENT, summary, details)
    labels = align_labels(manifest.labels, label_counts)
    sides = (reference.confidence_counts, confidence_counts)
    before, now = (np.array(side, dtype=np.int64) for side in sides)
    random = np.random.default_rng(_seed(manifest, count))
    shifts = {
        "label": measure_shift(expected, labels, random),
        "confidence": measure_shift(before, now, random),
    }
    for name, shift in shifts.items():
        details[f"{name}_distance"] = shift.distance
        details[f"{name}_distance_limit"] = shift.limit
    details["most_moved_labels"] = _most_moved(manifest.labels, expected, labels)
    verdict = ReportVerdict.ALERT if any(s.alerts for s in shifts.values()) else ReportVerdict.OK
    return Finding(verdict, _summary(shifts), details)


def _seed(manifest: ModelManifest, predictions: int) -> int:
    """Return a seed that is the same for the same predictions."""
    name = f"{manifest.task}\0{manifest.version}\0{predictions}"
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def _summary(shifts: dict[str, Shift]) -> str:
    return "; ".join(
        f"{name}s {'drifted' if shift.alerts else 'did not drift'}: "
        f"distance {shift.distance:.3f}, limit {shift.limit:.3f}"
        for name, shift in shifts.items()
    )


def _most_moved(labels: Sequence[str], reference: Counts, window: Counts) -> list[dict[str, Any]]:
    before, now = reference / reference.sum(), window / window.sum()
    largest = np.argsort(-np.abs(now - before), kind="stable")[:LABELS_NAMED]
    return [
        {
            "label": labels[index],
            "reference_share": float(before[index]),
            "window_share": float(now[index]),
        }
        for index in largest
    ]
