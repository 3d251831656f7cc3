"""The decision to keep or exclude each row: a pure function of all rows, in any order."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import polars as pl

from tidemill_core.domain.dataset import Exclusion
from tidemill_core.domain.example import LabelSource
from tidemill_core.domain.label_names import Renames
from tidemill_jobs.data.deciding.exact_duplicates import exact_duplicates
from tidemill_jobs.data.deciding.near_duplicates import near_duplicates
from tidemill_jobs.data.deciding.prepared_rows import PreparedRows
from tidemill_jobs.data.deciding.split import held_out, place
from tidemill_jobs.data.deciding.weak_labels.weak_labels import WeakLabels
from tidemill_jobs.data.preparing.prepare import Prepared
from tidemill_jobs.data.text_hashing import text_key

_KEPT = ("number", "label", "label_source", "weight", "split")


@dataclass(frozen=True)
class Decided:
    """All rows, each either kept or excluded.

    Attributes:
        rows: their other columns.
        kept: `number`, `label`, `label_source`, `weight` and `split`, by ascending number.
        excluded: `number` and `rule`, by ascending number.
    """

    rows: PreparedRows
    kept: pl.DataFrame
    excluded: pl.DataFrame


def decide(
    prepared: Sequence[Prepared],
    renames: Renames,
    near_duplicate_similarity: float,
    erased: Set[str],
    weak: WeakLabels | None,
) -> Decided:
    """Decide on each row.

    Args:
        prepared: all segments, at least one.
        renames: new names of labels by their old ones.
        near_duplicate_similarity: similarity from which two texts are near duplicates; 1 turns the
            search off.
        erased: `content_hash` of erased texts, which no model may learn from.
        weak: labels the texts without a label; with None they stay UNLABELLED.
    """
    rows = PreparedRows(prepared, renames)
    every = rows.rows()
    broken = pl.col("rule").is_not_null()
    excluded = [every.filter(broken).select("number", "rule")]
    left = every.filter(~broken).drop("rule")

    def without(found: pl.DataFrame) -> pl.DataFrame:
        excluded.append(found.select("number", "rule"))
        return left.join(found, on="number", how="anti", maintain_order="left")

    keys = pl.DataFrame({"text_hash": list(erased)}, {"text_hash": pl.String})
    left = without(
        left.join(
            keys.select(text_key=text_key(pl.col("text_hash"))), on="text_key", how="semi"
        ).with_columns(rule=pl.lit(Exclusion.ERASED))
    )
    left = place(_labeled(left, rows, weak))
    unlabeled = left.filter(pl.col("label").is_null())
    left = without(unlabeled.with_columns(rule=pl.lit(Exclusion.UNLABELLED)))
    left = without(held_out(left))
    left = without(exact_duplicates(left))
    if near_duplicate_similarity < 1:
        left = without(near_duplicates(left, near_duplicate_similarity, rows.gather))
    return Decided(rows, left.select(_KEPT), pl.concat(excluded).sort("number"))


def _labeled(left: pl.DataFrame, rows: PreparedRows, weak: WeakLabels | None) -> pl.DataFrame:
    """Return the rows; rows without a label get one from the labeling functions."""
    without = left.filter(pl.col("label").is_null())
    if weak is None or not len(without):
        return left
    found = weak.label_texts(rows.gather(without["number"], ["text", "origin"]))
    labeled = without.with_columns(
        label=found["label"],
        weight=found["weight"],
        label_source=pl.lit(LabelSource.WEAK).cast(left.schema["label_source"]),
    )
    return pl.concat([left.filter(pl.col("label").is_not_null()), labeled]).sort("number")
