"""Counts of predictions by label and by confidence, which drift is measured on."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tidemill_core.errors import DataError, UnknownLabel
from tidemill_core.model_repository import Reference

CONFIDENCE_BINS = 20
"""The number of equal bins over [0, 1] for confidences."""


def count_reference(
    labels: Sequence[str], predicted_labels: Iterable[str], confidences: Iterable[float]
) -> Reference:
    """Count a version's answers on its hold-out, for its manifest.

    Args:
        labels: the labels, in the order of the model's output.
        predicted_labels: the best label of each row.
        confidences: the calibrated probability of that label, in [0, 1].

    Raises:
        DataError: UNKNOWN_LABEL, a predicted label is not in `labels`.
    """
    label_counts = align_labels(labels, Counter(predicted_labels))
    confidence_counts = count_confidences(confidences, CONFIDENCE_BINS)
    return Reference(tuple(label_counts.tolist()), tuple(confidence_counts.tolist()))


def align_labels(labels: Sequence[str], counts: Mapping[str, int]) -> npt.NDArray[np.int64]:
    """Return the counts in the order of `labels`, 0 for labels without a count: [labels].

    Raises:
        DataError: UNKNOWN_LABEL, a label with a count is not in `labels`.
    """
    if unknown := counts.keys() - set(labels):
        named = ", ".join(map(repr, sorted(unknown)))
        raise DataError(
            UnknownLabel.reason, f"predictions have labels that the model does not have: {named}"
        )
    return np.array([counts.get(label, 0) for label in labels], dtype=np.int64)


def confidence_edges(bins: int) -> list[float]:
    """Return the edges of equal bins over [0, 1]: [bins + 1]. The last bin includes 1."""
    return [float(edge) for edge in np.linspace(0.0, 1.0, bins + 1)]


def count_confidences(confidences: Iterable[float], bins: int) -> npt.NDArray[np.int64]:
    """Return the number of confidences in each of some equal bins over [0, 1]: [bins].

    A probability that rounding left above 1 counts as 1.
    """
    values = np.clip(np.fromiter(confidences, dtype=np.float64), 0.0, 1.0)
    return np.histogram(values, bins=confidence_edges(bins))[0].astype(np.int64)
