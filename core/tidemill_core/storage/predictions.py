"""Predictions: written in batches, each once, read back by id and counted by window."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    update,
)

from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.storage.database import Database
from tidemill_core.storage.prediction_rows import insert_rows
from tidemill_core.storage.schema import UtcDateTime, predictions

SHADOW_METHOD = "Shadow"
# SQLite's parameters a statement, divided by the columns used, with room to spare.
_IDS_A_QUERY = 500
_IDS_A_READ = 5000


@dataclass(frozen=True)
class PredictionWindow:
    """A version's predictions since a moment, the moment too.

    Attributes:
        task: the task.
        model_version: the version.
        since: the moment.
    """

    task: str
    model_version: int
    since: datetime


@dataclass(frozen=True)
class Span:
    """Answers of a task to callers whose text is kept, between two moments.

    Attributes:
        task: the task.
        since: the first moment.
        until: the moment after the last.
    """

    task: str
    since: datetime
    until: datetime


class PredictionStore:
    """The table of predictions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, batch: Sequence[Prediction]) -> None:
        """Write predictions; those already there are left as they are.

        Raises:
            StorageUnavailable: none was written.
        """
        if batch:
            with self._database.write() as connection:
                insert_rows(connection, batch)

    def get(self, prediction_id: str) -> Prediction | None:
        """The prediction of that id, or None."""
        query = select(predictions).where(predictions.c.prediction_id == prediction_id)
        with self._database.read() as connection:
            row = connection.execute(query).mappings().first()
        return None if row is None else _prediction(row)

    def texts_and_labels(self, prediction_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Text and predicted label by id, of those that are there."""
        found: dict[str, tuple[str, str]] = {}
        columns = (predictions.c.prediction_id, predictions.c.text, predictions.c.label)
        with self._database.read() as connection:
            for start in range(0, len(prediction_ids), _IDS_A_QUERY):
                ids = prediction_ids[start : start + _IDS_A_QUERY]
                query = select(*columns).where(predictions.c.prediction_id.in_(ids))
                found |= {row[0]: (row[1], row[2]) for row in connection.execute(query)}
        return found

    def text_hashes(self, prediction_ids: Sequence[str]) -> dict[str, str]:
        """The text's hash by id, of those that are kept with one."""
        found: dict[str, str] = {}
        columns = (predictions.c.prediction_id, predictions.c.text_hash)
        hashed = predictions.c.text_hash.is_not(None)
        with self._database.read() as connection:
            for start in range(0, len(prediction_ids), _IDS_A_QUERY):
                ids = prediction_ids[start : start + _IDS_A_QUERY]
                query = select(*columns).where(predictions.c.prediction_id.in_(ids), hashed)
                found |= {row[0]: row[1] for row in connection.execute(query)}
        return found

    def ids(self, span: Span) -> Iterator[str]:
        """The id of each answer, oldest first; never many at once in memory."""
        place = (predictions.c.predict_time, predictions.c.prediction_id)
        query = select(predictions.c.prediction_id, predictions.c.predict_time)
        query = query.where(*_with_text(span)).order_by(*place).limit(_IDS_A_READ)
        after = query
        while True:
            with self._database.read() as connection:
                found = connection.execute(after).all()
            yield from (row[0] for row in found)
            if len(found) < _IDS_A_READ:
                return
            last_id, last_time = found[-1]
            bound = tuple_(literal(last_time, UtcDateTime()), literal(last_id))
            after = query.where(tuple_(*place) > bound)

    def least_confident(self, span: Span, limit: int) -> list[Prediction]:
        """So many answers of the lowest confidence, the lowest first."""
        place = (predictions.c.confidence, predictions.c.prediction_id)
        query = select(predictions).where(*_with_text(span)).order_by(*place).limit(limit)
        with self._database.read() as connection:
            return [_prediction(row) for row in connection.execute(query).mappings()]

    def expire_texts(self, task: str, before: datetime, limit: int) -> int:
        """Remove the texts, and their hashes, of a task's oldest predictions before a moment.

        Returns:
            How many had one: less than `limit` once none is left.
        """
        kept = or_(predictions.c.text != literal_column("''"), predictions.c.text_hash.is_not(None))
        oldest = (
            select(predictions.c.prediction_id)
            .where(predictions.c.task == task, predictions.c.predict_time < before, kept)
            .order_by(predictions.c.predict_time)
            .limit(limit)
        )
        blank = update(predictions).where(predictions.c.prediction_id.in_(oldest))
        with self._database.write() as connection:
            return connection.execute(blank.values(text="", text_hash=None)).rowcount

    def label_counts(self, window: PredictionWindow) -> dict[str, int]:
        """Predictions by label; copies that a shadow saw are left out."""
        label = predictions.c.label
        query = select(label, func.count()).where(*_answered(window)).group_by(label)
        with self._database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def confidence_counts(self, window: PredictionWindow, edges: Sequence[float]) -> list[int]:
        """Predictions by confidence; copies that a shadow saw are left out.

        Args:
            window: which predictions.
            edges: of the bins, rising: [bins + 1]. A bin holds its lower edge; what lies under
                the first edge, or on the last and above, counts in the nearest bin.
        """
        inner = [(predictions.c.confidence < edge, bin_) for bin_, edge in enumerate(edges[1:-1])]
        bins = select(case(*inner, else_=len(edges) - 2).label("bin")).where(*_answered(window))
        binned = bins.subquery()
        query = select(binned.c.bin, func.count()).group_by(binned.c.bin)
        with self._database.read() as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return [found.get(bin_, 0) for bin_ in range(len(edges) - 1)]

    def latency_percentiles(
        self, window: PredictionWindow, methods: Sequence[str], percents: Sequence[int]
    ) -> tuple[int, list[float]]:
        """How many predictions some methods made, and percentiles of their latency, in ms.

        A percentile is a latency that occurred: the smallest that at least so many percent do
        not exceed. Without predictions there are none.
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


def _with_text(span: Span) -> tuple[ColumnElement[bool], ...]:
    # A literal, not a parameter: so the index over the texts that are kept is used.
    return (
        predictions.c.task == span.task,
        predictions.c.predict_time >= span.since,
        predictions.c.predict_time < span.until,
        predictions.c.text != literal_column("''"),
        predictions.c.method != SHADOW_METHOD,
    )


def _answered(window: PredictionWindow) -> tuple[ColumnElement[bool], ...]:
    return (*_within(window), predictions.c.method != SHADOW_METHOD)


def _prediction(row: Mapping[Any, Any]) -> Prediction:
    values = dict(row)
    scores = tuple(Score(**score) for score in values.pop("scores"))
    text_hash = values.pop("text_hash") or ""
    return Prediction(scores=scores, text_hash=text_hash, **values)
