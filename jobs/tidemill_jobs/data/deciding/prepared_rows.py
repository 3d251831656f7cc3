"""All prepared rows of a task by number.

A few narrow columns decide on a row. Texts stay on the disk until the kept rows are written. A
row's number is its position among the rows of all segments. Labels have their current names here,
so prepared files stay valid when a label is renamed.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import polars as pl

from tidemill_core.domain.dataset import Exclusion
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.label_names import Renames
from tidemill_jobs.data.landing.intake import Segment
from tidemill_jobs.data.preparing.prepare import Prepared

TRUST = pl.Enum([str(source) for source in LabelSource])
"""Label sources, the most trusted first; they sort in this order."""

_NUMBER = pl.UInt64
_DECIDING = ("text_key", "exact_key", "label", "label_source", "weight", "judges", "rule")


class PreparedRows:
    """The rows of the prepared segments of all sources; each source's in the order they landed."""

    def __init__(self, prepared: Sequence[Prepared], renames: Renames) -> None:
        self.segments: Sequence[Segment] = [each.segment for each in prepared]
        self._prepared = prepared
        self._renames = renames
        self._starts = list(
            accumulate((len(each.read(["judges"])) for each in prepared), initial=0)
        )

    def rows(self) -> pl.DataFrame:
        """Return `number` and `_DECIDING` of all rows, by ascending number.

        Rows that a later row replaced have the rule REPLACED.
        """
        rows = self._renamed(pl.concat([each.read(_DECIDING) for each in self._prepared]))
        rows = rows.with_columns(
            pl.col("label_source").cast(TRUST), number=pl.int_range(pl.len(), dtype=_NUMBER)
        )
        replaced = pl.concat([*self._replaced_parts(), self._replaced_keys()])
        is_replaced = pl.col("number").is_in(replaced.implode())
        return rows.with_columns(
            rule=pl.when(is_replaced).then(pl.lit(Exclusion.REPLACED)).otherwise("rule")
        )

    def gather(self, numbers: pl.Series, columns: Sequence[str]) -> pl.DataFrame:
        """Return columns of the rows with these numbers, which must ascend, in order."""
        frames = [self._prepared[0].read(columns).clear()]
        for each, (start, stop) in zip(self._prepared, pairwise(self._starts), strict=True):
            first, end = numbers.search_sorted(start), numbers.search_sorted(stop)
            if first < end:
                rows, within = each.read(columns), numbers.slice(first, end - first) - start
                # Often `numbers` has all rows.
                frames.append(rows if len(within) == len(rows) else rows[within])
        return self._renamed(pl.concat(frames))

    def segment_of(self, numbers: pl.Series) -> pl.Series:
        """Return the positions of the rows' segments."""
        starts = pl.Series(self._starts, dtype=_NUMBER)
        return starts.search_sorted(numbers, side="right") - 1

    def source_of(self, numbers: pl.Series) -> pl.Series:
        """Return the names of the rows' sources."""
        names = pl.Series([segment.source for segment in self.segments], dtype=pl.String)
        return names.gather(self.segment_of(numbers))

    def _renamed(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(pl.col("^label$").replace(self._renames))

    def _replaced_parts(self) -> Iterator[pl.Series]:
        """Yield the numbers of rows whose part a later segment replaces."""
        for place, segment in enumerate(self.segments):
            void = frozenset[str]().union(
                *(
                    later.replaced
                    for later in self.segments[place + 1 :]
                    if later.source == segment.source
                )
            )
            if void:
                is_void = pl.col("part").is_in(list(void))
                yield self._read(place, "part").filter(is_void)["number"]

    def _replaced_keys(self) -> pl.Series:
        """Return the numbers of rows with a key that a later row of the source has."""
        keyed = [
            self._read(place, "key").drop_nulls().with_columns(source=pl.lit(segment.source))
            for place, segment in enumerate(self.segments)
        ]
        rows = pl.concat(keyed)
        latest = rows.group_by("source", "key").agg(pl.col("number").max())
        return rows.join(latest, on="number", how="anti")["number"]

    def _read(self, place: int, column: str) -> pl.DataFrame:
        """Return `number` and one column of the segment at a position."""
        number = self._starts[place] + pl.int_range(pl.len(), dtype=_NUMBER)
        return self._prepared[place].read([column]).with_columns(number=number)
