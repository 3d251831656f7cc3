"""The distributions of predictions that drift is measured between."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tidemill_core.errors import DataError
from tidemill_core.model_repository import Reference

CONFIDENCE_BINS = 20
"""Equal bins over [0, 1] that the confidence is counted in."""


def count_reference(
    labels: Sequence[str], predicted_labels: Iterable[str], confidences: Iterable[float]
) -> Reference:
    """Count what a version answered on its hold-out, for its manifest.

    Args:
        labels: in the order of the model's output.
        predicted_labels: the best label of each row.
        confidences: its calibrated probability, in [0, 1], of each row.

    Raises:
        DataError: UNKNOWN_LABEL, if a predicted label is none of `labels`.
    """
    label_counts = align_labels(labels, Counter(predicted_labels))
    confidence_counts = count_confidences(confidences, CONFIDENCE_BINS)
    return Reference(tuple(label_counts.tolist()), tuple(confidence_counts.tolist()))


def align_labels(labels: Sequence[str], counts: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Predictions by label, in the order of `labels`, 0 where there are none: [labels].

    Raises:
        DataError: UNKNOWN_LABEL, if a predicted label is none of `labels`.
    """
    if unknown := counts.keys() - set(labels):
        named = ", ".join(map(repr, sorted(unknown)))
        raise DataError("UNKNOWN_LABEL", f"predictions have labels that the model lacks: {named}")
    return np.array([counts.get(label, 0) for label in labels], dtype=np.int64)


def confidence_edges(bins: int) -> list[float]:
    """Edges of equal bins over [0, 1]: [bins + 1]. The last bin holds 1 too."""
    return [float(edge) for edge in np.linspace(0.0, 1.0, bins + 1)]


def count_confidences(confidences: Iterable[float], bins: int) -> npt.NDArray[np.int64]:
    """Predictions by confidence, in equal bins over [0, 1]: [bins].

    Rounding may leave a probability a little above 1; it counts as 1.
    """
    values = np.clip(np.fromiter(confidences, dtype=np.float64), 0.0, 1.0)
    return np.histogram(values, bins=confidence_edges(bins))[0].astype(np.int64)
