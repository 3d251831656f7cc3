"""A profile of a version in figures, computed when it is published, and stored in its manifest.

It has no texts, because a manifest stays when a text is erased.
"""

from typing import Any

import polars as pl

from tidemill_core.domain.dataset import Exclusion
from tidemill_jobs.data.text_hashing import text_key

_QUANTILES = {"min": 0.0, "p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}
_PLACES = 3
_SAYS_A_LABEL = (
    *(Exclusion.DUPLICATE, Exclusion.CORRECTED),
    *(Exclusion.CONTRADICTORY_LABELS, Exclusion.HELD_OUT),
)
"""Rules that exclude a row with a valid text and label."""


def dataset_profile(examples: pl.DataFrame, excluded: pl.DataFrame) -> dict[str, Any]:
    """Return the profile of a version's EXAMPLE_COLUMNS and QUARANTINE_COLUMNS, as JSON values.

    They are `lengths`, quantiles of the texts' lengths in characters, by name; `length_counts`,
    `rows` by powers of two of the length: `from` and `to`, both included; `excluded`, by rule:
    `outcome`, `rows` and the first few `places`; `agreement`: the number of `texts` that had a
    label more than once, and of those with equal labels, `agreed`.
    """
    lengths = examples["text"].str.len_chars().sort()
    return {
        "lengths": {
            name: int(lengths.quantile(share, "nearest") or 0) for name, share in _QUANTILES.items()
        },
        "length_counts": _length_counts(lengths),
        "excluded": _excluded(excluded),
        "agreement": _agreement(examples, excluded),
    }


def _length_counts(lengths: pl.Series) -> list[dict[str, int]]:
    bits = 32 - lengths.cast(pl.UInt32).bitwise_leading_zeros().cast(pl.Int64)
    powers = (bits - 1).value_counts().sort(lengths.name)
    return [
        {"from": 2**power, "to": 2 ** (power + 1) - 1, "rows": rows}
        for power, rows in powers.iter_rows()
    ]


def _excluded(rows: pl.DataFrame) -> dict[str, dict[str, Any]]:
    by_rule = rows.group_by("rule").agg(
        pl.col("outcome").first(), pl.len().alias("rows"), pl.col("origin").head(_PLACES)
    )
    return {
        rule: {"outcome": outcome, "rows": count, "places": places}
        for rule, outcome, count, places in by_rule.sort("rule").iter_rows()
    }


def _agreement(examples: pl.DataFrame, excluded: pl.DataFrame) -> dict[str, int]:
    said = excluded.filter(pl.col("rule").is_in(_SAYS_A_LABEL) & (pl.col("value") != ""))
    key = text_key(pl.col("text_hash"))
    repeated = said.select(key=key, label="value")
    kept = examples.select("label", key=key).join(repeated, on="key", how="semi")
    texts = (
        pl.concat([repeated, kept.select("key", "label")])
        .group_by("key")
        .agg(pl.len().alias("times"), pl.col("label").n_unique().alias("labels"))
    )
    several = texts.filter(pl.col("times") > 1)
    return {"texts": len(several), "agreed": len(several.filter(pl.col("labels") == 1))}
