"""Near duplicates, found by locality-sensitive hashing of signatures.

Rows are ranked: held-out rows before training rows, then by trust. Rows with an equal band in their
signatures share a bucket. The signatures of two rows in a bucket are compared if one is
- the first of its side and label, or
- one of the first held-out rows, and the other is a training row. In a bucket with more held-out
  rows, a training row is also compared with the first held-out row with which it shares half of
  another band: texts made from one pattern share whole bands because of the pattern, so other bands
  show which texts are nearest.
So the number of comparisons grows linearly with the rows, even if thousands of texts are made from
one pattern. A row is excluded if its similarity to a kept row before it reaches the
threshold:
- NEAR_HELD_OUT: it is a training row and the other is held out, with any label. A model trained on
  it would be judged on a text that it has seen.
- NEAR_DUPLICATE: both are on the same side and have the same label.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tidemill_core.domain.dataset import Exclusion
from tidemill_core.domain.split import Split
from tidemill_jobs.data.preparing.minhash import BAND_COLUMNS, Bands, similarity

ReadBands = Callable[[pl.Series, Sequence[str]], pl.DataFrame]
"""Returns columns of the rows with these numbers, which ascend."""

_BY_RANK = pl.Enum([str(split) for split in (Split.TEST, Split.VALIDATION, Split.TRAIN)])
_ROWS_AT_ONCE = 1 << 21
"""Maximum number of rows, each with half a band, in memory."""

_BANDS_AT_ONCE = 4
"""Bands in memory: 8 bytes a row each."""

_HALF_TOO = ["band", "place", "half"]
_RULES = pl.Enum([str(Exclusion.NEAR_DUPLICATE), str(Exclusion.NEAR_HELD_OUT)])
_PAIRS: Mapping[str, Any] = {"row": pl.UInt32, "first": pl.UInt32, "rule": _RULES}

_HELD_OUT_OF_A_BUCKET = 4
"""Held-out rows of a bucket with which each training row in it is compared."""


def near_duplicates(rows: pl.DataFrame, threshold: float, read_bands: ReadBands) -> pl.DataFrame:
    """Return `number` and `rule` of the rows that are too similar to others.

    Args:
        rows: `number` (ascending), `text_key` (unique), `label`, `label_source` and `split`.
        threshold: Jaccard similarity from which two texts are near duplicates, in (0, 1].
        read_bands: reads the rows' bands.
    """
    ranked = (
        rows.with_row_index("place")
        .with_columns(side=pl.col("split").cast(_BY_RANK), group=pl.col("label").rank("dense"))
        .sort("side", "label_source", "text_key")
        .select("number", "place", "side", "group")
        .with_row_index("rank")
    )
    numbers = ranked["number"]
    found, crowded = _candidates(ranked, rows["number"], read_bands)
    near = [
        _verified(found, numbers, threshold, read_bands),
        *_crowded_leaks(crowded, numbers, threshold, read_bands),
    ]
    pairs = pl.concat(near).unique().sort("row", "rule", "first")
    return _excluded(pairs, numbers)


def _candidates(
    ranked: pl.DataFrame, numbers: pl.Series, read_bands: ReadBands
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Return pairs of ranks that share a band; and for each band the rows in crowded buckets."""
    trains = pl.col("side") == str(Split.TRAIN)
    pairs, crowded = [pl.DataFrame(schema=_PAIRS)], []
    for start in range(0, len(BAND_COLUMNS), _BANDS_AT_ONCE):
        names = BAND_COLUMNS[start : start + _BANDS_AT_ONCE]
        bands = read_bands(numbers, names)
        for name in names:
            band = bands[name].gather(ranked["place"])
            same = ranked.with_columns(band=band).filter(band.is_duplicated())
            same = same.select("rank", "side", "group", "band", trains=trains)
            pairs += [_twins(same), _leaks(same, ["band"], _HELD_OUT_OF_A_BUCKET)]
            held_out = (~pl.col("trains")).sum().over("band")
            crowded.append(
                same.filter(held_out > _HELD_OUT_OF_A_BUCKET).select("rank", "trains", "band")
            )
    return pl.concat(pairs).unique(), crowded


