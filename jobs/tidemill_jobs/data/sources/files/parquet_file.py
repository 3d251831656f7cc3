"""Parquet: rows from a file's columns, each with its number in the file."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import repeat
from typing import IO

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tidemill_core.errors import DataError
from tidemill_core.settings import FilesSource
from tidemill_jobs.data.sources.errors import (
    AmbiguousColumn,
    EmptyFile,
    MissingColumn,
    SourceUnreadable,
)
from tidemill_jobs.data.sources.files.line_stream import MAX_LINE_BYTES
from tidemill_jobs.data.sources.raw_rows import (
    Piece,
    RawRow,
    Unreadable,
    checked,
    names_by_role,
    too_long,
    unreadable_frame,
)
from tidemill_jobs.data.sources.source import BAD_TIME, BATCH_BYTES, BATCH_ROWS, ROWS

_HASHED_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 20
_ROWS_AT_ONCE = 64
"""Few, because a kilobyte of Parquet may repeat a value of many megabytes in each row."""
_CURE = "write the file again; the next run reads it"
_UNITS_PER_SECOND = {"ms": 1e3, "us": 1e6, "ns": 1e9}
_FIRST = datetime.min.replace(tzinfo=UTC).timestamp()
_LAST = datetime.max.replace(microsecond=0, tzinfo=UTC).timestamp()


def content_digest(file: IO[bytes]) -> str:
    """Return the SHA-256 of a file, in hex; set the file back to its beginning."""
    digest = hashlib.sha256()
    while chunk := file.read(_HASHED_BYTES):
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def read_parquet(file: IO[bytes], part: str, done: int, settings: FilesSource) -> Iterator[Piece]:
    """Yield the rows from index `done` on, at most BATCH_ROWS and BATCH_BYTES in a piece.

    Raises:
        DataError: EMPTY_FILE, SOURCE_UNREADABLE, MISSING_COLUMN, AMBIGUOUS_COLUMN or
            WRONG_COLUMN_TYPE; names the file and the column.
    """
    parquet = opened_parquet(file, part)
    names = names_by_role(settings)
    check_columns(parquet, part, names)
    if done >= parquet.metadata.num_rows:
        return
    start = 0
    for batches in _grouped(parquet, sorted(set(names.values()))):
        table = pa.Table.from_batches(batches)
        end = start + len(table)
        if end > done:
            skipped = max(done - start, 0)
            yield _piece(table.slice(skipped), start + skipped + 1, part, names)
        start = end


def _grouped(parquet: pq.ParquetFile, columns: list[str]) -> Iterator[list[pa.RecordBatch]]:
    """Yield all rows, in lists of at most BATCH_ROWS and BATCH_BYTES."""
    group: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in parquet.iter_batches(rows_at_once(parquet, columns), columns=columns):
        if group and (rows + len(batch) > BATCH_ROWS or size + batch.nbytes > BATCH_BYTES):
            yield group
            group, rows, size = [], 0, 0
        group.append(batch)
        rows += len(batch)
        size += batch.nbytes
    if group:
        yield group


def rows_at_once(parquet: pq.ParquetFile, columns: list[str]) -> int:
    """Return how many rows to decode together: fewer if the file's metadata say that they are long.

    The size in the metadata is a lower bound: a repeated value counts once.
    """
    fewest, wanted = _ROWS_AT_ONCE, set(columns)
    for index in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(index)
        chunks = [group.column(place) for place in range(group.num_columns)]
        size = sum(c.total_uncompressed_size for c in chunks if c.path_in_schema in wanted)
        fewest = min(fewest, max(1, BATCH_BYTES * group.num_rows // max(1, size)))
    return fewest


def opened_parquet(file: IO[bytes], part: str) -> pq.ParquetFile:
    """Return a file's reader, or raise DataError: EMPTY_FILE or SOURCE_UNREADABLE."""
    try:
        return pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER_BYTES)
    except pa.ArrowInvalid as error:
        file.seek(0)
        if not file.read(1):
            raise EmptyFile(part) from error
        raise SourceUnreadable(part, f"it may be cut off: {error}", _CURE) from error


