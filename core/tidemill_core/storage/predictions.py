"""Predictions: written once each, in batches; read by id and counted by window."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.exc import IntegrityError

from tidemill_core.domain.prediction import SHADOW_METHOD, Prediction
from tidemill_core.storage.database import Database
from tidemill_core.storage.partitions import add_partitions, lacks_partition
from tidemill_core.storage.prediction_counts import count_predictions
from tidemill_core.storage.prediction_rows import (
    insert_rows,
    prediction_of_row,
    rows_with_ids,
    with_ids,
)
from tidemill_core.storage.schema import UtcDateTime, predictions

_IDS_A_READ = 5000


@dataclass(frozen=True)
class PredictionWindow:
    """A version's predictions since a time, inclusive.

    Attributes:
        task: the task.
        model_version: the version.
        since: the time.
    """

    task: str
    model_version: int
    since: datetime


@dataclass(frozen=True)
class Span:
    """A task's answers to callers between two times whose texts are stored.

    Attributes:
        task: the task.
        since: the start, inclusive.
        until: the end, exclusive.
    """

    task: str
    since: datetime
    until: datetime


class PredictionStore:
    """The table of predictions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, batch: Sequence[Prediction]) -> None:
        """Write and count predictions, except those whose id exists already.

        Raises:
            StorageUnavailable: no prediction was written.
        """
        if not batch:
            return
        try:
            self._add(batch)
        except IntegrityError as error:
            if not lacks_partition(error):
                raise
            with self._database.write() as connection:
                add_partitions(connection, [each.predict_time for each in batch])
            self._add(batch)

    def _add(self, batch: Sequence[Prediction]) -> None:
        with self._database.write() as connection:
            count_predictions(self._database, connection, insert_rows(connection, batch))

    def get(self, prediction_id: str) -> Prediction | None:
        """Return the prediction with an id; None if there is none."""
        query = select(predictions).where(*with_ids([prediction_id]))
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else prediction_of_row(row)

    def texts_and_labels(self, prediction_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Return text and predicted label by id, for predictions that are stored."""
        rows = self._of_ids(prediction_ids, predictions.c.text, predictions.c.label)
        return {row[0]: (row[1], row[2]) for row in rows}

    def text_hashes(self, prediction_ids: Sequence[str]) -> dict[str, str]:
        """Return the text's hash by id, for predictions that are stored with one."""
        rows = self._of_ids(prediction_ids, predictions.c.text_hash)
        return {row[0]: row[1] for row in rows if row[1] is not None}

    def _of_ids(
        self, prediction_ids: Sequence[str], *columns: Column[Any]
    ) -> Iterator[Sequence[Any]]:
        with self._database.read() as connection:
            yield from rows_with_ids(connection, prediction_ids, *columns)

    def ids(self, span: Span) -> Iterator[str]:
        """Yield the id of each answer, oldest first, with few in memory at once."""
        place = (predictions.c.predict_time, predictions.c.prediction_id)
        query = select(predictions.c.prediction_id, predictions.c.predict_time)
        query = query.order_by(*place).limit(_IDS_A_READ)
        page = query.where(*with_text(span))
        while True:
            with self._database.read() as connection:
                found = connection.execute(page).all()
            yield from (row[0] for row in found)
            if len(found) < _IDS_A_READ:
                return
            last_id, last_time = found[-1]
            bound = tuple_(literal(last_time, UtcDateTime()), literal(last_id))
            # The one bound of its time: with a second, SQLite reads all rows before the page, too.
            rest = replace(span, since=last_time)
            page = query.where(*with_text(rest), tuple_(*place) > bound)

    def least_confident(self, span: Span, limit: int) -> list[Prediction]:
        """Return up to `limit` answers with the lowest confidence, the lowest first."""
        place = (predictions.c.confidence, predictions.c.prediction_id)
        query = select(predictions).where(*with_text(span)).order_by(*place).limit(limit)
        with self._database.read() as connection:
            return [prediction_of_row(row) for row in connection.execute(query).mappings()]

    def recent_texts(self, span: Span, limit: int) -> list[str]:
        """Return the texts of up to `limit` answers, the newest first."""
        query = select(predictions.c.text).where(*with_text(span))
        newest = query.order_by(predictions.c.predict_time.desc()).limit(limit)
        with self._database.read() as connection:
            return list(connection.execute(newest).scalars())

    def expire_texts(self, task: str, before: datetime, limit: int) -> int:
        """Remove the texts and hashes of a task's oldest predictions before a time.

        Returns:
            How many texts were removed; fewer than `limit` if none is left.
        """
        kept = or_(predictions.c.text != literal_column("''"), predictions.c.text_hash.is_not(None))
        time = predictions.c.predict_time
        oldest = select(time).where(predictions.c.task == task, time < before, kept)
        oldest = oldest.order_by(time).limit(limit)
        ids = oldest.with_only_columns(predictions.c.prediction_id)
        blank = update(predictions).where(predictions.c.prediction_id.in_(ids))
        with self._database.write() as connection:
            times = connection.execute(oldest).scalars().all()
            if times:
                # The times, so that PostgreSQL asks only their partitions.
                blank = blank.where(time.between(times[0], times[-1]))
                connection.execute(blank.values(text="", text_hash=None))
            return len(times)

    def latency_percentiles(
        self, window: PredictionWindow, methods: Sequence[str], percents: Sequence[int]
    ) -> tuple[int, list[float]]:
        """Return the number of predictions by some methods, and percentiles of their latency in ms.

        A percentile is the smallest latency that occurred and that at least that percentage of
        latencies do not exceed. Without predictions the list is empty.
        """
        made = (*_within(window), predictions.c.method.in_(methods))
        slowest_first = select(predictions.c.latency_ms).where(*made)
        slowest_first = slowest_first.order_by(predictions.c.latency_ms.desc()).limit(1)
        with self._database.read() as connection:
            count = connection.execute(select(func.count()).where(*made)).scalar_one()
            if count == 0:
                return 0, []
            slower = [count * (100 - percent) // 100 for percent in percents]
            return count, [
                connection.execute(slowest_first.offset(rows)).scalar_one() for rows in slower
            ]


def _within(window: PredictionWindow) -> tuple[ColumnElement[bool], ...]:
    return (
        predictions.c.task == window.task,
        predictions.c.model_version == window.model_version,
        predictions.c.predict_time >= window.since,
    )


def with_text(span: Span) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions that a row is an answer of a span."""
    # A literal, not a parameter, so that the index of stored texts is used.
    return (
        predictions.c.task == span.task,
        predictions.c.predict_time >= span.since,
        predictions.c.predict_time < span.until,
        predictions.c.text != literal_column("''"),
        predictions.c.method != SHADOW_METHOD,
    )


def answered(window: PredictionWindow) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a window's answers to callers."""
    return (*_within(window), predictions.c.method != SHADOW_METHOD)
