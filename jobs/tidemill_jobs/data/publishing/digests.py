"""The digests of a dataset version's rows, and its id, which is their hash."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl
import polars_hash as plh

from tidemill_core.dataset_folder import ERASED_FILE, damaged
from tidemill_jobs.data.whole_files import read_rows

_SEPARATOR = "\x1f"
"""The separator of a digest's fields; cleaned texts have no control characters."""

ERASED_COLUMNS: Mapping[str, Any] = {
    "text_hash": pl.String,
    "digest": pl.String,
    "label": pl.String,
    "label_source": pl.String,
    "split": pl.String,
}
"""Columns of a tombstone, which replaces an erased row: for the version's id and its counts."""


def row_digests(examples: pl.DataFrame) -> pl.DataFrame:
    """Return `text_hash` and `digest` of examples: the SHA-256, in hex, of the row's content."""
    thousandths = (pl.col("weight") * 1000).round().cast(pl.Int64).cast(pl.String)
    fields = ("text_hash", "text", "label", "label_source", "split", thousandths)
    rows = examples.select("text_hash", row=pl.concat_str(fields, separator=_SEPARATOR))
    return rows.select("text_hash", digest=plh.col("row").chash.sha2_256())


def content_id(task: str, digests: pl.DataFrame) -> str:
    """Return a version's id from its rows' digests.

    It is the SHA-256, in hex, of the task's name and the digests, sorted by `text_hash`.
    """
    digest = hashlib.sha256(json.dumps([task]).encode())
    ordered = digests.sort("text_hash")["digest"]
    for part in ordered.to_frame().iter_slices(100_000):
        digest.update("".join(part["digest"]).encode())
    return digest.hexdigest()


def all_digests(folder: Path, examples: pl.DataFrame) -> pl.DataFrame:
    """Return `row_digests` of a version's examples and of its erased rows.

    Raises:
        DataError: DATASET_DAMAGED.
    """
    digests = row_digests(examples)
    return pl.concat([digests, tombstones(folder).select(digests.columns)]).unique()


def tombstones(folder: Path) -> pl.DataFrame:
    """Return the tombstones of a version's erased rows: ERASED_COLUMNS.

    Raises:
        DataError: DATASET_DAMAGED.
    """
    if (folder / ERASED_FILE).exists():
        return read_rows(folder / ERASED_FILE, damaged)
    return pl.DataFrame(schema=dict(ERASED_COLUMNS))
