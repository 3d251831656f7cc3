"""Parquet: rows from a file's columns, each with its number in the file."""

import hashlib
from collections.abc import Iterator
from typing import IO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.files.line_stream import MAX_LINE_BYTES
from tidemill_jobs.data.sources.raw_rows import Piece, RawRow, checked, too_long, unreadable_frame
from tidemill_jobs.data.sources.source import BATCH_BYTES, BATCH_ROWS, ROWS

_HASHED_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 20
_ROWS_AT_ONCE = 1_000


def content_digest(file: IO[bytes]) -> str:
    """SHA-256 of a file, in hex; the file is left at its beginning."""
    digest = hashlib.sha256()
    while chunk := file.read(_HASHED_BYTES):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def read_parquet(file: IO[bytes], part: str, done: int, settings: FilesSource) -> Iterator[Piece]:
    """Rows from the one of index `done` on, at most BATCH_ROWS and BATCH_BYTES a piece.

    Raises:
        DataError: EMPTY_FILE, SOURCE_UNREADABLE, MISSING_COLUMN, AMBIGUOUS_COLUMN or
            WRONG_COLUMN_TYPE; names the file and the column.
    """
    parquet = _opened(file, part)
    names = _wanted(settings)
    _check_columns(parquet, part, names)
    if done >= parquet.metadata.num_rows:
        return
    start = 0
    for batches in _grouped(parquet, sorted(set(names.values()))):
        table = pa.Table.from_batches(batches)
        end = start + len(table)
        if end > done:
            table.validate(full=True)
            frame = pl.from_arrow(table)
            assert isinstance(frame, pl.DataFrame)  # noqa: S101 -- for the type checker
            numbered = frame.with_row_index("row", start + 1).slice(max(done - start, 0))
            yield _piece(numbered, part, names)
        start = end


def _grouped(parquet: pq.ParquetFile, columns: list[str]) -> Iterator[list[pa.RecordBatch]]:
    """All rows, in lists that have BATCH_ROWS and BATCH_BYTES at most."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in parquet.iter_batches(_rows_at_once(parquet, columns), columns=columns):
        if group and (rows + len(batch) > BATCH_ROWS or size + batch.nbytes > BATCH_BYTES):
            yield group
            group, rows, size = [], 0, 0
        group.append(batch)
        rows += len(batch)
        size += batch.nbytes
    if group:
        yield group


def _rows_at_once(parquet: pq.ParquetFile, columns: list[str]) -> int:
    """How many rows are decoded together: fewer, where the file says that they are long.

    What it says is a lower bound: a value that comes often is counted once.
    """
    fewest = _ROWS_AT_ONCE
    for index in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(index)
        chunks = [group.column(place) for place in range(group.num_columns)]
        size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in columns)
        fewest = min(fewest, max(1, BATCH_BYTES * group.num_rows // max(1, size)))
    return fewest


def _opened(file: IO[bytes], part: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
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
        found = (RawRow(key=None, **row) for row in frame.iter_rows(named=True))
        return checked(part, found)
    if isinstance(time, pl.Datetime) and time.time_zone is None:
        frame = frame.with_columns(pl.col("time").dt.replace_time_zone("UTC"))
    rows = frame.select(
        *(pl.col(c).cast(kind) for c, kind in ROWS.items() if c in frame.columns),
        *(pl.lit(None, kind).alias(c) for c, kind in ROWS.items() if c not in frame.columns),
    ).with_columns(pl.lit(part).alias("part"))
    length = pl.col("text").str.len_bytes()
    is_long = length.gt(MAX_LINE_BYTES).fill_null(value=False)
    long = rows.filter(is_long).select("origin", length.alias("length"))
    told = (too_long(origin, None, length) for origin, length in long.iter_rows())
    return Piece(rows.filter(~is_long).select(list(ROWS)), unreadable_frame(part, told))
