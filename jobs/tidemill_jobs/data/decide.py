"""What becomes of each row: a pure function of all rows, whatever the order they came in."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from tidemill_jobs.data.clusters import clustered
from tidemill_jobs.data.merge import merge
from tidemill_jobs.data.minhash import BAND_COLUMNS
from tidemill_jobs.data.near import near_duplicates
from tidemill_jobs.data.split import held_out, place
from tidemill_jobs.data.stock import Stock

LabelTexts = Callable[[pl.DataFrame], pl.DataFrame]
"""Gives rows of `text` and `origin` a `label` (null: it does not know) and `weight`, in order."""


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
    rows = stock.rows().join(known, on="number", how="left", maintain_order="left")
    rows = clustered(rows, _bands(near_duplicate_similarity), stock.gather)
    stays = rows.filter(pl.col("rule").is_null() & ~pl.col("anew"))
    anew = rows.filter("anew").drop("rule")
    left, left_out = _judged(anew, stock, near_duplicate_similarity, erased, label_texts)
    columns = ("number", "label", "label_source", "weight", "split")
    still = place(stays.filter(pl.col("was").is_null()))
    kept = pl.concat([left.select(columns), still.select(columns)]).sort("number")
    broken = rows.filter(pl.col("rule").is_not_null()).select("number", "rule")
    before = stays.filter(pl.col("was").is_not_null()).select("number", rule="was")
    set_aside = pl.concat([broken, before, left_out]).sort("number")
    outcomes = [
        kept.select("number", was=pl.lit(None, pl.String)),
        set_aside.rename({"rule": "was"}),
    ]
    now_known = pl.concat(outcomes).sort("number").with_columns(rows["cluster"])
    return Decided(kept, set_aside, now_known)


def _bands(near_duplicate_similarity: float) -> tuple[str, ...]:
    return BAND_COLUMNS if near_duplicate_similarity < 1 else ("text_key",)


def _judged(
    left: pl.DataFrame,
    stock: Stock,
    near_duplicate_similarity: float,
    erased: pl.Series,
    label_texts: LabelTexts,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Of whole clusters: the rows to keep, and `number` and `rule` of the others."""
    aside = []

    def without(found: pl.DataFrame) -> pl.DataFrame:
        aside.append(found.select("number", "rule"))
        return left.join(found, on="number", how="anti", maintain_order="left")

    is_erased = pl.col("text_key").is_in(erased.implode())
    left = without(left.filter(is_erased).select("number", rule=pl.lit("ERASED")))
    left = place(_labelled(left, stock, label_texts))
    nameless = pl.col("label").is_null()
    left = without(left.filter(nameless).select("number", rule=pl.lit("UNLABELLED")))
    left = without(held_out(left))
    left = without(merge(left))
    if near_duplicate_similarity < 1:
        several = left.filter(pl.col("cluster").is_duplicated())
        left = without(near_duplicates(several, near_duplicate_similarity, stock.gather))
    return left, pl.concat(aside)


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
