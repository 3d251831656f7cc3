"""The content of a dataset version, from the decisions on its rows."""

import polars as pl

from tidemill_core.domain.dataset import Outcome, outcome_of
from tidemill_core.text_repair import REPAIR_VERSION
from tidemill_jobs.data.deciding.decide import Decided
from tidemill_jobs.data.deciding.weak_labels.weak_labels import WeakLabels
from tidemill_jobs.data.publishing.dataset import EXAMPLE_COLUMNS, QUARANTINE_COLUMNS, Content
from tidemill_jobs.data.recipe import Recipe
from tidemill_jobs.data.text_hashing import text_key


def assemble(task: str, recipe: Recipe, decided: Decided, weak: WeakLabels | None) -> Content:
    """Return the content of a version of these rows, which `recipe` and `weak` decided on."""
    examples, excluded = _examples(decided), _excluded(decided)
    return Content(
        task=task,
        examples=examples,
        excluded=excluded,
        source_counts=_source_counts(decided, excluded),
        recipe={
            "settings": recipe.settings(),
            "text_repair": REPAIR_VERSION,
            "segments": {segment.source: segment.number for segment in decided.rows.segments},
            "labeling_functions": None if weak is None else weak.source,
        },
        labeling_functions=() if weak is None else weak.report(examples),
    )


def _examples(decided: Decided) -> pl.DataFrame:
    kept = decided.kept
    others = decided.rows.gather(kept["number"], ["text", "annotator", "origin", "text_hash"])
    rows = pl.concat([kept.drop("number"), others], how="horizontal").with_columns(
        pl.col("label_source").cast(pl.String), pl.col("annotator").fill_null("")
    )
    # The key, the start of the hash, is unique, and sorting numbers is five times as fast.
    return rows.select(list(EXAMPLE_COLUMNS)).sort(text_key(pl.col("text_hash")))


def _excluded(decided: Decided) -> pl.DataFrame:
    numbers, rules = decided.excluded["number"], decided.excluded["rule"]
    outcomes = {rule: str(outcome_of(rule)) for rule in rules.unique()}
    others = decided.rows.gather(numbers, ["origin", "value", "label", "text_hash"])
    return others.select(
        "origin",
        "text_hash",
        source=decided.rows.source_of(numbers),
        rule=rules,
        outcome=rules.replace_strict(outcomes, return_dtype=pl.String),
        value=pl.coalesce("value", "label", pl.lit("")),
    ).select(list(QUARANTINE_COLUMNS))


def _source_counts(decided: Decided, excluded: pl.DataFrame) -> dict[str, dict[str, int]]:
    kept = pl.DataFrame({"source": decided.rows.source_of(decided.kept["number"])})
    rows = pl.concat(
        [
            kept.with_columns(outcome=pl.lit(str(Outcome.KEPT))),
            excluded.select("source", "outcome"),
        ]
    )
    counts: dict[str, dict[str, int]] = {}
    for source, outcome, count in (
        rows.group_by("source", "outcome").len().sort(rows.columns).rows()
    ):
        counts.setdefault(source, {})[outcome] = count
    return counts
