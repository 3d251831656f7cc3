"""Measures of each class, from how often each label was answered with each label."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from tidemill_core.domain.interval import wilson


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


def _measures(label: str, rows: int, answers: int, right: int) -> ClassMeasures:
    low, high = wilson(right / rows, rows) if rows else (None, None)
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
