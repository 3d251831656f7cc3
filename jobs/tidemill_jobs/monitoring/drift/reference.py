"""Counts of a version's answers to its hold-out, against which drift is measured."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tidemill_core.domain.signals import BIN_STARTS, Signal, count_bins
from tidemill_core.errors import DataError
from tidemill_core.model_repository import Reference
from tidemill_core.text import TextEncoder
from tidemill_core.unknown_label import UnknownLabel

_ROWS_AT_ONCE = 10_000


def count_reference(
    labels: Sequence[str],
    predicted_labels: Iterable[str],
    confidences: Iterable[float],
    lengths: Iterable[int] = (),
    unknown: Iterable[float] = (),
) -> Reference:
    """Count a version's answers to its hold-out, for its manifest.

    Args:
        labels: the labels, in the order of the model's output.
        predicted_labels: the best label of each row.
        confidences: the calibrated probability of that label, in [0, 1].
        lengths: the pieces of each text; empty if they were not counted.
        unknown: the share of unknown pieces of each text; empty if they were not counted.

    Raises:
        DataError: UNKNOWN_LABEL, a predicted label is not in `labels`.
    """
    return Reference(
        tuple(align_labels(labels, Counter(predicted_labels)).tolist()),
        _numbered(Signal.CONFIDENCE, confidences),
        _numbered(Signal.TEXT_LENGTH, lengths),
        _numbered(Signal.UNKNOWN_PIECES, unknown),
    )


def count_pieces(texts: Sequence[str], encoder: TextEncoder) -> tuple[list[int], list[float]]:
    """Return each text's number of pieces, and the share of them that is unknown."""
    lengths: list[int] = []
    unknown: list[float] = []
    for start in range(0, len(texts), _ROWS_AT_ONCE):
        found = encoder.count_pieces(encoder.encode(texts[start : start + _ROWS_AT_ONCE]))
        lengths += found[0]
        unknown += found[1]
    return lengths, unknown


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


def _numbered(signal: Signal, values: Iterable[float]) -> tuple[int, ...]:
    """Return the number of values in each bin of a signal; empty without values."""
    counts = count_bins(signal, values)
    return tuple(counts[number] for number in range(len(BIN_STARTS[signal]))) if counts else ()
