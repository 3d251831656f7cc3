"""The counts of a version's answers on its hold-out."""

import pytest

from tidemill_core.domain.signals import BIN_STARTS, Signal, bin_bounds, bin_names
from tidemill_core.errors import DataError
from tidemill_jobs.monitoring.drift.reference import count_reference


def test_labels_are_counted_in_the_models_order() -> None:
    """Each label has its count, 0 if it was never predicted."""
    assert count_reference(["b", "a", "c"], ["a", "b", "a"], [0.5] * 3).label_counts == (1, 2, 0)


def test_values_are_counted_in_the_bins_of_their_signal() -> None:
    """Each value has one bin; rounding above 1 has the last one, and lengths have no end."""
    confidences, lengths, unknown = [0.0, 0.05, 1.0, 1.0000001], [0, 1, 2, 10**6], [0.0, 0.5, 1.0]
    found = count_reference(["a"], ["a"] * 4, confidences, lengths, unknown)
    assert found.confidence_counts == (1, 1, *[0] * 17, 2)
    assert (found.text_length_counts[:2], found.text_length_counts[-1]) == ((2, 1), 1)
    assert found.unknown_piece_counts == (1, *[0] * 5, 2)


def test_what_was_not_measured_has_no_counts() -> None:
    """A reference without text lengths is one of an earlier release."""
    found = count_reference(["a"], ["a"], [0.5])
    assert (found.text_length_counts, found.unknown_piece_counts) == ((), ())


@pytest.mark.parametrize("signal", list(BIN_STARTS))
def test_bins_have_names_and_bounds(signal: Signal) -> None:
    """The bounds of a bin are where it and the next one start, and each bin has its own name."""
    bounds = [bin_bounds(signal, number) for number in range(len(BIN_STARTS[signal]))]
    assert [low for low, _ in bounds] == list(BIN_STARTS[signal])
    assert [high for _, high in bounds] == [*BIN_STARTS[signal][1:], float("inf")]
    assert len(set(bin_names(signal))) == len(bounds)


def test_an_unknown_label_is_refused() -> None:
    """Predictions of a label that the model does not have are refused."""
    with pytest.raises(DataError, match="'z'"):
        count_reference(["a"], ["z"], [0.5])
