"""Parquet: rows from a file's columns, each with its number in the file."""

import hashlib
from collections.abc import Iterator
from typing import IO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.found import NOTHING, Found, Piece, checked
from tidemill_jobs.data.sources.source import BATCH_ROWS, ROWS

_HASHED_BYTES = 1 << 20


def content_digest(file: IO[bytes]) -> str:
    """SHA-256 of a file, in hex; the file is left at its beginning."""
    digest = hashlib.sha256()
    while chunk := file.read(_HASHED_BYTES):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def read_parquet(file: IO[bytes], part: str, done: int, settings: FilesSource) -> Iterator[Piece]:
    """Rows from the one of index `done` on, at most BATCH_ROWS a piece.

    Raises:
        DataError: EMPTY_FILE, SOURCE_UNREADABLE, MISSING_COLUMN, AMBIGUOUS_COLUMN or
            WRONG_COLUMN_TYPE; names the file and the column.
    """
    parquet = _opened(file, part)
    names = _wanted(settings)
    _check_columns(parquet, part, names)
    start = 0
    for batch in parquet.iter_batches(BATCH_ROWS, columns=sorted(set(names.values()))):
        end = start + len(batch)
        if end > done:
            batch.validate(full=True)
            frame = pl.from_arrow(batch)
            assert isinstance(frame, pl.DataFrame)  # noqa: S101 -- for the type checker
            numbered = frame.with_row_index("row", start + 1).slice(max(done - start, 0))
            yield _piece(numbered, part, names)
        start = end


def _opened(file: IO[bytes], part: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, pre_buffer=False)
    except pa.ArrowInvalid as error:
        file.seek(0)
        if not file.read(1):
            raise DataError("EMPTY_FILE", f"{part} is empty; remove it, or fill it") from error
        cure = "write it again, and the next run reads it"
        told = f"{part} cannot be read, it may be cut off: {error}; {cure}"
        raise DataError("SOURCE_UNREADABLE", told) from error


def _wanted(settings: FilesSource) -> dict[str, str]:
    """The columns that are read, by what they are read as."""
    names = {
        "text": settings.text_column,
        "label": settings.label_column,
        "annotator": settings.annotator_column,
        "time": settings.time_column,
    }
    return {role: name for role, name in names.items() if name}


def _check_columns(parquet: pq.ParquetFile, part: str, names: dict[str, str]) -> None:
    schema = parquet.schema_arrow
    for role, name in names.items():
        if schema.names.count(name) > 1:
            raise DataError("AMBIGUOUS_COLUMN", f"{part}: several columns {name!r}; rename one")
        if name not in schema.names:
            told = f"{part}: no column {name!r} among {', '.join(schema.names)}"
            raise DataError("MISSING_COLUMN", f"{told}; mend the file, or the source's settings")
        found = schema.field(name).type
        if not _is_fit(role, found):
            cure = f"write the {role} column as {'a time' if role == 'time' else 'text'}"
            raise DataError("WRONG_COLUMN_TYPE", f"{part}: column {name!r} is {found}; {cure}")


def _is_fit(role: str, found: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    types = pa.types
    if types.is_string(found) or types.is_large_string(found) or types.is_null(found):
        return True
    if role == "time":
        return bool(types.is_timestamp(found) or types.is_date(found))
    return role != "text" and bool(types.is_integer(found) or types.is_boolean(found))


def _piece(frame: pl.DataFrame, part: str, names: dict[str, str]) -> Piece:
    """Rows of a frame that has their number in the file as `row`."""
    frame = frame.select(
        pl.concat_str(pl.lit(f"{part}:"), "row").alias("origin"),
        *(pl.col(name).alias(role) for role, name in names.items()),
    )
    time = frame.schema.get("time", pl.Null())
    if time == pl.String or isinstance(time, pl.Categorical):
        found = (Found(key=None, **row) for row in frame.iter_rows(named=True))
        return checked(part, found)
    if isinstance(time, pl.Datetime) and time.time_zone is None:
        frame = frame.with_columns(pl.col("time").dt.replace_time_zone("UTC"))
    rows = frame.select(
        *(pl.col(c).cast(kind) for c, kind in ROWS.items() if c in frame.columns),
        *(pl.lit(None, kind).alias(c) for c, kind in ROWS.items() if c not in frame.columns),
    ).with_columns(pl.lit(part).alias("part"))
    return Piece(rows.select(list(ROWS)), NOTHING.unreadable)
