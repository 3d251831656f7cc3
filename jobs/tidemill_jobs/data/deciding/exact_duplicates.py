"""Exact duplicates: each text is kept once, with its most trusted label.

Texts are equal if their `text_key` is. Their label comes from the most trusted label source that
has a winner: people, users' feedback, the source, labeling functions, then models' own answers.
- The label with the most weight among a label source's rows wins. In a tie the source's rows are
  CONTRADICTORY_LABELS, and the next source decides.
- Rows of the winning source with another label are CONTRADICTORY_LABELS too; rows of a less
  trusted source are CORRECTED.
- One of the rows that agree is kept; the others are DUPLICATE.
The result does not depend on the order of the rows.
"""

import polars as pl

from tidemill_core.domain.dataset import Exclusion

_WEIGHT_UNITS = 1000
"""Weights are added as whole thousandths, so sums do not depend on the order."""


def exact_duplicates(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `number` and `rule` of the rows that are not kept.

    Args:
        rows: `number`, `text_key`, `exact_key`, `label`, `label_source` (TRUST) and `weight` of
            rows with text and label.
    """
    same = rows.filter(pl.col("text_key").is_duplicated())
    judged = same.join(_winners(same), on="text_key", how="left")
    agrees = pl.col("label") == pl.col("winner")
    wins = agrees & (pl.col("label_source") == pl.col("winning_source"))
    kept = (
        judged.filter(wins)
        .sort("text_key", "exact_key", -pl.col("weight"), "number")
        .unique("text_key", keep="first", maintain_order=True)
    )
    trust, winning = pl.col("label_source").to_physical(), pl.col("winning_source").to_physical()
    rule = (
        pl.when(agrees)
        .then(pl.lit(Exclusion.DUPLICATE))
        .when(trust > winning)
        .then(pl.lit(Exclusion.CORRECTED))
        .otherwise(pl.lit(Exclusion.CONTRADICTORY_LABELS))
    )
    others = judged.join(kept.select("number"), on="number", how="anti")
    return others.select("number", rule=rule)


def _winners(same: pl.DataFrame) -> pl.DataFrame:
    """Return `winner` and `winning_source` of each `text_key` for which a source has a winner."""
    units = (pl.col("weight") * _WEIGHT_UNITS).round().cast(pl.Int64)
    scores = same.group_by("text_key", "label_source", "label").agg(score=units.sum())
    top = pl.col("score").max()
    asked = scores.group_by("text_key", "label_source").agg(
        winner=pl.col("label").filter(pl.col("score") == top),
    )
    return (
        asked.filter(pl.col("winner").list.len() == 1)
        .sort("label_source")
        .unique("text_key", keep="first", maintain_order=True)
        .select("text_key", pl.col("winner").list.first(), winning_source="label_source")
    )
