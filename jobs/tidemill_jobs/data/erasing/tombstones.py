"""Erasure of texts from a dataset version; a tombstone replaces each row."""

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
from tidemill_jobs.data.publishing.digests import ERASED_COLUMNS, row_digests, tombstones
from tidemill_jobs.data.whole_files import read_rows, written_whole

PLACES: Mapping[str, Any] = dict.fromkeys(("source", "origin", "text_hash"), pl.String)
"""The places of landed rows, and the requested hash of their text; "" if the text is already
erased, so that its hash is no longer known."""


def erase_rows(
    folder: Path, asked: Mapping[str, str], landed: pl.DataFrame
) -> tuple[int, list[str]]:
    """Erase texts from a version; a tombstone replaces each row.

    Args:
        folder: the version's folder.
        asked: the requested hash for each hash of a text to erase; cleaning may have changed the
            text.
        landed: PLACES of landed rows with such a text; some were quarantined without a hash.

    Returns:
        The number of the version's tombstones, and the requested hash of each erased row.

    Raises:
        DataError: DATASET_DAMAGED; NOT_WRITTEN.
    """
    version = read_manifest(folder)
    if not has_rows(folder):
        # Someone may have removed only the examples.
        (folder / QUARANTINE_FILE).unlink(missing_ok=True)
        return version.erased_count, []
    found = [*_erase_examples(folder, asked), *_erase_values(folder, asked, landed)]
    erased_count = len(tombstones(folder))
    if erased_count != version.erased_count:
        _update_manifest(folder, {"erased_count": erased_count})
    return erased_count, found


def _erase_examples(folder: Path, asked: Mapping[str, str]) -> Iterable[str]:
    examples = read_rows(folder / EXAMPLES_FILE, damaged)
    gone = examples.filter(pl.col("text_hash").is_in(list(asked)))
    if len(gone):
        digested = gone.join(row_digests(gone), on="text_hash").select(list(ERASED_COLUMNS))
        # A tombstone whose row still exists does no harm.
        erased = pl.concat([tombstones(folder), digested]).unique("text_hash")
        _write(folder / ERASED_FILE, erased.sort("text_hash"))
        _write(folder / EXAMPLES_FILE, examples.join(gone, on="text_hash", how="anti"))
    return (asked[text_hash] for text_hash in gone["text_hash"])


def _erase_values(folder: Path, asked: Mapping[str, str], landed: pl.DataFrame) -> Iterable[str]:
    excluded = read_rows(folder / QUARANTINE_FILE, damaged)
    places = landed.select("source", "origin", place="text_hash").unique(["source", "origin"])
    rows = excluded.join(places, on=["source", "origin"], how="left", maintain_order="left")
    by_hash = pl.col("text_hash").replace_strict(asked, default=None, return_dtype=pl.String)
    by_place = pl.when(pl.col("text_hash").is_null()).then("place")
    rows = rows.with_columns(
        found=pl.when(pl.col("value") != "").then(pl.coalesce(by_hash, by_place))
    )
    found = rows["found"].drop_nulls()
    if len(found):
        value = pl.when(pl.col("found").is_null()).then("value").otherwise(pl.lit(""))
        _write(folder / QUARANTINE_FILE, rows.with_columns(value=value).select(excluded.columns))
    return found


def _write(path: Path, rows: pl.DataFrame) -> None:
    with written_whole(path) as staged:
        rows.write_parquet(staged)


def _update_manifest(folder: Path, changes: Mapping[str, Any]) -> None:
    values = dataset_folder.read_manifest(folder)
    with written_whole(folder / MANIFEST_FILE) as staged:
        staged.write_text(as_json({**values, **changes}), encoding="utf-8")