def _twins(same: pl.DataFrame) -> pl.DataFrame:
    """Return each row with the first row of its band, side and label."""
    rank, first = pl.col("rank"), pl.col("first")
    twins = same.with_columns(first=rank.min().over("band", "side", "group")).filter(rank != first)
    return twins.select(row="rank", first="first", rule=pl.lit(Exclusion.NEAR_DUPLICATE, _RULES))


def _leaks(same: pl.DataFrame, bucket: list[str], limit: int) -> pl.DataFrame:
    """Return each training row with the first `limit` held-out rows of its bucket, by rank."""
    held_out = same.filter(~pl.col("trains"))
    first = held_out.filter(pl.int_range(pl.len()).over(bucket) < limit)
    leaks = same.filter("trains").join(first.select(*bucket, first="rank"), on=bucket)
    return leaks.select(row="rank", first="first", rule=pl.lit(Exclusion.NEAR_HELD_OUT, _RULES))


def _crowded_leaks(
    crowded: list[pl.DataFrame], numbers: pl.Series, threshold: float, read_bands: ReadBands
) -> Iterator[pl.DataFrame]:
    """Yield near pairs in each band's crowded buckets that also share half of another band."""
    ranks = pl.concat([rows["rank"] for rows in crowded]).unique()
    bands, places = _bands_of(ranks, numbers, read_bands)
    halves = bands.view(np.uint32)
    for band, rows in enumerate(crowded):
        if not len(rows):
            continue
        here = places[rows["rank"].to_numpy()]
        others = [half for half in range(2 * len(BAND_COLUMNS)) if half // 2 != band]
        at_once = max(1, _ROWS_AT_ONCE // max(1, len(rows)))
        pairs = pl.concat(
            _leaks(_by_half(rows, halves[here], others[start : start + at_once]), _HALF_TOO, 1)
            for start in range(0, len(others), at_once)
        )
        yield _near(pairs.unique(), bands, places, threshold)


def _by_half(rows: pl.DataFrame, halves: npt.NDArray[np.uint32], which: list[int]) -> pl.DataFrame:
    """Return the rows once for each of the half bands, with that half."""
    return pl.concat(
        rows.with_columns(place=pl.lit(half, pl.UInt8), half=pl.Series(halves[:, half]))
        for half in which
    )


def _verified(
    pairs: pl.DataFrame, numbers: pl.Series, threshold: float, read_bands: ReadBands
) -> pl.DataFrame:
    """Return the pairs whose similarity reaches the threshold."""
    ranks = pl.concat([pairs["row"], pairs["first"]]).unique()
    return _near(pairs, *_bands_of(ranks, numbers, read_bands), threshold)


def _bands_of(
    ranks: pl.Series, numbers: pl.Series, read_bands: ReadBands
) -> tuple[Bands, npt.NDArray[np.uint32]]:
    """Return the signatures of the rows with these ranks, and the position of each rank's."""
    wanted = pl.DataFrame({"rank": ranks, "number": numbers.gather(ranks)}).sort("number")
    bands = read_bands(wanted["number"], BAND_COLUMNS).to_numpy(order="c")
    places = np.empty(len(numbers), dtype=np.uint32)
    places[wanted["rank"].to_numpy()] = np.arange(len(wanted), dtype=np.uint32)
    return bands, places


def _near(
    pairs: pl.DataFrame, bands: Bands, places: npt.NDArray[np.uint32], threshold: float
) -> pl.DataFrame:
    parts = []
    for some in pairs.iter_slices(1 << 18):
        left, right = (bands[places[some[name].to_numpy()]] for name in ("row", "first"))
        parts.append(some.filter(pl.Series(similarity(left, right) >= threshold)))
    return pl.concat([pairs.clear(), *parts])


def _excluded(pairs: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    """Return the rows to exclude: by rank, each row that is near to a kept one."""
    rules: dict[int, str] = {}
    for row, first, rule in pairs.iter_rows():
        if row not in rules and first not in rules:
            rules[row] = rule
    ranks = pl.Series(list(rules), dtype=pl.UInt32)
    return pl.DataFrame(
        {"number": numbers.gather(ranks), "rule": pl.Series(list(rules.values()), dtype=pl.String)}
    )
