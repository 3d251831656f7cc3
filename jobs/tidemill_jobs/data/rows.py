"""What each stage of the data hands to the next."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidemill_core.domain.example import Example, QuarantinedRow
from tidemill_core.domain.split import Split

MAX_VALUE_LENGTH = 200


@dataclass(frozen=True)
class PlacedExample:
    """An example and the side of the split that it is on.

    Attributes:
        example: the example.
        text_hash: `content_hash` of its text.
        split: what it may be used for.
    """

    example: Example
    text_hash: str
    split: Split


def set_aside(origin: str, rule: str, value: str) -> QuarantinedRow:
    """A row that goes no further, and the value that it broke the rule with."""
    return QuarantinedRow(origin, rule, printable(value))


def printable(value: str) -> str:
    """A value, cut to MAX_VALUE_LENGTH characters and made fit to be stored as UTF-8."""
    encoded = value[:MAX_VALUE_LENGTH].encode(errors="backslashreplace")
    return encoded.decode()[:MAX_VALUE_LENGTH]


def count_by_rule(rows: Iterable[QuarantinedRow]) -> Mapping[str, int]:
    """Rows set aside, by the rule they broke, sorted by it."""
    return dict(sorted(Counter(row.rule for row in rows).items()))
