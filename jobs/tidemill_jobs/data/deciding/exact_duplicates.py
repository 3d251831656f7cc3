"""Keep each text once, with the label that is trusted most.

Texts are the same if their `text_key` is. For each, the label sources are asked in the order of
their trust: people, users' feedback, the source, labelling functions.
- The label with the most weight among a label source's rows wins. In a tie that source does not
  know: its rows are CONTRADICTORY_LABELS, and the next one is asked.
- Rows of the winning source with another label are CONTRADICTORY_LABELS too; rows of a less
  trusted one are CORRECTED.
- Of the rows that agree, one is kept and the others are DUPLICATE.
None of it depends on the order of the rows.
"""

import polars as pl

_WEIGHT_UNITS = 1000
"""Weights are added up as whole thousandths: sums that do not depend on their order."""


def exact_duplicates(rows: pl.DataFrame) -> pl.DataFrame:
    """Decide which row of each text is kept.

    Args:
        rows: `number`, `text_key`, `exact_key`, `label`, `label_source` (TRUST) and `weight` of
            rows that have both text and label.

    Returns:
        `number` and `rule` of the other rows.
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
        .then(pl.lit("DUPLICATE"))
        .when(trust > winning)
        .then(pl.lit("CORRECTED"))
        .otherwise(pl.lit("CONTRADICTORY_LABELS"))
    )
    others = judged.join(kept.select("number"), on="number", how="anti")
    return others.select("number", rule=rule)


def _winners(same: pl.DataFrame) -> pl.DataFrame:
    """The `winner` and `winning_source` of each `text_key` that a label source knows."""
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
