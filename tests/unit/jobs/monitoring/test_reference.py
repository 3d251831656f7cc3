"""The counts of a version's answers on its hold-out."""

import pytest

from tidemill_core.errors import DataError
from tidemill_jobs.monitoring.reference import (
    CONFIDENCE_BINS,
    confidence_edges,
    count_confidences,
    count_reference,
)


def test_labels_are_counted_in_the_models_order() -> None:
    """Each label has its count, 0 if it was never predicted."""
    assert count_reference(["b", "a", "c"], ["a", "b", "a"], [0.5] * 3).label_counts == (1, 2, 0)


def test_confidences_are_counted_in_equal_bins() -> None:
    """Both ends of [0, 1] belong to a bin, as do values that rounding put outside."""
    counts = count_reference(["a"], ["a"] * 4, [0.0, 0.05, 1.0, 1.0000001]).confidence_counts
    assert len(counts) == CONFIDENCE_BINS
    assert (counts[0], counts[1], counts[-1]) == (1, 1, 2)


def test_no_confidence_is_lost() -> None:
    """The counts add up to the number of predictions, for any number of bins."""
    assert count_confidences([number / 999 for number in range(1000)], 7).sum() == 1000


def test_the_edges_are_those_that_a_reference_was_counted_by() -> None:
    """A confidence on an edge counts in the bin above it, however the edge is rounded."""
    for place, edge in enumerate(confidence_edges(CONFIDENCE_BINS)[:-1]):
        assert count_confidences([edge], CONFIDENCE_BINS)[place] == 1


def test_an_unknown_label_is_refused() -> None:
    """Predictions of a label that the model does not have are refused."""
    with pytest.raises(DataError, match="'z'"):
        count_reference(["a"], ["z"], [0.5])
