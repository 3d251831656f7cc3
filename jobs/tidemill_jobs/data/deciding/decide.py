"""What becomes of each row: a pure function of all rows, whatever the order they came in."""

from collections.abc import Sequence, Set
from dataclasses import dataclass

import polars as pl

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
        rows: where their other columns are.
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
        near_duplicate_similarity: from which on two texts are nearly the same; 1 looks for none.
        erased: `content_hash` of texts that must not be learned from.
        weak: labels the texts that came without a label; None leaves them UNLABELLED.
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
        ).with_columns(rule=pl.lit("ERASED"))
    )
    left = place(_labeled(left, rows, weak))
    left = without(left.filter(pl.col("label").is_null()).with_columns(rule=pl.lit("UNLABELLED")))
    left = without(held_out(left))
    left = without(exact_duplicates(left))
    if near_duplicate_similarity < 1:
        left = without(near_duplicates(left, near_duplicate_similarity, rows.gather))
    return Decided(rows, left.select(_KEPT), pl.concat(excluded).sort("number"))


def _labeled(left: pl.DataFrame, rows: PreparedRows, weak: WeakLabels | None) -> pl.DataFrame:
    """Rows, those without a label with what the labeling functions say."""
    without = left.filter(pl.col("label").is_null())
    if weak is None or not len(without):
        return left
    found = weak.label_texts(rows.gather(without["number"], ["text", "origin"]))
    labeled = without.with_columns(
        label=found["label"],
        weight=found["weight"],
        label_source=pl.lit("weak").cast(left.schema["label_source"]),
    )
    return pl.concat([left.filter(pl.col("label").is_not_null()), labeled]).sort("number")
