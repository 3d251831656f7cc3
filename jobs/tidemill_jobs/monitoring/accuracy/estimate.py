"""An estimate of accuracy with its interval."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """The accuracy of some predictions, as one source of evidence shows it.

    Attributes:
        source: `combined`, `audits`, `feedback` or `confidence`.
        accuracy: in [0, 1].
        low: the lower end of the 95 % interval; None if the source has none.
        high: the upper end.
        row_count: the labels or verdicts behind it; for `confidence`, the predictions.
        biased: whether the source may be wrong by more than its interval shows.
        note: what a reader must know about it; empty for nothing.
    """

    source: str
    accuracy: float
    low: float | None
    high: float | None
    row_count: int
    biased: bool = False
    note: str = ""
