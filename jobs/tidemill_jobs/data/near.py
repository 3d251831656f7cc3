"""Find texts that are nearly the same, by locality-sensitive hashing of their signatures.

Rows are ranked: held-out ones before those that train, more trusted ones first. Two rows are
compared if a band of their signatures is equal and one of them is the first of its rank with that
band; the number of comparisons so grows with the rows, not with their square, even where
thousands of texts are made from one pattern. A row is set aside if a row before it that is kept
is at least as similar as the threshold:
- NEAR_HELD_OUT, if it trains and the other is held out, whatever their labels: a model that
  learnt the one would be judged on what it has seen.
- NEAR_DUPLICATE, if both are on the same side and have the same label.
"""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from tidemill_core.domain.split import Split
from tidemill_jobs.data.minhash import BAND_COLUMNS, similarity

ReadBands = Callable[[pl.Series, tuple[str, ...]], pl.DataFrame]
"""Columns of bands of the rows of these numbers, which ascend."""

_BANDS_AT_ONCE = 4
"""So many are held in memory, 8 bytes a row each."""

_BY_RANK = pl.Enum([str(split) for split in (Split.TEST, Split.VALIDATION, Split.TRAIN)])
_PAIRS = {"row": pl.UInt32, "first": pl.UInt32, "rule": pl.String}


def near_duplicates(rows: pl.DataFrame, threshold: float, read_bands: ReadBands) -> pl.DataFrame:
    """Decide which rows are too near to others.

    Args:
        rows: `number` (ascending), `text_key` (one row each), `label`, `label_source` and `split`.
        threshold: Jaccard similarity from which on two texts are nearly the same, in (0, 1].
        read_bands: gives their bands.

    Returns:
        `number` and `rule` of the rows that are set aside.
    """
    ranked = (
        rows.with_row_index("place")
        .with_columns(side=pl.col("split").cast(_BY_RANK), group=pl.col("label").rank("dense"))
        .sort("side", "label_source", "text_key")
        .select("number", "place", "side", "group")
        .with_row_index("rank")
    )
    found = pl.concat(
        [pl.DataFrame(schema=_PAIRS), *_candidates(ranked, rows["number"], read_bands)]
    ).unique(["row", "first", "rule"])
    pairs = _verified(found, ranked["number"], threshold, read_bands).sort("row", "rule", "first")
    return _set_aside(pairs, ranked["number"])


def _candidates(
    ranked: pl.DataFrame, numbers: pl.Series, read_bands: ReadBands
) -> Iterator[pl.DataFrame]:
    """Pairs of ranks that share a band."""
    held_out = len(ranked.filter(pl.col("side") != str(Split.TRAIN)))
    for start in range(0, len(BAND_COLUMNS), _BANDS_AT_ONCE):
        names = BAND_COLUMNS[start : start + _BANDS_AT_ONCE]
        bands = read_bands(numbers, names)
        for name in names:
            band = bands[name].gather(ranked["place"])
            shared = band.is_duplicated()
            same = (
                ranked.with_columns(band=band)
                .filter(shared)
                .select("rank", "side", "group", "band")
            )
            yield from _pairs(same, held_out)


def _pairs(same: pl.DataFrame, held_out: int) -> Iterator[pl.DataFrame]:
    """Each row and the first with its band: of those held out, and of its side and label."""
    rank, first = pl.col("rank"), pl.col("first")
    leaks = same.with_columns(first=rank.min().over("band"))
    leaks = leaks.filter((rank >= held_out) & (first < held_out))
    yield leaks.select(row="rank", first="first", rule=pl.lit("NEAR_HELD_OUT"))
    twins = same.with_columns(first=rank.min().over("band", "side", "group")).filter(rank != first)
    yield twins.select(row="rank", first="first", rule=pl.lit("NEAR_DUPLICATE"))


def _verified(
    pairs: pl.DataFrame, numbers: pl.Series, threshold: float, read_bands: ReadBands
) -> pl.DataFrame:
    """The pairs whose signatures are as similar as that."""
    involved = pl.concat([pairs["row"], pairs["first"]]).unique().sort()
    wanted = pl.DataFrame({"rank": involved, "number": numbers.gather(involved)}).sort("number")
    bands = read_bands(wanted["number"], BAND_COLUMNS).to_numpy(order="c")
    places = np.empty(len(numbers), dtype=np.uint32)
    places[wanted["rank"].to_numpy()] = np.arange(len(wanted), dtype=np.uint32)
    left = places[pairs["row"].to_numpy()]
    right = places[pairs["first"].to_numpy()]
    return pairs.filter(pl.Series(_similar(bands, left, right) >= threshold))


def _similar(
    bands: npt.NDArray[np.uint64], left: npt.NDArray[np.uint32], right: npt.NDArray[np.uint32]
) -> npt.NDArray[np.float64]:
    at_once = 1 << 18
    parts = [
        similarity(bands[left[start : start + at_once]], bands[right[start : start + at_once]])
        for start in range(0, len(left), at_once)
    ]
    return np.concatenate([np.empty(0), *parts])


def _set_aside(pairs: pl.DataFrame, numbers: pl.Series) -> pl.DataFrame:
    """Go through the rows by rank: what is near to a row that is kept, is not."""
    rules: dict[int, str] = {}
    for row, first, rule in pairs.iter_rows():
        if row not in rules and first not in rules:
            rules[row] = rule
    ranks = pl.Series(list(rules), dtype=pl.UInt32)
    return pl.DataFrame(
        {"number": numbers.gather(ranks), "rule": pl.Series(list(rules.values()), dtype=pl.String)}
    )
