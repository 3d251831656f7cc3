"""Find texts that are nearly the same, by locality-sensitive hashing of their signatures.

Rows are ranked: held-out ones before those that train, more trusted ones first. Rows with an equal
band of their signatures share a bucket, and the signatures of two of them are compared if one is
- the first of its side and label in the bucket, or
- one of the first held-out ones, where the other one trains. In a bucket of more held-out rows a
  training row is also compared with the first one that shares half of another band with it: texts
  made from one pattern share whole bands by that pattern, and what they share beside it tells
  which of them are nearest.
So the number of comparisons grows with the rows, not with their square, even where thousands of
texts are made from one pattern. A row is excluded if a row before it that is kept is at least as
similar as the threshold:
- NEAR_HELD_OUT, if it trains and the other is held out, whatever their labels: a model that
  learnt the one would be judged on what it has seen.
- NEAR_DUPLICATE, if both are on the same side and have the same label.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tidemill_core.domain.split import Split
from tidemill_jobs.data.preparing.minhash import BAND_COLUMNS, Bands, similarity

ReadBands = Callable[[pl.Series, Sequence[str]], pl.DataFrame]
"""Returns columns of the rows of these numbers, which ascend."""

_BY_RANK = pl.Enum([str(split) for split in (Split.TEST, Split.VALIDATION, Split.TRAIN)])
_ROWS_AT_ONCE = 1 << 21
"""So many rows at most, each with half a band, are held in memory."""

_BANDS_AT_ONCE = 4
"""So many bands are held in memory: 8 bytes a row each."""

_HALF_TOO = ["band", "place", "half"]
_RULES = pl.Enum(["NEAR_DUPLICATE", "NEAR_HELD_OUT"])
_PAIRS: Mapping[str, Any] = {"row": pl.UInt32, "first": pl.UInt32, "rule": _RULES}

_HELD_OUT_OF_A_BUCKET = 4
"""With so many held-out rows of its bucket a training row is compared, whatever else they share."""


def near_duplicates(rows: pl.DataFrame, threshold: float, read_bands: ReadBands) -> pl.DataFrame:
    """Decide which rows are too near to others.

    Args:
        rows: `number` (ascending), `text_key` (one row each), `label`, `label_source` and `split`.
        threshold: Jaccard similarity from which on two texts are nearly the same, in (0, 1].
        read_bands: gives their bands.

    Returns:
        `number` and `rule` of those rows.
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
    """Pairs of ranks that share a band; and of each band the rows of crowded buckets."""
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
    """Each row, and the first with its band of its side and label."""
    rank, first = pl.col("rank"), pl.col("first")
    twins = same.with_columns(first=rank.min().over("band", "side", "group")).filter(rank != first)
    return twins.select(row="rank", first="first", rule=pl.lit("NEAR_DUPLICATE", _RULES))


def _leaks(same: pl.DataFrame, bucket: list[str], limit: int) -> pl.DataFrame:
    """Each training row, and the first held-out ones of its bucket, so many; `same` is by rank."""
    held_out = same.filter(~pl.col("trains"))
    first = held_out.filter(pl.int_range(pl.len()).over(bucket) < limit)
    leaks = same.filter("trains").join(first.select(*bucket, first="rank"), on=bucket)
    return leaks.select(row="rank", first="first", rule=pl.lit("NEAR_HELD_OUT", _RULES))


def _crowded_leaks(
    crowded: list[pl.DataFrame], numbers: pl.Series, threshold: float, read_bands: ReadBands
) -> Iterator[pl.DataFrame]:
    """Of rows in buckets with many held-out ones, near pairs that share half of another band too.

    Args:
        crowded: for each band, such rows: `rank`, `trains` and `band`.
        numbers: the rows' numbers, by rank.
        threshold: from which on two are near.
        read_bands: gives their bands.
    """
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
    """Rows as often as there are halves of bands to look at, with each of them."""
    return pl.concat(
        rows.with_columns(place=pl.lit(half, pl.UInt8), half=pl.Series(halves[:, half]))
        for half in which
    )


def _verified(
    pairs: pl.DataFrame, numbers: pl.Series, threshold: float, read_bands: ReadBands
) -> pl.DataFrame:
    """The pairs whose signatures are as similar as that."""
    ranks = pl.concat([pairs["row"], pairs["first"]]).unique()
    return _near(pairs, *_bands_of(ranks, numbers, read_bands), threshold)


def _bands_of(
    ranks: pl.Series, numbers: pl.Series, read_bands: ReadBands
) -> tuple[Bands, npt.NDArray[np.uint32]]:
    """Signatures of the rows of these ranks, and where in them each rank's is."""
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
    """Go through the rows by rank: what is near to a row that is kept, is not."""
    rules: dict[int, str] = {}
    for row, first, rule in pairs.iter_rows():
        if row not in rules and first not in rules:
            rules[row] = rule
    ranks = pl.Series(list(rules), dtype=pl.UInt32)
    return pl.DataFrame(
        {"number": numbers.gather(ranks), "rule": pl.Series(list(rules.values()), dtype=pl.String)}
    )
