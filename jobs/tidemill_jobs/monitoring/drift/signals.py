"""The samples of each signal, and what a report says about them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tidemill_core.domain.signals import Signal, bin_names
from tidemill_core.model_repository import ModelManifest
from tidemill_jobs.monitoring.drift.reference import align_labels
from tidemill_jobs.monitoring.drift.shift import Counts, Shift

EXAMPLES = 5
"""The number of predictions that a report names for each signal that drifted."""
_EXAMPLE_BINS = 2

FindExamples = Callable[[Signal, str, int], list[str]]
"""From a signal, the stored name of a bin and a limit to the ids of predictions in the bin."""


@dataclass(frozen=True)
class Samples:
    """A signal's counts of the reference and of the window.

    Attributes:
        signal: the signal.
        bins: the names of the bins.
        reference: rows of the hold-out by bin.
        window: predictions by bin.
        examples: from the number of a bin and a limit to the ids of predictions in the bin.
        note: why the signal cannot be measured; empty if it can.
    """

    signal: Signal
    bins: Sequence[str]
    reference: Counts
    window: Counts
    examples: Callable[[int, int], list[str]]
    note: str = ""


def unmeasured(signal: Signal, note: str) -> Samples:
    """Return empty samples of a signal that cannot be measured, and why."""
    empty = np.zeros(0, dtype=np.int64)
    return Samples(signal, (), empty, empty, lambda *_: [], note)


def counted_signals(
    manifest: ModelManifest,
    counts: Mapping[Signal, Mapping[str, int]],
    minimum: int,
    find: FindExamples,
) -> list[Samples]:
    """Return the samples of the signals that are counted as predictions are written.

    Args:
        manifest: the version's.
        counts: the predictions of the window by signal and bin.
        minimum: the fewest predictions for a conclusion.
        find: finds predictions in a bin.

    Raises:
        DataError: UNKNOWN_LABEL, a prediction has a label that the version does not have.
    """
    reference, labels = manifest.reference, manifest.labels
    by_label = align_labels(labels, counts.get(Signal.LABEL, {}))
    numbers = {
        Signal.CONFIDENCE: reference.confidence_counts,
        Signal.TEXT_LENGTH: reference.text_length_counts,
        Signal.UNKNOWN_PIECES: reference.unknown_piece_counts,
    }
    return [
        Samples(
            Signal.LABEL,
            labels,
            np.array(reference.label_counts, dtype=np.int64),
            by_label,
            lambda place, limit: find(Signal.LABEL, labels[place], limit),
            _why_not(reference.label_counts, len(labels), by_label, minimum),
        ),
        *(_numbered(each, numbers[each], counts.get(each, {}), minimum, find) for each in numbers),
    ]


def _numbered(
    signal: Signal,
    reference: Sequence[int],
    counts: Mapping[str, int],
    minimum: int,
    find: FindExamples,
) -> Samples:
    names = bin_names(signal)
    window = np.array([counts.get(str(number), 0) for number in range(len(names))], dtype=np.int64)
    return Samples(
        signal,
        names,
        np.array(reference, dtype=np.int64),
        window,
        lambda place, limit: find(signal, str(place), limit),
        _why_not(reference, len(names), window, minimum),
    )


def _why_not(reference: Sequence[int], bins: int, window: Counts, minimum: int) -> str:
    """Return why samples cannot be compared; empty if they can."""
    if len(reference) != bins or not any(reference):
        return "the version has no reference for it; train or import a new version"
    if window.sum() < minimum:
        return f"too few predictions: {window.sum()} of at least {minimum}"
    return ""


def described(samples: Samples, shift: Shift | None, has_drifted: bool) -> dict[str, Any]:
    """Return what a report says about a signal: JSON values, named as in docs/drift.md.

    Args:
        samples: the samples.
        shift: their shift; None if they cannot be compared.
        has_drifted: whether it is significant.
    """
    details: dict[str, Any] = {
        "signal": str(samples.signal),
        "distance": shift and shift.distance,
        "p_value": shift and shift.p_value,
        "drifted": has_drifted,
        "row_count": int(samples.window.sum()),
        "note": samples.note,
    }
    if shift is None:
        names = ("bins", "reference_shares", "window_shares", "example_prediction_ids")
        return details | {name: [] for name in names}
    before = samples.reference / samples.reference.sum()
    now = samples.window / samples.window.sum()
    return details | {
        "bins": list(samples.bins),
        "reference_shares": before.tolist(),
        "window_shares": now.tolist(),
        "example_prediction_ids": _examples(samples, now - before) if has_drifted else [],
    }


def _examples(samples: Samples, moved: Any) -> list[str]:
    """Return predictions of the bins whose share grew most."""
    grown = [int(place) for place in np.argsort(-moved, kind="stable") if moved[place] > 0]
    found: list[str] = []
    for rank, place in enumerate(grown[:_EXAMPLE_BINS], 1):
        found += samples.examples(place, EXAMPLES * rank // _EXAMPLE_BINS - len(found))
    return found
