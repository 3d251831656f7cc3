"""What a dataset version is known by: its rows' digests, and its id made of them."""

import hashlib
import json
from pathlib import Path

import polars as pl
import polars_hash as plh

from tidemill_core.dataset_folder import ERASED_FILE

_SEPARATOR = "\x1f"
"""Between the fields of a row's digest; cleaning lets no control character through."""


def row_digests(examples: pl.DataFrame) -> pl.DataFrame:
    """`text_hash` and `digest` of examples: the SHA-256, in hex, of what identifies a row."""
    thousandths = (pl.col("weight") * 1000).round().cast(pl.Int64).cast(pl.String)
    fields = ("text_hash", "text", "label", "label_source", "split", thousandths)
    rows = examples.select("text_hash", row=pl.concat_str(fields, separator=_SEPARATOR))
    return rows.select("text_hash", digest=plh.col("row").chash.sha2_256())


def content_id(task: str, digests: pl.DataFrame) -> str:
    """A version's id, from its rows' digests.

    It is the SHA-256, in hex, of the task's name and of the digests in the order of their texts'
    hashes.
    """
    digest = hashlib.sha256(json.dumps([task]).encode())
    ordered = digests.sort("text_hash")["digest"]
    for part in ordered.to_frame().iter_slices(100_000):
        digest.update("".join(part["digest"]).encode())
    return digest.hexdigest()


def all_digests(folder: Path, examples: pl.DataFrame) -> pl.DataFrame:
    """`row_digests` of a version's examples, and of the rows that were erased from it since."""
    digests = row_digests(examples)
    erased = folder / ERASED_FILE
    if not erased.exists():
        return digests
    return pl.concat(
        [digests, pl.read_parquet(erased, columns=digests.columns, glob=False)]
    ).unique()
