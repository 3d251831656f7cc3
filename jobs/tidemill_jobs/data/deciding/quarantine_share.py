"""Keeps a version with a hole from being published: too much of a source broke a rule."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tidemill_core import dataset_folder
from tidemill_core.domain.dataset import Outcome, outcome_of
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_core.storage.datasets import DatasetStore
from tidemill_jobs.data.deciding.decide import Decided
from tidemill_jobs.data.deciding.prepared_rows import PreparedRows

_FEW_ROWS = 20
"""A night may bring one row; that it is bad is no reason to stop. So after a source's first version
its share is one of at least so many rows, as if those that did not come were sound."""


def check_share(
    decided: Decided, datasets: DatasetStore, task: str, max_quarantine_share: float
) -> None:
    """Check each source's rows of the segments that no version was built from yet.

    Rows that were replaced since are not counted.

    Args:
        decided: what became of the rows.
        datasets: the versions that there are.
        task: the task.
        max_quarantine_share: the share of its rows that may break a rule.

    Raises:
        DataError: TOO_MANY_QUARANTINED, of the first source with a greater share.
    """
    segments = decided.rows.segments
    landed = {segment.source: segment.number for segment in segments}
    published = _published(datasets, task, landed)
    new = pl.Series([segment.number > published.get(segment.source, 0) for segment in segments])
    kept = decided.kept.select("number", rule=pl.lit("", pl.String))
    rows = pl.concat([kept, decided.excluded.filter(pl.col("rule") != "REPLACED")])
    rows = rows.filter(new.gather(decided.rows.segment_of(rows["number"])))
    rows = rows.with_columns(
        source=decided.rows.source_of(rows["number"]),
        is_bad=pl.col("rule").is_in([rule for rule in rows["rule"].unique() if _quarantines(rule)]),
    )
    for (source,), found in rows.sort("source").group_by("source", maintain_order=True):
        bad = found.filter("is_bad")
        counted = max(len(found), _FEW_ROWS if source in published else 0)
        if len(bad) > max_quarantine_share * counted:
            bad = bad.sort("number")
            raise _too_many(str(source), decided.rows, bad, len(found), max_quarantine_share)


def _published(datasets: DatasetStore, task: str, landed: Mapping[str, int]) -> dict[str, int]:
    """For each source the segment up to which the newest version that has it was built.

    A source that has landed less than that was read from its beginning since: it is left out.
    """
    published: dict[str, int] = {}
    page = Page()
    while landed.keys() - published.keys():
        versions, token = datasets.page(task, page)
        for version in versions:
            published = {**_segments(Path(version.uri)), **published}
        if not token:
            break
        page = Page.parse(0, token)
    return {name: number for name, number in published.items() if number <= landed.get(name, 0)}


def _segments(folder: Path) -> dict[str, int]:
    """What a version was built from; nothing where its manifest is gone, or does not say it."""
    try:
        recipe = dataset_folder.read_manifest(folder).get("recipe")
    except DataError:
        return {}
    return recipe.get("segments", {}) if isinstance(recipe, dict) else {}


def _quarantines(rule: str) -> bool:
    return rule != "" and outcome_of(rule) is Outcome.QUARANTINED


def _too_many(
    source: str, rows: PreparedRows, bad: pl.DataFrame, total: int, share: float
) -> DataError:
    worst = bad["rule"].value_counts(sort=True).head(3)
    counts = ", ".join(f"{rule} {count}" for rule, count in worst.iter_rows())
    origin = rows.gather(bad["number"].head(1), ["origin"]).item()
    return DataError(
        "TOO_MANY_QUARANTINED",
        f"source {source}: {len(bad)} of the {total} rows that came in since its last dataset "
        f"version break a rule ({counts}), more than max_quarantine_share = {share}: the first is "
        f"{origin}, under {bad['rule'][0]}. Nothing was published; fix the source, or raise the "
        "share",
    )
