"""Chunks: rows that are scored, kept and logged together.

Where a chunk ends depends only on the rows, so a run that is repeated makes the same chunks. The
digest of a chunk's texts shows whether the answers that an earlier run kept are those of its rows.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from tidemill_jobs.scoring.reading import RowBatch
from tidemill_jobs.scoring.reading.row import Row

CHUNK_ROWS = 4096
CHUNK_CHARACTERS = 4 << 20
"""A chunk ends with the row with which it has that many rows, or characters in its texts."""


@dataclass(frozen=True)
class Chunk:
    """Some rows.

    Attributes:
        number: its number, from 0.
        rows: its rows; at least one.
        digest: a hash of what their answers depend on, in hex.
        done: the share of the input up to its end, in [0, 1]; 0 if it is unknown.
        schema: the types of the columns, where the input has types.
    """

    number: int
    rows: Sequence[Row]
    digest: str
    done: float
    schema: pa.Schema | None


def chunks(batches: Iterable[RowBatch]) -> Iterator[Chunk]:
    """Yield all rows in chunks."""
    rows: list[Row] = []
    number = size = 0
    done, schema = 0.0, None
    for batch in batches:
        schema = batch.schema
        for place, row in enumerate(batch.rows, start=1):
            rows.append(row)
            size += len(row.text)
            if len(rows) == CHUNK_ROWS or size >= CHUNK_CHARACTERS:
                share = place / len(batch.rows)
                yield _chunk(number, rows, done + share * (batch.done - done), schema)
                rows, number, size = [], number + 1, 0
        done = batch.done
    if rows:
        yield _chunk(number, rows, done, schema)


def _chunk(number: int, rows: Sequence[Row], done: float, schema: pa.Schema | None) -> Chunk:
    digest = hashlib.blake2b(digest_size=16)
    for row in rows:
        digest.update(f"{row.problem}\0{len(row.text)}\0{row.text}".encode())
    return Chunk(number, rows, digest.hexdigest(), done, schema)
