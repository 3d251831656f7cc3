"""What all sources of a task have in common."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

Watermark = Mapping[str, Any]
"""Where to read on in a source: JSON values; nothing before the first run."""

ROWS: Mapping[str, Any] = {
    "part": pl.String,
    "origin": pl.String,
    "key": pl.String,
    "text": pl.String,
    "label": pl.String,
    "annotator": pl.String,
    "time": pl.Datetime("us", "UTC"),
}
"""Columns of rows as they were read. `part` is the file, where a source has several; `origin`
where a person would look; `key` what a later row replaces, null where none does."""

UNREADABLE: Mapping[str, Any] = {
    "part": pl.String,
    "origin": pl.String,
    "key": pl.String,
    "rule": pl.String,
    "value": pl.String,
}
"""Columns of what could not be read, and the rule that it broke."""

BATCH_ROWS = 100_000
"""Rows of a batch, at most."""

BATCH_BYTES = 64 << 20
"""Texts of a batch, at most, unless one row alone has more."""


@dataclass(frozen=True)
class Batch:
    """Rows that are landed together.

    Attributes:
        rows: ROWS.
        unreadable: UNREADABLE.
        watermark: where to read on once they have landed.
        replaced: parts whose rows landed before are void from here on.
    """

    rows: pl.DataFrame
    unreadable: pl.DataFrame
    watermark: Watermark
    replaced: frozenset[str] = frozenset()


class Source(Protocol):
    """One declared source.

    Attributes:
        name: unique within the task; names its folder in the intake.
        place: where a person would look for it, without anything secret.
        labelled: whether its rows have labels of their own.
    """

    name: str
    place: str
    labelled: bool

    def read(self, watermark: Watermark) -> Iterator[Batch]:
        """What is new since the watermark, in batches; each is landed before the next is asked for.

        Raises:
            DataError: the source cannot be used; names the place and the cure.
        """
        ...
