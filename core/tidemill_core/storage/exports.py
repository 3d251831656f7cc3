"""Rows in the order in which other systems get them, and how far each system got."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, literal, select, tuple_

from tidemill_core.domain.prediction import SHADOW_METHOD
from tidemill_core.storage.database import Database
from tidemill_core.storage.feedback_holds import is_trusted
from tidemill_core.storage.prediction_rows import rows_with_ids
from tidemill_core.storage.schema import UtcDateTime, export_positions, feedback, predictions


class ExportedPrediction(NamedTuple):
    """An answer to a caller; the text is empty if it is not stored."""

    prediction_id: str
    predict_time: datetime
    label: str
    confidence: float
    abstained: bool
    latency_ms: float
    text: str


class ExportedVerdict(NamedTuple):
    """The label that a trusted verdict gives to a prediction.

    Attributes:
        sequence: its place; later verdicts have higher ones.
        prediction_id: the prediction.
        label: the label; None if the verdict only says that the answer is wrong, or confirms an
            answer that is not stored.
        create_time: when it came.
    """

    sequence: int
    prediction_id: str
    label: str | None
    create_time: datetime


class ExportStore:
    """The reader of rows, and the table of export positions.

    There is one position for each receiver, task and stream of rows.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def position(self, receiver: str, task: str, stream: str) -> str:
        """Return the position after the last row that the receiver took; empty at the start."""
        query = select(export_positions.c.position).filter_by(
            receiver=receiver, task=task, stream=stream
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar() or ""

    def advance(self, receiver: str, task: str, stream: str, position: str) -> None:
        """Store the position after the last row that the receiver took."""
        row = {"receiver": receiver, "task": task, "stream": stream}
        with self._database.write(alone_on=export_positions) as connection:
            connection.execute(delete(export_positions).filter_by(**row))
            connection.execute(export_positions.insert(), {**row, "position": position})

    def predictions(
        self,
        task: str,
        model_version: int,
        after: tuple[datetime, str] | None,
        until: datetime,
        limit: int,
    ) -> Sequence[ExportedPrediction]:
        """Return a version's answers after a time and id and before `until`, oldest first."""
        columns = predictions.c
        place = (columns.predict_time, columns.prediction_id)
        query = select(*(columns[name] for name in ExportedPrediction._fields)).where(
            columns.task == task,
            columns.model_version == model_version,
            columns.predict_time < until,
            columns.method != SHADOW_METHOD,
        )
        if after is not None:
            # Alone, the pair does not use the index on the time.
            query = query.where(
                columns.predict_time >= after[0],
                tuple_(*place) > tuple_(literal(after[0], UtcDateTime()), literal(after[1])),
            )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(*place).limit(limit))
            return [ExportedPrediction(*row) for row in rows]

    def verdicts(
        self, task: str, after: int, until: datetime, limit: int
    ) -> Sequence[ExportedVerdict]:
        """Return the trusted verdicts after a sequence and before `until`, oldest first."""
        query = select(feedback).where(
            feedback.c.task == task,
            feedback.c.sequence > after,
            feedback.c.create_time < until,
            is_trusted(),
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(feedback.c.sequence).limit(limit)).all()
            confirmed = [row.prediction_id for row in rows if row.correct and row.label is None]
            found = rows_with_ids(connection, confirmed, predictions.c.label)
            answers = {row[0]: row[1] for row in found}
        return [
            ExportedVerdict(
                row.sequence,
                row.prediction_id,
                answers.get(row.prediction_id) if row.correct and row.label is None else row.label,
                row.create_time,
            )
            for row in rows
        ]
