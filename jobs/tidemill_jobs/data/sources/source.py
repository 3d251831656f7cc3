"""The contract of all sources."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

Watermark = Mapping[str, Any]
"""The position in a source where the next read starts: JSON values; empty before the first."""

ROWS: Mapping[str, Any] = {
    "part": pl.String,
    "origin": pl.String,
    "key": pl.String,
    "text": pl.String,
    "label": pl.String,
    "annotator": pl.String,
    "time": pl.Datetime("us", "UTC"),
}
"""Columns of raw rows. `part` is the file, in a source of several files; `origin` the row's place,
for people; a later row with the same `key` replaces the row; null if none can."""

UNREADABLE: Mapping[str, Any] = {
    "part": pl.String,
    "origin": pl.String,
    "key": pl.String,
    "rule": pl.String,
    "value": pl.String,
}
"""Columns of rows that cannot be read, with the rule that each broke."""

NOT_UTF8, WRONG_TYPE, BAD_TIME = "NOT_UTF8", "WRONG_TYPE", "BAD_TIME"
BROKEN_JSON, BROKEN_QUOTES = "BROKEN_JSON", "BROKEN_QUOTES"
LINE_TOO_LONG, WRONG_COLUMN_COUNT = "LINE_TOO_LONG", "WRONG_COLUMN_COUNT"
"""Rules that several kinds of sources check."""

BATCH_ROWS = 100_000
"""Maximum number of rows in a batch."""

BATCH_BYTES = 64 << 20
"""Maximum size of a batch's texts, unless one row alone has more."""


@dataclass(frozen=True)
class Batch:
    """Rows that land together.

    Attributes:
        rows: ROWS.
        unreadable: UNREADABLE.
        watermark: where the next read starts, once they have landed.
        replaced: parts whose earlier rows these rows replace.
    """

    rows: pl.DataFrame
    unreadable: pl.DataFrame
    watermark: Watermark
    replaced: frozenset[str] = frozenset()


class Source(Protocol):
    """One declared source.

    Attributes:
        name: unique within the task; also its folder in the intake.
        place: its place, for people, without secrets.
        labeled: whether its rows have labels.
    """

    name: str
    place: str
    labeled: bool

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """Yield the rows that are new since the watermark; each batch lands before the next.

        Raises:
            DataError: the source cannot be used; names the place and the cure.
        """
        ...
