"""Tombstones: what stays in a dataset version of rows whose text was erased."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from tidemill_core import dataset_folder
from tidemill_core.dataset_folder import (
    ERASED_FILE,
    EXAMPLES_FILE,
    MANIFEST_FILE,
    QUARANTINE_FILE,
    damaged,
    has_rows,
)
from tidemill_jobs.data.publishing.dataset import as_json, read_manifest
from tidemill_jobs.data.publishing.digests import row_digests
from tidemill_jobs.data.whole_files import written_whole

ERASED_COLUMNS: Mapping[str, Any] = {
    "text_hash": pl.String,
    "digest": pl.String,
    "label": pl.String,
    "label_source": pl.String,
    "split": pl.String,
}
"""What stands for a row whose text was erased: what the version's id is made of, and counts."""

PLACES: Mapping[str, Any] = dict.fromkeys(("source", "origin", "text_hash"), pl.String)
"""Where rows came in, and the hash that their text was asked for by; "" where it is gone already,
so that nobody knows any more."""


def erase_rows(
    folder: Path, asked: Mapping[str, str], landed: pl.DataFrame
) -> tuple[int, list[str]]:
    """Take texts out of a version, and leave a tombstone for each row.

    Args:
        folder: the version's.
        asked: for each hash of a text that must go, the one that it was asked for by: a text may
            have been changed by its cleaning.
        landed: PLACES of rows that had such a text when they came in; some of them were
            quarantined before they were hashed.

    Returns:
        How many tombstones it has now, and the hash that was asked for of each row that was found.

    Raises:
        DataError: DATASET_DAMAGED; NOT_WRITTEN.
    """
    version = read_manifest(folder)
    if not has_rows(folder):
        # Where only half of what it had was removed.
        (folder / QUARANTINE_FILE).unlink(missing_ok=True)
        return version.erased_count, []
    found = [*_erase_examples(folder, asked), *_erase_values(folder, asked, landed)]
    erased_count = len(_tombstones(folder))
    if erased_count != version.erased_count:
        _update_manifest(folder, {"erased_count": erased_count})
    return erased_count, found


def _erase_examples(folder: Path, asked: Mapping[str, str]) -> Iterable[str]:
    examples = _read(folder / EXAMPLES_FILE)
    gone = examples.filter(pl.col("text_hash").is_in(list(asked)))
    if len(gone):
        digested = gone.join(row_digests(gone), on="text_hash").select(list(ERASED_COLUMNS))
        # A tombstone that is there before its row has gone does no harm.
        tombstones = pl.concat([_tombstones(folder), digested]).unique("text_hash")
        _write(folder / ERASED_FILE, tombstones.sort("text_hash"))
        _write(folder / EXAMPLES_FILE, examples.join(gone, on="text_hash", how="anti"))
    return (asked[text_hash] for text_hash in gone["text_hash"])


def _erase_values(folder: Path, asked: Mapping[str, str], landed: pl.DataFrame) -> Iterable[str]:
    aside = _read(folder / QUARANTINE_FILE)
    places = landed.select("source", "origin", place="text_hash").unique(["source", "origin"])
    told = aside.join(places, on=["source", "origin"], how="left", maintain_order="left")
    by_hash = pl.col("text_hash").replace_strict(asked, default=None, return_dtype=pl.String)
    by_place = pl.when(pl.col("text_hash").is_null()).then("place")
    told = told.with_columns(
        found=pl.when(pl.col("value") != "").then(pl.coalesce(by_hash, by_place))
    )
    found = told["found"].drop_nulls()
    if len(found):
        value = pl.when(pl.col("found").is_null()).then("value").otherwise(pl.lit(""))
        _write(folder / QUARANTINE_FILE, told.with_columns(value=value).select(aside.columns))
    return found


def _tombstones(folder: Path) -> pl.DataFrame:
    erased = folder / ERASED_FILE
    return (
        pl.read_parquet(erased, glob=False)
        if erased.exists()
        else pl.DataFrame(schema=dict(ERASED_COLUMNS))
    )


def _read(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise damaged(path, error) from error


def _write(path: Path, rows: pl.DataFrame) -> None:
    with written_whole(path) as staged:
        rows.write_parquet(staged)


def _update_manifest(folder: Path, changes: Mapping[str, Any]) -> None:
    values = dataset_folder.read_manifest(folder)
    with written_whole(folder / MANIFEST_FILE) as staged:
        staged.write_text(as_json({**values, **changes}), encoding="utf-8")
