"""The job `check_drift`: does the champion answer as it did on its hold-out?

The measure is the Jensen-Shannon distance to base 2, in [0, 1], between the predictions of
the window and those on the hold-out: by label, and by confidence. No fixed limit fits it. The
distance between two samples of one distribution is far from 0 and falls as they grow: 77
classes without drift show 0.29 at 200 predictions and 0.08 at 2,000. So the limit is the
99.9th percentile of the distances that chance alone makes for these very numbers.

Both sides are samples: m rows of the hold-out, n predictions of the window. If nothing
drifted, they are one sample of m + n cut in two at random. That is the null: the pooled rows
are cut anew, without replacement, into m and n (a permutation test; Good, "Permutation,
Parametric and Bootstrap Tests of Hypotheses", 2005). It holds both samplings and estimates
nothing, so its rate of false alarms is exact: 0.1 % for each of the two measures, whatever the
classes' sizes. Resampling the window alone from the hold-out's shares would take those for the
truth, and alert on the hold-out's own chance.
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
"""Labels that a report names: those whose share moved most."""

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Shift:
    """How far two samples lie apart, and how far chance alone takes them.

    Attributes:
        distance: Jensen-Shannon distance to base 2, in [0, 1].
        limit: the 99.9th percentile of its null.
    """

    distance: float
    limit: float

    @property
    def alerts(self) -> bool:
        """Whether chance does not explain the distance."""
        return self.distance > self.limit


@dataclass(frozen=True)
class Answered:
    """The window's predictions, counted.

    Attributes:
        labels: by label.
        confidences: by confidence, in the reference's bins.
    """

    labels: Mapping[str, int]
    confidences: Sequence[int]

    @property
    def count(self) -> int:
        """Predictions in all."""
        return sum(self.labels.values())


def run(context: JobContext) -> Result:
    """Compare the window's predictions with the champion's reference, and report.

    Shadows' copies are left out. The same predictions always get the same verdict.

    Raises:
        DataError: the champion's manifest is missing or damaged, or does not fit its
            predictions.
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
    answered = Answered(store.label_counts(window), store.confidence_counts(window, edges))
    context.progress(0.5, f"compares {answered.count} predictions with the reference")
    subject = Subject(context.task, KIND, manifest.version, context.run_id, now)
    return report(storage.reports, subject, _find(manifest, answered, monitoring.min_predictions))


def measure_shift(reference: Counts, window: Counts, random: np.random.Generator) -> Shift:
    """The distance between two samples, and its limit at their sizes.

    Args:
        reference: rows by category: [categories].
        window: predictions by category: [categories].
        random: where the null's chance comes from.
    """
    null = null_distances(reference + window, int(window.sum()), random)
    # The next replicate above, so that the rate of false alarms is not exceeded.
    limit = np.percentile(null, PERCENTILE, method="higher")
    return Shift(float(_distance(reference, window)), float(limit))


def null_distances(pooled: Counts, size: int, random: np.random.Generator) -> npt.NDArray[Any]:
    """Distances between the two parts of a sample that is cut at random: [REPLICATES].

    Args:
        pooled: the sample's rows by category: [categories].
        size: rows of one of the parts.
        random: where the chance comes from.
    """
    present = pooled[pooled > 0]
    parts = random.multivariate_hypergeometric(present, size, REPLICATES, method="marginals")
    return _distance(present - parts, parts)


def _distance(one: Counts, other: Counts) -> npt.NDArray[Any]:
    """Between samples by category, along the last axis."""
    # Two equal samples can lie a rounding error under 0 apart, whose root is NaN.
    distances: npt.NDArray[Any] = jensenshannon(one, other, base=2, axis=-1)
    return np.nan_to_num(distances, nan=0.0)


def _find(manifest: ModelManifest, answered: Answered, minimum: int) -> Finding:
    reference_labels = np.array(manifest.reference.label_counts, dtype=np.int64)
    reference_confidences = np.array(manifest.reference.confidence_counts, dtype=np.int64)
    details: dict[str, Any] = {
        "prediction_count": answered.count,
        "min_prediction_count": minimum,
        "reference_count": int(reference_labels.sum()),
    }
    if answered.count < minimum or not reference_labels.any():
        summary = (
            f"{answered.count} predictions and a hold-out of {reference_labels.sum()} rows are too "
            f"few to tell; {minimum} predictions are needed"
        )
        return Finding(ReportVerdict.INSUFFICIENT, summary, details)
    labels = align_labels(manifest.labels, answered.labels)
    confidences = np.array(answered.confidences, dtype=np.int64)
    random = np.random.default_rng(_seed(manifest, answered.count))
    shifts = {
        "label": measure_shift(reference_labels, labels, random),
        "confidence": measure_shift(reference_confidences, confidences, random),
    }
    for name, shift in shifts.items():
        details[f"{name}_distance"] = shift.distance
        details[f"{name}_distance_limit"] = shift.limit
    details["most_moved_labels"] = _most_moved(manifest.labels, reference_labels, labels)
    verdict = ReportVerdict.ALERT if any(s.alerts for s in shifts.values()) else ReportVerdict.OK
    return Finding(verdict, _summary(shifts), details)


def _seed(manifest: ModelManifest, predictions: int) -> int:
    """A seed from what is checked, so that a repeat gives the same verdict."""
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
