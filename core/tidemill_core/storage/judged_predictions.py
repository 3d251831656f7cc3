"""What sources said about predictions, and what people decided about the same predictions."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, func, select

from tidemill_core.domain.feedback import HoldReason, HoldState, JudgedPrediction
from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.labeling import LabelItemState
from tidemill_core.storage.database import Database
from tidemill_core.storage.prediction_rows import rows_with_ids
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
            feedback_holds.c.reason.label("hold"),
            feedback_holds.c.state.label("hold_state"),
        )
        .select_from(feedback)
        .outerjoin(feedback_holds, feedback_holds.c.feedback_id == feedback.c.feedback_id)
        .where(feedback.c.sequence.in_(latest))
        .order_by(feedback.c.sequence)
    )
    truths = people_labels(database, task)
    with database.read() as connection:
        rows = connection.execute(query).mappings().all()
        ids = (row["prediction_id"] for row in rows)
        columns = (predictions.c.label, predictions.c.confidence)
        answers = {each[0]: each[1:] for each in rows_with_ids(connection, ids, *columns)}
    judged = ((row, answers.get(row["prediction_id"])) for row in rows)
    return [
        _judged(row, answer, truths.get(row["prediction_id"]), renames)
        for row, answer in judged
        if not (row["correct"] and answer is None)
    ]


def evidence_mark(database: Database, task: str) -> str:
    """Return a text that changes with a task's feedback, people's labels, and released holds."""
    newest = {
        "feedback": feedback.c.sequence,
        "label": label_items.c.resolve_time,
        "release": feedback_holds.c.resolve_time,
    }
    with database.read() as connection:
        found = {
            what: connection.scalar(select(func.max(column)).where(column.table.c.task == task))
            for what, column in newest.items()
        }
    return ", ".join(f"{what} {value or 'none'}" for what, value in found.items())


def people_labels(database: Database, task: str) -> dict[str, str]:
    """Return the labels that people decided on, by prediction id."""
    same = label_items.c.label_item_id == label_origins.c.label_item_id
    decided = and_(label_origins.c.task == task, label_items.c.state == LabelItemState.DONE)
    query = select(label_origins.c.origin, label_items.c.label).join(label_items, same)
    with database.read() as connection:
        return {row[0]: row[1] for row in connection.execute(query.where(decided))}


def _judged(
    row: Mapping[Any, Any], answer: Sequence[Any] | None, truth: str | None, renames: Renames
) -> JudgedPrediction:
    answered, confidence = answer or (None, None)
    label, predicted, true = (
        None if each is None else current(each, renames)
        for each in (row["label"] or (answered if row["correct"] else None), answered, truth)
    )
    return JudgedPrediction(
        feedback_id=row["feedback_id"],
        prediction_id=row["prediction_id"],
        source=row["source"],
        label=label,
        predicted=predicted,
        confidence=confidence,
        truth=true,
        create_time=row["create_time"],
        hold=row["hold"] and HoldReason(row["hold"]),
        hold_state=row["hold_state"] and HoldState(row["hold_state"]),
    )
