"""Detection of changed rows: an API or an overlap returns rows again."""

from collections.abc import Iterable

import polars as pl

COMPARED = ("key", "text", "label", "annotator", "time", "rule", "value")
"""Columns in which rows with the same key can differ."""


class ChangedRows:
    """A filter that knows the latest row of each key by two hashes, 16 bytes a key.

    It reads COMPARED of the landed rows, in their order, when it sees the first row with a key.
    """

    def __init__(self, landed: Iterable[pl.DataFrame]) -> None:
        self._landed = landed
        self._latest: pl.DataFrame | None = None

    def only(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows without those equal to the previous row with their key."""
        if not rows["key"].is_not_null().any():
            return rows
        if self._latest is None:
            self._latest = _latest([_NOTHING, *map(_hashes, self._landed)])
        hashes = _hashes(rows)
        before = self._latest.join(hashes, on="key", how="semi")
        row_before = pl.col("content").shift().over("key")
        known = pl.concat([before, hashes]).select(pl.col("content").eq_missing(row_before))
        self._latest = _latest([self._latest, hashes])
        is_known = known["content"].tail(len(rows))
        return rows.filter(rows["key"].is_null() | ~is_known)


def _hashes(rows: pl.DataFrame) -> pl.DataFrame:
    content = pl.lit(rows.select(COMPARED).hash_rows())
    return rows.select(pl.col("key").hash(), content=content)


def _latest(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).unique("key", keep="last")


_NOTHING = pl.DataFrame(schema={"key": pl.UInt64, "content": pl.UInt64})
