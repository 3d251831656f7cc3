"""What every reader yields."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tidemill_core.text import IS_BLANK
from tidemill_jobs.data.sources.errors import AmbiguousColumn
from tidemill_jobs.data.sources.raw_rows import is_utf8
from tidemill_jobs.data.sources.source import NOT_UTF8, WRONG_TYPE


@dataclass(frozen=True)
class Wanted:
    """The columns that the reader of rows needs.

    Attributes:
        text: the column with the text.
        label: the column with the label; empty if none is needed.
    """

    text: str
    label: str = ""

    @property
    def roles(self) -> dict[str, str]:
        """The columns by their role."""
        return {"text": self.text} | ({"label": self.label} if self.label else {})


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        origin: its place, for people: `tickets.csv:12`.
        values: its values by column; empty if it cannot be read.
        text: its text; empty with a problem.
        problem: the rule that it breaks, such as `BLANK_TEXT`; empty if it can be scored.
    """

    origin: str
    values: Mapping[str, Any]
    text: str
    problem: str = ""


@dataclass(frozen=True)
class RowBatch:
    """Some rows.

    Attributes:
        rows: the rows.
        done: the share of the place that was read with them, in [0, 1]; 0 if it is unknown.
        schema: the types of the columns, where the place has types.
    """

    rows: Sequence[Row]
    done: float
    schema: pa.Schema | None = None


def check_distinct(place: str, names: Iterable[str]) -> None:
    """Raise AmbiguousColumn for the first name that is there twice; there may be a million."""
    seen = set[str]()
    for name in names:
        if name in seen:
            raise AmbiguousColumn(place, name)
        seen.add(name)


def row_of(origin: str, values: Mapping[str, Any], text: object) -> Row:
    """Return a row with its text, or with the problem that its value is not a text."""
    if text is None:
        return Row(origin, values, "", IS_BLANK)
    if not isinstance(text, str):
        return Row(origin, values, "", WRONG_TYPE)
    if not is_utf8(text):
        return Row(origin, values, "", NOT_UTF8)
    return Row(origin, values, text)
