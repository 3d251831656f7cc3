"""Which rows can have a say in what becomes of each other: those of one cluster.

Texts with an equal band of their signatures are in one cluster, and so are those that have one in
common with any of these. What becomes of a row depends on the rows of its cluster alone, so where
rows came in, or were replaced, since all was decided last, only their clusters are decided on
again. A cluster is known by the smallest `text_key` in it.
"""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

ReadBands = Callable[[pl.Series, tuple[str, ...]], pl.DataFrame]
"""Columns of the rows of these numbers, which ascend."""

_AT_ONCE = 4


def touched(rows: pl.DataFrame, bands: tuple[str, ...], read_bands: ReadBands) -> pl.Series:
    """Find the rows that are to be decided on: of a cluster where a row came or went.

    Args:
        rows: `number` (ascending), `rule` of those that can be in no version, and the `cluster`
            they had when they were decided on last; null: never, or they had a rule.
        bands: columns that texts of one cluster share one of.
        read_bands: gives them.

    Returns:
        Whether a row is; never one with a rule.
    """
    sound, cluster = pl.col("rule").is_null(), pl.col("cluster")
    new = rows.filter(sound & cluster.is_null())["number"]
    gone = rows.filter(~sound)["cluster"]
    met_or_left = pl.concat([gone, _met(rows, new, bands, read_bands)]).drop_nulls().unique()
    return rows.select(
        sound & (cluster.is_null() | cluster.is_in(met_or_left.implode()))
    ).to_series()


def _met(
    rows: pl.DataFrame, new: pl.Series, bands: tuple[str, ...], read_bands: ReadBands
) -> pl.Series:
    """The clusters of rows that share a band with a new one; null, where that has none yet."""
    meets = pl.Series([False]).new_from_index(0, len(rows))
    if len(new) and rows["cluster"].count():
        for names in some_at_once(bands):
            all_bands, new_bands = read_bands(rows["number"], names), read_bands(new, names)
            for name in names:
                meets |= all_bands[name].is_in(new_bands[name].implode())
    return rows["cluster"].filter(meets)


def clusters(rows: pl.DataFrame, bands: tuple[str, ...], read_bands: ReadBands) -> pl.Series:
    """The cluster of each of these rows, as if there were no others.

    Args:
        rows: `number` (ascending) and `text_key`.
        bands: columns that texts of one cluster share one of.
        read_bands: gives them.
    """
    texts = rows.unique("text_key", keep="first", maintain_order=True).with_row_index("node")
    node, first = pl.col("node"), pl.col("first")
    edges = [pl.DataFrame(schema={"node": pl.UInt32, "first": pl.UInt32})]
    for names in some_at_once(bands):
        columns = read_bands(texts["number"], names)
        for name in names:
            band = columns[name]
            same = texts.select("node", band=band).filter(band.is_duplicated())
            pairs = same.select("node", first=node.min().over("band"))
            edges.append(pairs.filter(node != first))
    ends = pl.concat(edges).unique()
    graph = coo_array(
        (np.ones(len(ends), dtype=np.int8), (ends["node"].to_numpy(), ends["first"].to_numpy())),
        shape=(len(texts), len(texts)),
    )
    _, components = connected_components(graph, directed=False)
    smallest = pl.col("text_key").min().over(pl.Series("component", components))
    found = texts.select("text_key", found=smallest)
    return rows.join(found, on="text_key", how="left", maintain_order="left")["found"]


def some_at_once(bands: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Bands, few enough at a time to be held in memory: 8 bytes a row each."""
    for start in range(0, len(bands), _AT_ONCE):
        yield bands[start : start + _AT_ONCE]
