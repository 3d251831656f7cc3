"""All rows of a source at once, for a build that keeps nothing from one run to the next."""

from dataclasses import dataclass

import polars as pl

from tidemill_core.domain.example import Example, LabelSource, QuarantinedRow
from tidemill_jobs.data.sources.source import ROWS, Batch, Source

_LANDED = {**ROWS, "rule": pl.String, "value": pl.String}


@dataclass(frozen=True)
class SourceRows:
    """What was found in a source.

    Attributes:
        examples: rows as they stand, not cleaned yet, in the source's order.
        quarantined: rows that could not be read.
    """

    examples: tuple[Example, ...]
    quarantined: tuple[QuarantinedRow, ...]


def read_whole(source: Source) -> SourceRows:
    """Read a source from its beginning. Of rows with one key, the last counts.

    Raises:
        DataError: the source cannot be used.
    """
    rows = _counting(pl.concat([pl.DataFrame(schema=_LANDED), *map(_landed, source.read({}))]))
    sound, broken = rows.filter(pl.col("rule").is_null()), rows.filter(~pl.col("rule").is_null())
    examples = sound.select("text", "label", "origin").fill_null("").iter_rows()
    quarantined = broken.select("origin", "rule", "value").iter_rows()
    return SourceRows(
        tuple(Example(text, label, LabelSource.SOURCE, origin) for text, label, origin in examples),
        tuple(QuarantinedRow(*row) for row in quarantined),
    )


def _landed(batch: Batch) -> pl.DataFrame:
    none = pl.DataFrame(schema=_LANDED)
    return pl.concat([none, batch.rows, batch.unreadable], how="diagonal")


def _counting(rows: pl.DataFrame) -> pl.DataFrame:
    """The rows without those that a later one of the same key replaced."""
    number = pl.int_range(pl.len())
    is_last = number == number.max().over("key")
    return rows.filter(pl.col("key").is_null() | is_last)
