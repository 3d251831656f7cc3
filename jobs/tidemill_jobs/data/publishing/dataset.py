"""Immutable dataset versions on disk.

    <state_dir>/datasets/<task>/<id>/examples.parquet     EXAMPLE_COLUMNS, sorted by text_hash
                                    /quarantine.parquet   QUARANTINE_COLUMNS of all other rows
                                    /manifest.json        the catalog's entry, and the inputs and
                                                          settings of the build
                                    /erased.parquet       tombstones of erased rows, if any

The id is the SHA-256 of the rows' content, not of the files: the same input gives the same id on
any machine and with any version of the Parquet writer. A version is written under a temporary name
and then renamed, so readers never see half a version. If a build has the content of an existing
version, it updates that version's other facts: origins, annotators and excluded rows. If such a
build is killed, the next one repairs the version.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

import polars as pl

from tidemill_core import dataset_folder
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.dataset_folder import (
    EXAMPLES_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    damaged,
    rows_removed,
)
from tidemill_core.domain.dataset import DatasetVersion
from tidemill_jobs.data.publishing.dataset_profile import dataset_profile
from tidemill_jobs.data.publishing.digests import all_digests, content_id, row_digests, tombstones
from tidemill_jobs.data.whole_files import rename_whole, staged_folder, written_whole

EXAMPLE_COLUMNS: Mapping[str, Any] = {
    "text": pl.String,
    "label": pl.String,
    "label_source": pl.String,
    "weight": pl.Float64,
    "annotator": pl.String,
    "origin": pl.String,
    "split": pl.String,
    "text_hash": pl.String,
}
"""One row a text; `weight` is in (0, 1]."""

QUARANTINE_COLUMNS: Mapping[str, Any] = {
    "source": pl.String,
    "origin": pl.String,
    "rule": pl.String,
    "outcome": pl.String,
    "value": pl.String,
    "text_hash": pl.String,
}
"""One row for each ingested row that is not an example. `value` is the value that broke the rule,
or the label of a valid row; `text_hash` leads to the example that was kept instead, if any."""


@dataclass(frozen=True)
class Content:
    """The content of a dataset version.

    Attributes:
        task: the task.
        examples: EXAMPLE_COLUMNS, sorted by text_hash.
        excluded: QUARANTINE_COLUMNS.
        source_counts: ingested rows by source and outcome.
        recipe: inputs and settings of the build: JSON values, for the manifest.
        labeling_functions: their report by `WeakLabels.report`, for the manifest.
    """

    task: str
    examples: pl.DataFrame
    excluded: pl.DataFrame
    source_counts: Mapping[str, Mapping[str, int]]
    recipe: Mapping[str, Any]
    labeling_functions: Sequence[Mapping[str, Any]] = ()


def publish(
    content: Content, datasets: DatasetCopies, parents: tuple[str, ...], now: datetime
) -> DatasetVersion:
    """Write a version into the folder of its task's versions, completely or not at all.

    Returns:
        The version; if its content already exists, with the `create_time` and parents of its
        first build.

    Raises:
        DataError: NOT_WRITTEN; or DATASET_DAMAGED for an existing version with its id.
        ObjectStorageUnavailable, ObjectStorageRefused: it is written here, but not stored. The
            next build stores it.
    """
    dataset_version = content_id(content.task, row_digests(content.examples))
    target = datasets.root / content.task / dataset_version
    version = _describe(content, dataset_version, str(target), parents, now)
    with datasets.changing(target):
        return _update(content, version, target) if target.exists() else _create(content, version)


def _create(content: Content, version: DatasetVersion) -> DatasetVersion:
    target = Path(version.uri)
    with staged_folder(target.parent) as staged:
        # Level 1 takes half the time of the default and 6 % more space.
        content.examples.write_parquet(staged / EXAMPLES_FILE, compression_level=1)
        content.excluded.write_parquet(staged / QUARANTINE_FILE, compression_level=1)
        (staged / MANIFEST_FILE).write_text(_manifest(version, content), encoding="utf-8")
        rename_whole(staged, target)
    return version


def read_dataset(uri: str) -> pl.DataFrame:
    """Return the examples of a version, without erased ones: EXAMPLE_COLUMNS, sorted by text_hash.

    Raises:
        DataError: DATASET_MISSING; DATASET_REMOVED: only its manifest is left; or DATASET_DAMAGED:
            it cannot be read, or its rows differ from the published ones.
    """
    folder = Path(uri)
    version = read_manifest(folder)
    try:
        examples = pl.read_parquet(folder / EXAMPLES_FILE, glob=False)
        found = content_id(version.task, all_digests(folder, examples))
    except FileNotFoundError as error:
        raise rows_removed(folder) from error
    except (OSError, pl.exceptions.PolarsError) as error:
        raise damaged(folder / EXAMPLES_FILE, error) from error
    if found != version.dataset_version:
        raise damaged(folder / EXAMPLES_FILE, "its rows are not those that were published")
    return examples


def _describe(
    content: Content, dataset_version: str, uri: str, parents: tuple[str, ...], now: datetime
) -> DatasetVersion:
    return DatasetVersion(
        dataset_version=dataset_version,
        task=content.task,
        uri=uri,
        row_counts=_counts(content.examples["split"]),
        label_counts=_counts(content.examples["label"]),
        label_source_counts=_counts(content.examples["label_source"]),
        quarantine_counts=_counts(content.excluded["rule"]),
        create_time=now,
        build_time=now,
        source_counts=content.source_counts,
        parents=parents,
        code_version=installed_version("tidemill"),
    )


def _counts(values: pl.Series) -> dict[str, int]:
    return dict(sorted(values.value_counts().iter_rows()))


def _update(content: Content, version: DatasetVersion, target: Path) -> DatasetVersion:
    """Update the facts of a version whose content already exists."""
    first = read_manifest(target)
    is_newest = version.parents == (version.dataset_version,)
    updated = replace(
        version,
        create_time=first.create_time,
        parents=first.parents,
        code_version=first.code_version,
        erased_count=first.erased_count,
    )
    # The files of an unchanged version stay the same, for DVC.
    recorded = replace(updated, build_time=first.build_time) if is_newest else updated
    manifest = _manifest(recorded, content)
    write_rows(content, target)
    if manifest != (target / MANIFEST_FILE).read_text(encoding="utf-8"):
        with written_whole(target / MANIFEST_FILE) as staged:
            staged.write_text(manifest, encoding="utf-8")
    return updated


def write_rows(content: Content, folder: Path) -> None:
    """Write the excluded rows and the examples into a version's folder, if they differ.

    Raises:
        DataError: DATASET_DAMAGED or NOT_WRITTEN.
    """
    erased = tombstones(folder)
    examples = content.examples.join(erased, on="text_hash", how="anti", maintain_order="left")
    # Examples last, because a version with examples counts as complete.
    for name, rows in ((QUARANTINE_FILE, content.excluded), (EXAMPLES_FILE, examples)):
        if not _holds(folder / name, rows):
            with written_whole(folder / name) as staged:
                rows.write_parquet(staged)


def _holds(path: Path, rows: pl.DataFrame) -> bool:
    try:
        return rows.equals(pl.read_parquet(path, glob=False))
    except (OSError, pl.exceptions.PolarsError):
        return False


def _manifest(version: DatasetVersion, content: Content) -> str:
    """Return a version as JSON, without its path, because the folder may be moved."""
    values = asdict(version)
    del values["uri"]
    values |= {name: values[name].isoformat() for name in ("create_time", "build_time")}
    schema = {name: str(kind()) for name, kind in EXAMPLE_COLUMNS.items()}
    values |= {"outcome_counts": version.outcome_counts, "schema": schema}
    values |= {
        "recipe": content.recipe,
        "profile": dataset_profile(content.examples, content.excluded),
    }
    values |= {"labeling_functions": content.labeling_functions}
    return as_json(values)


def as_json(manifest: Mapping[str, Any]) -> str:
    """Return a manifest's text."""
    return json.dumps(manifest, indent=2, ensure_ascii=False)


def read_manifest(folder: Path) -> DatasetVersion:
    """Return a version from its manifest, with its current folder.

    Raises:
        DataError: DATASET_MISSING or DATASET_DAMAGED.
    """
    manifest = dataset_folder.read_manifest(folder)
    try:
        names = {known.name for known in fields(DatasetVersion)}
        values = {name: value for name, value in manifest.items() if name in names}
        known = {**values, "uri": str(folder), "parents": tuple(values.get("parents", ()))}
        known["create_time"] = datetime.fromisoformat(values["create_time"])
        known["build_time"] = dataset_folder.build_time(manifest)
        return DatasetVersion(**known)
    except (ValueError, TypeError, KeyError) as error:
        raise damaged(folder / MANIFEST_FILE, error) from error
