"""Examples: what a model learns from."""

from dataclasses import dataclass
from enum import StrEnum


class LabelSource(StrEnum):
    """Where a label came from."""

    SOURCE = "source"
    """It came with the text, from a declared source."""
    FEEDBACK = "feedback"
    """A user confirmed or corrected a prediction."""


@dataclass(frozen=True)
class Example:
    """One labelled text.

    Attributes:
        text: cleaned text.
        label: its class.
        label_source: where the label came from.
        origin: where to find it again: `train.csv:17`, or a feedback id.
    """

    text: str
    label: str
    label_source: LabelSource
    origin: str


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that was not fit to be an example, and why.

    Attributes:
        origin: where it stands: `train.csv:17`.
        rule: the rule it broke, in UPPER_SNAKE.
        value: the offending value, cut to 200 characters.
    """

    origin: str
    rule: str
    value: str
