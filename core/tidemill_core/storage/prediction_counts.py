"""Counts of predictions by hour and bin, kept as predictions are written.

A check adds up the hours of its window, so its cost does not depend on the number of predictions.
The counts hold no texts. docs/decisions/drift-counts.md compares them with other sketches.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cache
from itertools import chain

from sqlalchemy import Connection, func, select

from tidemill_core.domain.prediction import SHADOW_METHOD, Prediction
from tidemill_core.domain.signals import Signal, count_bins
from tidemill_core.storage.database import Database
from tidemill_core.storage.prediction_rows import stored_time
from tidemill_core.storage.schema import prediction_counts

_KEY = "task, model_version, hour, signal, bin"
_ADD = f"ON CONFLICT ({_KEY}) DO UPDATE SET count = prediction_counts.count + excluded.count"
_ROWS_A_STATEMENT = 999 // 6
_INSERT_POSTGRESQL = (
    f"INSERT INTO prediction_counts ({_KEY}, count) "  # noqa: S608 -- our own names
    "SELECT item->>0, (item->>1)::integer, (item->>2)::timestamp AT TIME ZONE 'UTC', item->>3, "
    "item->>4, (item->>5)::bigint FROM jsonb_array_elements(%s::jsonb) AS item " + _ADD
)
_Row = tuple[str, int, str, str, str, int]


class PredictionCountStore:
    """The table of counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_window(
        self, task: str, model_version: int, since: datetime
    ) -> dict[Signal, dict[str, int]]:
        """Return a version's predictions by signal and bin, from the hour that holds `since`.

        A bin is a label, or the number of a bin of `domain.signals`. Predictions count if they
        were not shadows.
        """
        counts = prediction_counts.c
        start = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        of_window = (counts.task == task, counts.model_version == model_version)
        query = select(counts.signal, counts.bin, func.sum(counts.count))
        query = query.where(*of_window, counts.hour >= start)
        found: dict[Signal, dict[str, int]] = defaultdict(dict)
        with self._database.read() as connection:
            for signal, name, count in connection.execute(
                query.group_by(counts.signal, counts.bin)
            ):
                found[Signal(signal)][name] = int(count)
        return found


def count_predictions(connection: Connection, batch: Sequence[Prediction]) -> None:
    """Add predictions that were just inserted to the counts of their hours."""
    groups: dict[tuple[str, int, datetime], list[Prediction]] = defaultdict(list)
    for each in batch:
        if each.method != SHADOW_METHOD:
            groups[each.task, each.model_version, each.predict_time].append(each)
    totals: Counter[tuple[str, int, str, str, str]] = Counter()
    for (task, version, time), rows in groups.items():
        hour = _hour(time)
        for signal, name, count in _bins(rows):
            totals[task, version, hour, signal, name] += count
    # In one order, so that two transactions cannot wait for each other.
    _upsert(connection, [(*key, count) for key, count in sorted(totals.items())])


def _bins(rows: Sequence[Prediction]) -> Iterator[tuple[str, str, int]]:
    """Yield signal, bin and count."""
    for label, count in Counter([row.label for row in rows]).items():
        yield "label", label, count
    lengths = [row.text_length for row in rows if row.text_length is not None]
    unknown = [row.unknown_pieces for row in rows if row.unknown_pieces is not None]
    numbers: dict[Signal, Sequence[float]] = {
        Signal.CONFIDENCE: [row.confidence for row in rows],
        Signal.TEXT_LENGTH: lengths,
        Signal.UNKNOWN_PIECES: unknown,
    }
    for signal, values in numbers.items():
        for number, count in count_bins(signal, values).items():
            yield signal.value, str(number), count


def _upsert(connection: Connection, rows: Sequence[_Row]) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_INSERT_POSTGRESQL, (json.dumps(rows),))
        return
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        chunk = rows[start : start + _ROWS_A_STATEMENT]
        values = tuple(chain.from_iterable(chunk))
        connection.exec_driver_sql(_upsert_sqlite(len(chunk)), values)


@cache
def _upsert_sqlite(count: int) -> str:
    rows = ", ".join(["(?, ?, ?, ?, ?, ?)"] * count)
    return f"INSERT INTO prediction_counts ({_KEY}, count) VALUES {rows} {_ADD}"  # noqa: S608


def _hour(time: datetime) -> str:
    """Return the start of a time's hour in UTC, as it is stored."""
    return stored_time(time)[:13] + ":00:00.000000"
