"""Measures of each class, from how often each label was answered with each label."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

_Z_95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Confusion:
    """How many rows of a label got an answer."""

    label: str
    answer: str
    rows: int


@dataclass(frozen=True)
class ClassMeasures:
    """The measures of one label.

    Attributes:
        label: the label.
        row_count: rows that have it.
        answer_count: rows that were answered with it.
        precision: share of right rows among those; None without any.
        recall: share of right rows among those that have it; None without any.
        recall_low: lower end of the 95 % interval of the recall; None without rows.
        recall_high: upper end.
        f1: harmonic mean of precision and recall; 0 if no row is right.
    """

    label: str
    row_count: int
    answer_count: int
    precision: float | None
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    f1: float


def measures_of_classes(pairs: Iterable[Confusion]) -> list[ClassMeasures]:
    """Return the measures of each label that occurs or is answered, by name."""
    rows, answers, right = Counter[str](), Counter[str](), Counter[str]()
    for pair in pairs:
        rows[pair.label] += pair.rows
        answers[pair.answer] += pair.rows
        if pair.label == pair.answer:
            right[pair.label] += pair.rows
    return [
        _measures(label, rows[label], answers[label], right[label])
        for label in sorted(rows.keys() | answers.keys())
    ]


def wilson(right: int, rows: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson 1927, https://doi.org/10.2307/2276774).

    Args:
        right: rows that count.
        rows: all rows, at least 1.
    """
    share, square = right / rows, _Z_95**2
    center = (share + square / (2 * rows)) / (1 + square / rows)
    half = _Z_95 * sqrt(share * (1 - share) / rows + square / (4 * rows**2)) / (1 + square / rows)
    # The share is within it; rounding may leave 1 above it, and 0 below.
    return max(0.0, min(share, center - half)), min(1.0, max(share, center + half))


def _measures(label: str, rows: int, answers: int, right: int) -> ClassMeasures:
    low, high = wilson(right, rows) if rows else (None, None)
    return ClassMeasures(
        label=label,
        row_count=rows,
        answer_count=answers,
        precision=right / answers if answers else None,
        recall=right / rows if rows else None,
        recall_low=low,
        recall_high=high,
        f1=2 * right / (rows + answers),
    )
