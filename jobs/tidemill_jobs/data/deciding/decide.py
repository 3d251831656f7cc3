"""What becomes of each row: a pure function of all rows, whatever the order they came in."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import polars as pl

from tidemill_jobs.data.deciding.clusters import ReadBands, clusters, touched
from tidemill_jobs.data.deciding.exact_duplicates import merge
from tidemill_jobs.data.deciding.near_duplicates import near_duplicates
from tidemill_jobs.data.deciding.prepared_rows import Stock
from tidemill_jobs.data.deciding.split import held_out, place
from tidemill_jobs.data.preparing.minhash import BAND_COLUMNS

LabelTexts = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives rows of `text` and `origin` a `label` (null: it does not know) and `weight`, in order."""

_FEW = 100_000
"""Of so many rows at most the bands are held in memory: 13 MB."""


@dataclass(frozen=True)
class Decided:
    """All rows.

    Attributes:
        kept: `number`, `label`, `label_source`, `weight` and `split`, by ascending number.
        set_aside: `number` and `rule`, by ascending number.
        known: all rows for the next time, as `read_known` returns them.
    """

    kept: pl.DataFrame
    set_aside: pl.DataFrame
    known: pl.DataFrame


def decide(
    stock: Stock,
    known: pl.DataFrame,
    near_duplicate_similarity: float,
    erased: pl.Series,
    label_texts: LabelTexts,
) -> Decided:
    """Decide on each row of the stock.

    Args:
        stock: what has landed.
        known: what holds still of what was decided before, as `read_known` returns it.
        near_duplicate_similarity: from which on two texts are nearly the same; 1 looks for none.
        erased: `text_key` of texts that must not be learned from.
        label_texts: labels the texts that came without a label.
    """
    bands = BAND_COLUMNS if near_duplicate_similarity < 1 else ("text_key",)
    rows = stock.rows().join(known, on="number", how="left", maintain_order="left")
    is_anew = touched(rows, bands, stock.gather)
    anew = rows.filter(is_anew).drop("rule", "rule_before")
    read_bands = _reader(stock, anew["number"], bands)
    anew = anew.with_columns(cluster=clusters(anew, bands, read_bands))
    label_rows = partial(_labelled, stock=stock, label_texts=label_texts)
    left, left_out = _judged(anew, erased, label_rows, near_duplicate_similarity, read_bands)
    others = rows.filter(~is_anew).with_columns(rule=pl.coalesce("rule", "rule_before"))
    columns = ("number", "label", "label_source", "weight", "split")
    still = place(others.filter(pl.col("rule").is_null()))
    kept = pl.concat([left.select(columns), still.select(columns)]).sort("number")
    set_aside = pl.concat(
        [left_out, others.filter(pl.col("rule").is_not_null()).select("number", "rule")]
    ).sort("number")
    return Decided(kept, set_aside, _known(rows, is_anew, anew["cluster"], set_aside))


def _reader(stock: Stock, numbers: pl.Series, bands: tuple[str, ...]) -> ReadBands:
    """What reads bands of rows of these numbers: from memory, where they are few."""
    if len(numbers) > _FEW:
        return stock.gather
    held = stock.gather(numbers, bands)
    return lambda some, columns: held.select(columns)[numbers.search_sorted(some)]


def _judged(
    left: pl.DataFrame,
    erased: pl.Series,
    label_rows: Callable[[pl.DataFrame], pl.DataFrame],
    near_duplicate_similarity: float,
    read_bands: ReadBands,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of the rows of whole clusters: those to keep; and `number` and `rule` of the others."""
    aside = []

    def without(found: pl.DataFrame) -> pl.DataFrame:
        aside.append(found.select("number", "rule"))
        return left.join(found, on="number", how="anti", maintain_order="left")

    is_erased = pl.col("text_key").is_in(erased.implode())
    left = without(left.filter(is_erased).select("number", rule=pl.lit("ERASED")))
    left = place(label_rows(left))
    nameless = pl.col("label").is_null()
    left = without(left.filter(nameless).select("number", rule=pl.lit("UNLABELLED")))
    left = without(held_out(left))
    left = without(merge(left))
    if near_duplicate_similarity < 1:
        several = left.filter(pl.col("cluster").is_duplicated())
        left = without(near_duplicates(several, near_duplicate_similarity, read_bands))
    return left, pl.concat(aside)


def _known(
    rows: pl.DataFrame, is_anew: pl.Series, found: pl.Series, set_aside: pl.DataFrame
) -> pl.DataFrame:
    """What `read_known` is to return the next time; `found` are the clusters of the rows anew."""
    sound = pl.col("rule").is_null()
    cluster = rows["cluster"].scatter(is_anew.arg_true(), found)
    now = rows.select("number", cluster=pl.when(sound).then(cluster))
    before = set_aside.select("number", rule_before="rule")
    return now.join(before, on="number", how="left", maintain_order="left")


def _labelled(rows: pl.DataFrame, stock: Stock, label_texts: LabelTexts) -> pl.DataFrame:
    """Rows, those without a label with what the labelling functions say."""
    without = rows.filter(pl.col("label").is_null())
    if not len(without):
        return rows
    found = label_texts(stock.gather(without["number"], ["text", "origin"]))
    weak = without.select(pl.exclude("label", "label_source", "weight")).with_columns(
        label=found["label"],
        weight=found["weight"],
        label_source=pl.lit("weak").cast(rows.schema["label_source"]),
    )
    with_label = rows.filter(pl.col("label").is_not_null())
    return pl.concat([with_label, weak.select(rows.columns)]).sort("number")
