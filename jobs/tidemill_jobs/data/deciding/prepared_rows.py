"""All rows of a task that have landed, by number, and any of their columns for any of them.

What becomes of a row is decided on a few narrow columns; texts stay on the disk until those that
are kept are written. A row's number is the place of its segment among all, times 2³², and its own
place in it.
"""

from collections.abc import Iterator, Sequence

import polars as pl

from tidemill_core.domain.example import LabelSource
from tidemill_jobs.data.preparing.prepare import Prepared

TRUST = pl.Enum([str(source) for source in LabelSource])
"""Label sources, the most trusted first; as numbers they sort so."""

_ROW_BITS = 32
_DECIDING = ("text_key", "exact_key", "label", "label_source", "weight", "judges", "rule")


class Stock:
    """The prepared segments of all sources, each source's in the order they landed."""

    def __init__(self, prepared: Sequence[Prepared]) -> None:
        self._prepared = prepared

    def rows(self) -> pl.DataFrame:
        """All rows, by `number`, with what is decided on: the columns of `_DECIDING`.

        Rows that a later one replaced have the rule REPLACED.
        """
        frames = [
            prepared.read(_DECIDING)
            .with_columns(pl.col("label_source").cast(TRUST))
            .with_columns(number=_numbers(place))
            for place, prepared in enumerate(self._prepared)
        ]
        replaced = pl.concat([_NO_NUMBERS, *self._replaced_parts(), self._replaced_keys()])
        rows = pl.concat(frames)
        if not len(replaced):
            return rows
        is_replaced = pl.col("number").is_in(replaced["number"].implode())
        return rows.with_columns(
            rule=pl.when(is_replaced).then(pl.lit("REPLACED")).otherwise("rule")
        )

    def gather(self, numbers: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
        """Columns of the rows of these numbers, which must ascend; in their order."""
        frames = [self._prepared[0].read(columns).clear()]
        places = place_of(numbers)
        for place, prepared in enumerate(self._prepared):
            first, last = places.search_sorted(place, "left"), places.search_sorted(place, "right")
            if first < last:
                within = numbers.slice(first, last - first) % (1 << _ROW_BITS)
                rows = prepared.read(columns)
                # Often all are asked for.
                frames.append(rows if len(within) == len(rows) else rows[within.cast(pl.UInt32)])
        return pl.concat(frames)

    def source_of(self, numbers: pl.Series) -> pl.Series:
        """The names of the sources that rows of these numbers came from."""
        names = pl.Series([prepared.segment.source for prepared in self._prepared], dtype=pl.String)
        return names.gather(place_of(numbers))

    def _replaced_parts(self) -> Iterator[pl.DataFrame]:
        """Rows of parts that were read anew later."""
        for place, prepared in enumerate(self._prepared):
            segment = prepared.segment
            later = [
                other.segment.replaced
                for other in self._prepared[place + 1 :]
                if other.segment.source == segment.source
            ]
            void = frozenset[str]().union(*later)
            if void:
                parts = prepared.read(["part"]).with_columns(number=_numbers(place))
                yield parts.filter(pl.col("part").is_in(list(void))).select("number")

    def _replaced_keys(self) -> pl.DataFrame:
        """Rows whose key a later row of the same source has."""
        keyed = [
            prepared.read(["key"])
            .with_columns(source=pl.lit(prepared.segment.source), number=_numbers(place))
            .drop_nulls("key")
            for place, prepared in enumerate(self._prepared)
        ]
        rows = pl.concat([frame for frame in keyed if len(frame)] or [_NO_KEYS])
        latest = rows.group_by("source", "key").agg(pl.col("number").max())
        return rows.join(latest, on="number", how="anti").select("number")


def place_of(numbers: pl.Series) -> pl.Series:
    """The place among all segments of those that rows of these numbers are in."""
    return (numbers // (1 << _ROW_BITS)).cast(pl.UInt32)


def numbers_at(places: pl.Series, numbers: pl.Series) -> pl.Series:
    """What the numbers of rows are where their segments are at these places (UInt64) now."""
    return places * (1 << _ROW_BITS) + numbers % (1 << _ROW_BITS)


_NO_NUMBERS = pl.DataFrame(schema={"number": pl.UInt64})
_NO_KEYS = pl.DataFrame(schema={"key": pl.String, "source": pl.String, "number": pl.UInt64})


def _numbers(place: int) -> pl.Expr:
    return pl.int_range(pl.len(), dtype=pl.UInt64) + (place << _ROW_BITS)
