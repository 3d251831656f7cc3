"""What becomes of each row: a pure function of all rows, whatever the order they came in."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from tidemill_jobs.data.merge import merge
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
    """

    kept: pl.DataFrame
    set_aside: pl.DataFrame


def decide(
    stock: Stock, near_duplicate_similarity: float, erased: pl.Series, label_texts: LabelTexts
) -> Decided:
    """Decide on each row of the stock.

    Args:
        stock: what has landed.
        near_duplicate_similarity: from which on two texts are nearly the same; 1 looks for none.
        erased: `text_key` of texts that must not be learned from.
        label_texts: labels the texts that came without a label.
    """
    rows = stock.rows()
    aside = [rows.filter(pl.col("rule").is_not_null()).select("number", "rule")]
    left = rows.filter(pl.col("rule").is_null()).drop("rule")

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
        left = without(near_duplicates(left, near_duplicate_similarity, stock.gather))
    columns = ("number", "label", "label_source", "weight", "split")
    return Decided(left.select(columns).sort("number"), pl.concat(aside).sort("number"))


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
