"""Counts of predictions by hour and bin, kept as predictions are written.

A check adds up the hours of its window, so its cost does not depend on the number of predictions.
The counts hold no texts. docs/decisions/drift-counts.md compares them with other sketches.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter

from sqlalchemy import Connection, bindparam, select, update

from tidemill_core.domain.prediction import SHADOW_METHOD, Prediction
from tidemill_core.domain.signals import Signal, count_bins
from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import prediction_counts

Bins = Mapping[str, Mapping[str, int]]
"""Counts by signal, then by bin: a label, or the number of a bin of `domain.signals`."""

_columns = prediction_counts.c
_IS_IT = (
    _columns.task == bindparam("of_task"),
    _columns.model_version == bindparam("of_version"),
    _columns.hour == bindparam("of_hour"),
)
# SQLite has one writer at a time; PostgreSQL locks the row.
_SELECT = select(_columns.counts).where(*_IS_IT).with_for_update()
_UPDATE = update(prediction_counts).where(*_IS_IT).values(counts=bindparam("new_counts"))


class PredictionCountStore:
    """The table of counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_window(
        self, task: str, model_version: int, since: datetime, until: datetime | None = None
    ) -> dict[Signal, dict[str, int]]:
        """Return a version's answers to callers by signal and bin, from the hour of `since` on.

        With `until`, a full hour, only those before it.
        """
        query = select(_columns.counts).where(
            _columns.task == task,
            _columns.model_version == model_version,
            _columns.hour >= _hour(since),
        )
        if until is not None:
            query = query.where(_columns.hour < until)
        totals: dict[Signal, Counter[str]] = defaultdict(Counter)
        with self._database.read() as connection:
            for counts in connection.execute(query).scalars():
                for signal, bins in counts.items():
                    totals[Signal(signal)].update(bins)
        return {signal: dict(bins) for signal, bins in totals.items()}


def count_predictions(
    database: Database, connection: Connection, batch: Sequence[Prediction]
) -> None:
    """Add predictions that were just inserted to the counts of their hours."""
    # In one order, so that two transactions cannot wait for each other.
    for (task, version, hour), answers in sorted(_by_hour(batch).items(), key=itemgetter(0)):
        key = {"of_task": task, "of_version": version, "of_hour": hour}
        counts = connection.execute(_SELECT, key).scalar_one_or_none()
        if counts is None:
            row = {"task": task, "model_version": version, "hour": hour, "counts": {}}
            database.insert_ignoring_repeats(connection, prediction_counts, [row])
            counts = connection.execute(_SELECT, key).scalar_one()
        total = _sum(counts, _bins(answers))
        connection.execute(_UPDATE, {**key, "new_counts": total})


def _by_hour(
    batch: Sequence[Prediction],
) -> Mapping[tuple[str, int, datetime], Sequence[Prediction]]:
    """Return the answers to callers by task, version and hour."""
    hours: dict[tuple[str, int, datetime], list[Prediction]] = defaultdict(list)
    if not batch:
        return hours
    times = [each.predict_time for each in batch]
    first, last = _hour(min(times)), _hour(max(times))
    for each in batch:
        if each.method != SHADOW_METHOD:
            # Nearly every batch lies in one hour, and an hour costs more than all else here.
            hour = first if first == last else _hour(each.predict_time)
            hours[each.task, each.model_version, hour].append(each)
    return hours


def _bins(rows: Sequence[Prediction]) -> Bins:
    lengths = [row.text_length for row in rows if row.text_length is not None]
    unknown = [row.unknown_pieces for row in rows if row.unknown_pieces is not None]
    numbers: dict[Signal, Sequence[float]] = {
        Signal.CONFIDENCE: [row.confidence for row in rows],
        Signal.TEXT_LENGTH: lengths,
        Signal.UNKNOWN_PIECES: unknown,
    }
    counted = {
        str(signal): {str(number): count for number, count in count_bins(signal, values).items()}
        for signal, values in numbers.items()
        if values
    }
    return {str(Signal.LABEL): Counter([row.label for row in rows]), **counted}


def _sum(one: Bins, other: Bins) -> Bins:
    """Return the sum of two counts."""
    total = {signal: dict(bins) for signal, bins in one.items()}
    for signal, bins in other.items():
        of_signal = total.setdefault(signal, {})
        for name, count in bins.items():
            of_signal[name] = of_signal.get(name, 0) + count
    return total


def _hour(time: datetime) -> datetime:
    """Return the start of a time's hour in UTC."""
    return time.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
