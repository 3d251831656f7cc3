"""Writers of files: CSV, JSON Lines and Parquet."""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import IO, Any, Protocol, cast

import pyarrow as pa
import pyarrow.parquet as pq

from tidemill_core.csv_formulas import guarded
from tidemill_core.errors import DataError
from tidemill_jobs.scoring.writing.output import PREDICTION_COLUMNS, NewColumn, Values


class Writer(Protocol):
    """A writer of rows to a local file."""

    def write(self, rows: Values, schema: pa.Schema | None) -> None:
        """Add rows."""

    def close(self) -> None:
        """Finish the file."""


def compressed(path: Path, compression: str) -> IO[bytes]:
    """Open a file for writing; `compression` is a suffix such as `.gz`, or empty."""
    opened: Any
    if compression == ".gz":
        opened = gzip.GzipFile(path, "wb", compresslevel=6)
    elif compression == ".bz2":
        opened = bz2.BZ2File(path, "wb")
    elif compression == ".xz":
        opened = lzma.LZMAFile(path, "wb")  # noqa: SIM115 -- the writer closes it
    elif compression == ".zst":
        opened = pa.CompressedOutputStream(str(path), "zstd")
    else:
        opened = path.open("wb")
    return cast("IO[bytes]", opened)


class JsonLinesWriter:
    """An object a line, with the fields of the input and of the prediction."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, rows: Values, schema: pa.Schema | None) -> None:  # noqa: ARG002 -- the protocol
        """Add rows."""
        self._file.write(b"".join(map(_json_line, rows)))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class CsvWriter:
    """A CSV with the columns of the first rows, in which cells that are formulas are guarded."""

    def __init__(self, file: IO[bytes], delimiter: str) -> None:
        self._file = file
        self._delimiter = delimiter
        self._columns: list[str] = []

    def write(self, rows: Values, schema: pa.Schema | None) -> None:
        """Add rows."""
        text = io.StringIO(newline="")
        lines = csv.writer(text, delimiter=self._delimiter, lineterminator="\n")
        if not self._columns:
            self._columns = columns_of(rows, schema)
            lines.writerow(map(guarded, self._columns))
        check_columns(rows, self._columns)
        lines.writerows([_cell(row.get(name)) for name in self._columns] for row in rows)
        self._file.write(text.getvalue().encode(errors="backslashreplace"))

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class ParquetWriter:
    """A Parquet file with the types of the input, or with those of its first rows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def write(self, rows: Values, schema: pa.Schema | None) -> None:
        """Add rows."""
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, _types(rows, schema))
        check_columns(rows, self._writer.schema.names)
        try:
            table = pa.Table.from_pylist(list(rows), schema=self._writer.schema)
        except (pa.ArrowException, TypeError, OverflowError, UnicodeError) as error:
            advice = "write JSON Lines, which need no fixed types"
            problem = f"a value does not have the type of its column in the first rows; {advice}"
            raise DataError("TYPE_CHANGED", problem) from error
        self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()


def columns_of(rows: Values, schema: pa.Schema | None) -> list[str]:
    """Return the names of the columns in their order, the prediction's last."""
    own = dict.fromkeys(schema.names if schema else (name for row in rows for name in row))
    added = [name for name in PREDICTION_COLUMNS.names if any(name in row for row in rows)]
    return [name for name in own if name not in PREDICTION_COLUMNS.names] + added


def check_columns(rows: Values, columns: Sequence[str]) -> None:
    """Raise NewColumn if a row has another column."""
    known = set(columns)
    for row in rows:
        if not row.keys() <= known:
            raise NewColumn(next(iter(row.keys() - known)))


def _types(rows: Values, schema: pa.Schema | None) -> pa.Schema:
    fields = []
    for name in columns_of(rows, schema):
        if name in PREDICTION_COLUMNS.names:
            fields.append(PREDICTION_COLUMNS.field(name))
        elif schema is not None:
            fields.append(pa.field(name, schema.field(name).type))
        else:
            fields.append(pa.field(name, _inferred([row.get(name) for row in rows])))
    return pa.schema(fields)


def _inferred(values: Sequence[Any]) -> pa.DataType:
    """Return the type of some values; text for a column without any."""
    try:
        found = pa.array(values).type
    except (pa.ArrowException, TypeError, OverflowError, UnicodeError):
        return pa.string()
    if pa.types.is_decimal(found):
        return pa.decimal128(38, found.scale)
    return pa.string() if pa.types.is_null(found) else found


def _json_line(row: Mapping[str, Any]) -> bytes:
    try:
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, default=_plain)
    except ValueError:  # JSON has no NaN and no infinity
        return _json_line(_finite(row))
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:  # half of a UTF-16 character
        return json.dumps(row, allow_nan=False, default=_plain).encode() + b"\n"


def _finite(value: Any) -> Any:
    """Return a value with None for numbers that are not finite."""
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    """Return a value that JSON does not have as text; a moment in ISO 8601."""
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def _cell(value: Any) -> Any:
    """Return a value as a cell of a CSV; lists and objects as JSON."""
    if isinstance(value, str):
        return guarded(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return guarded(json.dumps(value, ensure_ascii=False, default=_plain))
    return _plain(value) if hasattr(value, "isoformat") else value
