"""A check that no version is published if too many rows of a source break a rule."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from tidemill_core import dataset_folder
from tidemill_core.counted import counted
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.domain.dataset import Exclusion, Outcome, outcome_of
from tidemill_core.errors import DataError
from tidemill_core.storage.database import Page
from tidemill_core.storage.datasets import DatasetStore
from tidemill_jobs.data.deciding.decide import Decided
from tidemill_jobs.data.deciding.prepared_rows import PreparedRows

_FEW_ROWS = 20
"""Minimum number of rows of which the share counts, after a source's first version: missing rows
count as valid, because one bad row in a night with one row is no reason to stop."""


def check_share(
    decided: Decided,
    catalog: DatasetStore,
    datasets: DatasetCopies,
    task: str,
    max_quarantine_share: float,
) -> None:
    """Check each source's rows in segments that no version was built from yet.

    Replaced rows do not count.

    Raises:
        DataError: TOO_MANY_QUARANTINED, for the first source with a greater share.
        ObjectStorageUnavailable, ObjectStorageRefused: earlier versions cannot be fetched.
    """
    segments = decided.rows.segments
    landed = {segment.source: segment.number for segment in segments}
    datasets.fetch_manifests()
    published = _published(catalog, datasets, task, landed)
    new = pl.Series([segment.number > published.get(segment.source, 0) for segment in segments])
    kept = decided.kept.select("number", rule=pl.lit(None, pl.String))
    excluded = decided.excluded.filter(pl.col("rule") != Exclusion.REPLACED)
    rules = [r for r in excluded["rule"].unique() if outcome_of(r) is Outcome.QUARANTINED]
    rows = pl.concat([kept, excluded])
    rows = rows.filter(new.gather(decided.rows.segment_of(rows["number"])))
    rows = rows.with_columns(
        source=decided.rows.source_of(rows["number"]),
        is_bad=pl.col("rule").is_in(rules),
    )
    for (source,), found in rows.sort("source").group_by("source", maintain_order=True):
        bad = found.filter("is_bad")
        counted = max(len(found), _FEW_ROWS if source in published else 0)
        if len(bad) > max_quarantine_share * counted:
            bad = bad.sort("number")
            raise _too_many(str(source), decided.rows, bad, len(found), max_quarantine_share)


def _published(
    catalog: DatasetStore, datasets: DatasetCopies, task: str, landed: Mapping[str, int]
) -> dict[str, int]:
    """Return, by source, the last segment in the newest version with that source.

    A source with fewer landed segments was read again from its beginning, and is omitted.
    """
    published: dict[str, int] = {}
    page = Page()
    while landed.keys() - published.keys():
        versions, token = catalog.page(task, page)
        for version in versions:
            folder = datasets.folder(task, version.dataset_version)
            published = {**_segments(folder), **published}
        if not token:
            break
        page = Page.parse(0, token)
    return {name: number for name, number in published.items() if number <= landed.get(name, 0)}


def _segments(folder: Path) -> dict[str, int]:
    """Return a version's segments by source; empty if its manifest is missing or has none."""
    try:
        recipe = dataset_folder.read_manifest(folder).get("recipe")
    except DataError:
        return {}
    return recipe.get("segments", {}) if isinstance(recipe, dict) else {}


def _too_many(
    source: str, rows: PreparedRows, bad: pl.DataFrame, total: int, share: float
) -> DataError:
    worst = bad["rule"].value_counts(sort=True).head(3)
    counts = ", ".join(f"{rule} {count}" for rule, count in worst.iter_rows())
    origin = rows.gather(bad["number"].head(1), ["origin"]).item()
    return DataError(
        "TOO_MANY_QUARANTINED",
        f"source {source}: {len(bad):,} of {counted(total, 'row')} since its last dataset "
        f"version break a rule ({counts}), more than max_quarantine_share = {share}; the first is "
        f"{origin} ({bad['rule'][0]}). Nothing was published; fix the source, or raise the share",
    )
