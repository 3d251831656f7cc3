"""What every output does, and its errors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import pyarrow as pa

from tidemill_core.durable import NotWritten, cause
from tidemill_core.errors import DataError

PREDICTION_COLUMNS = pa.schema(
    [
        ("prediction_label", pa.string()),
        ("prediction_confidence", pa.float64()),
        ("prediction_abstained", pa.bool_()),
        ("prediction_model_version", pa.int64()),
        ("prediction_error", pa.string()),
        ("prediction_id", pa.string()),
    ]
)
"""The columns that scoring adds to those of the input."""

Values = Sequence[Mapping[str, Any]]
"""Rows, each by column."""


class Output(Protocol):
    """Where the rows go."""

    def exists(self) -> bool:
        """Return whether something is at the output's place."""
        ...

    def write(self, rows: Values, schema: pa.Schema | None) -> None:
        """Add rows.

        Args:
            rows: the rows, with the prediction's columns.
            schema: the types of the input's columns, where it has types.

        Raises:
            DataError: NOT_WRITTEN, NEW_COLUMN or TYPE_CHANGED.
        """
        ...

    def commit(self) -> None:
        """Make the output appear at its place.

        Raises:
            DataError: NOT_WRITTEN or OUTPUT_EXISTS; nothing changed at its place.
        """
        ...

    def discard(self) -> None:
        """Remove what was not committed."""
        ...


class OutputExists(DataError):
    """An output that exists and may not be replaced."""

    def __init__(self, place: str) -> None:
        super().__init__("OUTPUT_EXISTS", f"{place} exists already; add --overwrite to replace it")


class NewColumn(DataError):
    """A column that the first rows do not have."""

    def __init__(self, name: str) -> None:
        advice = "write JSON Lines, which need no fixed columns"
        super().__init__("NEW_COLUMN", f"a later row has {name!r}, the first rows do not; {advice}")


@contextmanager
def write_errors(place: str) -> Iterator[None]:
    """Convert the block's errors of a file system to a DataError."""
    try:
        yield
    except OSError as error:
        raise not_written(place, cause(error)) from error


def not_written(place: str, detail: str) -> DataError:
    """Return the error for an output that cannot be written."""
    advice = "fix that and run it again: what was scored is kept"
    return NotWritten(place, detail, advice)
