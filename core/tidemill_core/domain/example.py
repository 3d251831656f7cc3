"""Examples: what a model learns from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_VALUE_LENGTH = 200
"""Characters of a quarantined row's value."""


class LabelSource(StrEnum):
    """Where a label came from; the most trusted first."""

    HUMAN = "human"
    """People labelled the text on purpose."""
    FEEDBACK = "feedback"
    """A user confirmed or corrected a prediction."""
    SOURCE = "source"
    """It came with the text, from a declared source."""
    WEAK = "weak"
    """Labelling functions agreed on it."""


@dataclass(frozen=True)
class Example:
    """One labelled text.

    Attributes:
        text: the text.
        label: its class.
        label_source: where the label came from.
        origin: where to find it again: `train.csv:17`, or a feedback id.
        key: what the row is about, where a later row may replace it; empty for one that stays.
        weight: how much it counts, in (0, 1].
        annotator: who gave the label; empty where nobody is known.
        time: when the label was given, where that is known.
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
    """A row that was not fit to be an example, and why.

    Attributes:
        origin: where it stands: `train.csv:17`.
        rule: the rule it broke, in UPPER_SNAKE.
        value: the offending value, as `printable` leaves it.
        key: as in `Example`.
    """

    origin: str
    rule: str
    value: str
    key: str = ""


def printable(value: str) -> str:
    """Return a value cut to MAX_VALUE_LENGTH characters that can be stored as UTF-8."""
    encoded = value[:MAX_VALUE_LENGTH].encode(errors="backslashreplace")
    return encoded.decode()[:MAX_VALUE_LENGTH]
