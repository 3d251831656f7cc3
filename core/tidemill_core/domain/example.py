"""Examples, from which models learn, and rows that are not fit to be examples."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_VALUE_LENGTH = 200
"""Longest value of a quarantined row, in characters."""


class LabelSource(StrEnum):
    """Where a label came from, the most trusted first."""

    HUMAN = "human"
    """A person labeled the text."""
    FEEDBACK = "feedback"
    """A user confirmed or corrected a prediction."""
    SOURCE = "source"
    """A declared source gave it with the text."""
    WEAK = "weak"
    """Labeling functions produced it."""
    MODEL = "model"
    """A model answered it with confidence, and no person has judged the answer."""


@dataclass(frozen=True)
class Example:
    """One labeled text.

    Attributes:
        text: the text.
        label: its class.
        label_source: where the label came from.
        origin: its place: `train.csv:17`, or a feedback id.
        key: a later row with the same key replaces this one; empty if no row can.
        weight: its weight in training, in (0, 1].
        annotator: who gave the label; empty if unknown.
        time: when the label was given; None if unknown.
        judges: whether its label may judge a model, on a held-out text.
    """

    text: str
    label: str
    label_source: LabelSource
    origin: str
    key: str = ""
    weight: float = 1.0
    annotator: str = ""
    time: datetime | None = None
    judges: bool = False


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that is not fit to be an example.

    Attributes:
        origin: its place: `train.csv:17`.
        rule: the rule it broke, in UPPER_SNAKE.
        value: the offending value, shortened by `printable`.
        key: as in `Example`.
    """

    origin: str
    rule: str
    value: str
    key: str = ""


def printable(value: str) -> str:
    """Return a value cut to MAX_VALUE_LENGTH characters and escaped for UTF-8."""
    encoded = value[:MAX_VALUE_LENGTH].encode(errors="backslashreplace")
    return encoded.decode()[:MAX_VALUE_LENGTH]
