"""What sources said about predictions, and what people decided about the same predictions."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select

from tidemill_core.domain.feedback import HoldReason, HoldState, JudgedPrediction
from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.labeling import LabelItemState
from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import (
    feedback,
    feedback_holds,
    label_items,
    label_origins,
    predictions,
)


def judged_predictions(
    database: Database, task: str, since: datetime, renames: Renames
) -> list[JudgedPrediction]:
    """Return each source's latest verdict since a time on each prediction, oldest first.

    Verdicts that are held or dropped are included. Confirmations of predictions that are not stored
    say nothing and are left out.
    """
    latest = select(func.max(feedback.c.sequence)).where(
        feedback.c.task == task, feedback.c.create_time >= since
    )
    latest = latest.group_by(feedback.c.prediction_id, feedback.c.source)
    query = (
        select(
            feedback,
            predictions.c.label.label("predicted"),
            predictions.c.confidence,
            feedback_holds.c.reason.label("hold"),
            feedback_holds.c.state.label("hold_state"),
        )
        .select_from(feedback)
        .outerjoin(predictions, predictions.c.prediction_id == feedback.c.prediction_id)
        .outerjoin(feedback_holds, feedback_holds.c.feedback_id == feedback.c.feedback_id)
        .where(feedback.c.sequence.in_(latest))
        .order_by(feedback.c.sequence)
    )
    truths = people_labels(database, task)
    with database.read() as connection:
        rows = connection.execute(query).mappings()
        return [
            _judged(row, truths.get(row["prediction_id"]), renames)
            for row in rows
            if not (row["correct"] and row["predicted"] is None)
        ]


def evidence_mark(database: Database, task: str) -> str:
    """Return a text that changes with a task's feedback, people's labels, and released holds."""
    newest = (
        select(func.max(feedback.c.sequence)).where(feedback.c.task == task),
        select(func.max(label_items.c.resolve_time)).where(label_items.c.task == task),
        select(func.max(feedback_holds.c.resolve_time)).where(feedback_holds.c.task == task),
    )
    with database.read() as connection:
        return " ".join(str(connection.scalar(each)) for each in newest)


def people_labels(database: Database, task: str) -> dict[str, str]:
    """Return the labels that people decided on, by prediction id."""
    same = label_items.c.label_item_id == label_origins.c.label_item_id
    decided = and_(label_origins.c.task == task, label_items.c.state == LabelItemState.DONE)
    query = select(label_origins.c.origin, label_items.c.label).join(label_items, same)
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query.where(decided))}


def _judged(row: Mapping[Any, Any], truth: str | None, renames: Renames) -> JudgedPrediction:
    confirmed = row["predicted"] if row["correct"] else None
    label, predicted, true = (
        None if each is None else current(each, renames)
        for each in (row["label"] or confirmed, row["predicted"], truth)
    )
    return JudgedPrediction(
        feedback_id=row["feedback_id"],
        prediction_id=row["prediction_id"],
        source=row["source"],
        label=label,
        predicted=predicted,
        confidence=row["confidence"],
        truth=true,
        create_time=row["create_time"],
        hold=row["hold"] and HoldReason(row["hold"]),
        hold_state=row["hold_state"] and HoldState(row["hold_state"]),
    )