def check_columns(parquet: pq.ParquetFile, part: str, names: dict[str, str]) -> None:
    """Check that the columns of some roles are there and have types of these roles.

    Raises:
        DataError: MISSING_COLUMN, AMBIGUOUS_COLUMN or WRONG_COLUMN_TYPE.
    """
    schema = parquet.schema_arrow
    for role, name in names.items():
        if schema.names.count(name) > 1:
            raise AmbiguousColumn(part, name)
        if name not in schema.names:
            raise MissingColumn(part, name, schema.names)
        found = schema.field(name).type
        if not _is_fit(role, found):
            cure = f"write the {role} column as {'a time' if role == 'time' else 'text'}"
            raise DataError("WRONG_COLUMN_TYPE", f"{part}: column {name!r} is {found}; {cure}")


def _is_fit(role: str, found: pa.DataType) -> bool:
    types, found = pa.types, _decoded(found)
    is_text = types.is_string(found) or types.is_large_string(found) or types.is_string_view(found)
    if is_text or types.is_null(found):
        return True
    if role == "time":
        is_real = types.is_floating(found) or types.is_decimal(found)
        return bool(_is_time(found) or types.is_integer(found) or is_real)
    is_whole = types.is_integer(found) or (types.is_decimal(found) and found.scale == 0)
    return role != "text" and bool(is_whole or types.is_boolean(found))


def _decoded(kind: pa.DataType) -> pa.DataType:
    """Return the type of a dictionary's values, or the type itself."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _piece(table: pa.Table, first: int, part: str, names: dict[str, str]) -> Piece:
    """Return a table's rows; `first` is the number of its first row in the file."""
    for name in set(names.values()):
        try:
            table.column(name).validate(full=True)
        except pa.ArrowInvalid as error:
            raise SourceUnreadable(part, f"column {name!r}: {error}", _CURE) from error
    words = {role: _words(table.column(name)) for role, name in names.items() if role != "time"}
    numbers = pl.int_range(first, first + len(table))
    frame = pl.DataFrame(words).with_columns(
        pl.concat_str(pl.lit(f"{part}:"), numbers).alias("origin")
    )
    times = pa.chunked_array([pa.nulls(len(table), pa.timestamp("us"))])
    if "time" in names:
        times = table.column(names["time"])
    if _is_time(_decoded(times.type)):
        return _with_times(frame, _times(times), part)
    rows = zip(frame.iter_rows(named=True), times.to_pylist(), strict=True)
    return checked(part, (RawRow(key=None, time=time, **row) for row, time in rows))


def _words(column: pa.ChunkedArray) -> pl.Series:
    text = column.cast(_decoded(column.type)).cast(pa.large_string())
    return pl.Series(text, dtype=pl.String)


def _times(column: pa.ChunkedArray) -> pl.Series:
    """Return times in UTC, or days: Parquet files may name time zones that polars does not know."""
    kind = _decoded(column.type)
    column = column.cast(kind)
    is_moment = pa.types.is_timestamp(kind)
    return pl.Series(column.cast(pa.timestamp(kind.unit, "UTC")) if is_moment else column)


def _seconds(times: pl.Series) -> pl.Series:
    """Return seconds since 1970 of times or days, also outside the years 1 to 9999."""
    count = times.to_physical().cast(pl.Float64)
    if isinstance(times.dtype, pl.Datetime):
        return count / _UNITS_PER_SECOND[times.dtype.time_unit]
    return count * 86_400


def _with_times(words: pl.DataFrame, times: pl.Series, part: str) -> Piece:
    """Return the rows; a text that is too long or a time that is out of range is unreadable."""
    length = words["text"].str.len_bytes().fill_null(0)
    is_long = length > MAX_LINE_BYTES
    is_far = ~_seconds(times).is_between(_FIRST, _LAST).fill_null(value=True) & ~is_long
    origins = words["origin"]
    unreadable = [
        *(map(too_long, origins.filter(is_long), repeat(None), length.filter(is_long))),
        *(
            Unreadable(origin, BAD_TIME, f"{seconds:.0f} seconds since 1970")
            for origin, seconds in zip(
                origins.filter(is_far), _seconds(times).filter(is_far), strict=True
            )
        ),
    ]
    rows = words.with_columns(times.alias("time")).filter(~is_long & ~is_far)
    rows = rows.with_columns(
        pl.lit(None, kind).alias(name) for name, kind in ROWS.items() if name not in rows.columns
    ).with_columns(pl.lit(part).alias("part"), pl.col("time").cast(ROWS["time"]))
    return Piece(rows.select(list(ROWS)), unreadable_frame(part, unreadable))
