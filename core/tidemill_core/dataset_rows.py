"""The rows of a dataset version, read a few at a time."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tidemill_core.dataset_folder import (
    EXAMPLES_FILE,
    QUARANTINE_FILE,
    DatasetMissing,
    damaged,
    rows_removed,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

MOST_SCANNED = 1_000_000
"""Rows that one call reads to find those of a rule."""
MOST_EXAMPLES = 100
_BATCH = 10_000

Row = TypeVar("Row", "ExampleRow", "ExcludedRow")


@dataclass(frozen=True)
class ExampleRow:
    """A row; see `EXAMPLE_COLUMNS` of the jobs."""

    text: str
    label: str
    label_source: str
    weight: float
    annotator: str
    origin: str
    split: str


@dataclass(frozen=True)
class ExcludedRow:
    """A row that is not in the version; see `QUARANTINE_COLUMNS` of the jobs."""

    source: str
    origin: str
    rule: str
    outcome: str
    value: str


def examples_with(folder: Path, text_hash: str) -> list[ExampleRow]:
    """Return the rows with a text's `content_hash`, at most MOST_EXAMPLES.

    The rows are sorted by their hash, so only a part of the file is read.

    Raises:
        DataError: the rows were removed, or cannot be read.
    """
    found: list[ExampleRow] = []
    with _opened(folder, EXAMPLES_FILE) as file:
        for group in _groups_with(file, text_hash):
            names = [*_names(ExampleRow), "text_hash"]
            for batch in file.iter_batches(_BATCH, row_groups=[group], columns=names):
                rows = (row for row in batch.to_pylist() if row.pop("text_hash") == text_hash)
                found += [_row(ExampleRow, row) for row in rows]
    return found[:MOST_EXAMPLES]


def excluded_rows(
    folder: Path, rule: str, start: int, count: int
) -> tuple[list[ExcludedRow], int | None]:
    """Return rows that are not in a version, and the number of the row to go on from.

    Args:
        folder: the version's folder.
        rule: only rows that this rule excluded; empty returns all.
        start: the number of the first row to read.
        count: the most rows to return.

    Returns:
        The rows, and None if there are no more.

    Raises:
        DataError: the rows were removed, or cannot be read.
    """
    found: list[ExcludedRow] = []
    with _opened(folder, QUARANTINE_FILE) as file:
        for number, batch in _from(file, start):
            if number - start >= MOST_SCANNED:
                return found, number
            places = _places(batch, rule)
            wanted = places[: count - len(found)]
            found += [_row(ExcludedRow, row) for row in batch.take(wanted).to_pylist()]
            if len(places) > len(wanted):
                return found, number + places[len(wanted)].as_py()
    return found, None


def _places(batch: "pa.RecordBatch", rule: str) -> "pa.Array":
    """Return the places of a batch's rows that a rule excluded; of all rows without a rule."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not rule:
        return pa.array(range(len(batch)), pa.uint64())
    return pc.indices_nonzero(pc.equal(batch.column("rule"), rule))


def _from(file: "pq.ParquetFile", start: int) -> Iterator[tuple[int, "pa.RecordBatch"]]:
    """Yield rows with the number of the first one; groups before the start are not read."""
    number = 0
    for group in range(file.metadata.num_row_groups):
        size = file.metadata.row_group(group).num_rows
        if number + size <= start:
            number += size
            continue
        for batch in file.iter_batches(_BATCH, row_groups=[group], columns=_names(ExcludedRow)):
            skipped = max(start - number, 0)
            if skipped < len(batch):
                yield number + skipped, batch.slice(skipped)
            number += len(batch)


def _groups_with(file: "pq.ParquetFile", text_hash: str) -> Iterator[int]:
    column = file.schema_arrow.get_field_index("text_hash")
    for group in range(file.metadata.num_row_groups):
        known = file.metadata.row_group(group).column(column).statistics
        if known is None or not known.has_min_max or known.min <= text_hash <= known.max:
            yield group


@contextmanager
def _opened(folder: Path, name: str) -> Iterator["pq.ParquetFile"]:
    """Open a file of rows, and convert the errors of the block that reads it."""
    import pyarrow as pa  # only these calls need its memory
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(folder / name) as file:
            yield file
    except FileNotFoundError as error:
        raise (rows_removed(folder) if folder.exists() else _missing(folder)) from error
    except (OSError, pa.ArrowException) as error:
        raise damaged(folder / name, error) from error


def _missing(folder: Path) -> DatasetMissing:
    cure = "with `dataset_storage`, machines share their dataset versions"
    return DatasetMissing(f"this machine has no {folder}: {cure}")


def _names(kind: type) -> list[str]:
    return [each.name for each in fields(kind)]


def _row(kind: type[Row], values: Mapping[str, Any]) -> Row:
    """Return a row; what is missing is empty."""
    found: Any = {name: "" if value is None else value for name, value in values.items()}
    return kind(**found)
