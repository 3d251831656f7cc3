"""The signals that drift is measured on, and the bins that predictions are counted in.

The bins do not depend on a model, so a prediction is counted without its version's manifest. Counts
in the same bins can be added: those of hours, of workers, of databases.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import partial
from itertools import pairwise


class Signal(StrEnum):
    """A property of predictions whose distribution may drift."""

    LABEL = "label"
    CONFIDENCE = "confidence"
    TEXT_LENGTH = "text_length"
    """In pieces, as the model reads a text: repaired, and cut at the model's longest input."""
    UNKNOWN_PIECES = "unknown_pieces"
    """The share of a text's pieces that the tokenizer does not know."""
    REPRESENTATION = "representation"
    """What the model makes of a text; a check computes it from stored texts."""


BIN_STARTS: Mapping[Signal, tuple[float, ...]] = {
    Signal.CONFIDENCE: tuple(place / 20 for place in range(20)),
    # Two bins each time the length doubles.
    Signal.TEXT_LENGTH: (0, *(round(2 ** (half / 2)) for half in range(2, 24))),
    # The first bin has the texts without unknown pieces.
    Signal.UNKNOWN_PIECES: (0.0, 1e-9, 0.02, 0.05, 0.1, 0.2, 0.5),
}
"""The smallest value of each bin, ascending, for the signals that are numbers."""


def count_bins(signal: Signal, values: Iterable[float]) -> Counter[int]:
    """Return the number of values by the number of their bin; no value is below the first bin."""
    # In C, because the front counts every prediction. The numbers begin with 1 here.
    places = Counter(map(partial(bisect_right, BIN_STARTS[signal]), values))
    return Counter({place - 1: count for place, count in places.items()})


def bin_bounds(signal: Signal, number: int) -> tuple[float, float]:
    """Return the smallest value of a bin and that of the next one, infinity if it is the last."""
    starts = (*BIN_STARTS[signal], float("inf"))
    return starts[number], starts[number + 1]


def bin_names(signal: Signal) -> tuple[str, ...]:
    """Return the names of the bins of a signal that is a number."""
    starts = BIN_STARTS[signal]
    if signal is Signal.TEXT_LENGTH:
        names = (f"{low} to {int(high) - 1}" for low, high in pairwise(starts))
        return (*names, f"{starts[-1]} or more")
    names = (f"{low:.0%} to {high:.0%}" for low, high in pairwise(starts))
    named = (*names, f"{starts[-1]:.0%} or more")
    return ("none", "up to 2%", *named[2:]) if signal is Signal.UNKNOWN_PIECES else named
