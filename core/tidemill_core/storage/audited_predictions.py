"""Predictions that were drawn for an audit, with the labels that people gave."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, func, select

from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.labeling import LabelItemState, LabelReason
from tidemill_core.domain.prediction import SHADOW_METHOD
from tidemill_core.storage.accuracy_totals import AnsweredSpan, is_in, said_right
from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import label_items, label_origins, predictions

_p = predictions.c


@dataclass(frozen=True)
class AuditedPrediction:
    """A prediction that was drawn for an audit and that people labeled.

    Attributes:
        model_version: the version that answered.
        predicted: the predicted label, by its current name.
        label: the people's label, by its current name.
        confidence: the calibrated confidence.
        method: how it was called.
        abstained: whether the confidence was below the threshold.
        attributes: the caller's.
        text_length: in characters; 0 if the text is not stored.
        predict_time: when it was answered.
        inclusion_probability: the probability in (0, 1] with which it was drawn.
        said_right: the share of the sources that judged it right; None if none judged it.
    """

    model_version: int
    predicted: str
    label: str
    confidence: float
    method: str
    abstained: bool
    attributes: Mapping[str, str]
    text_length: int
    predict_time: datetime
    inclusion_probability: float
    said_right: float | None

    @property
    def is_right(self) -> bool:
        """Whether the predicted label is the people's."""
        return self.predicted == self.label


def read_audits(
    database: Database, task: str, since: datetime, renames: Renames
) -> list[AuditedPrediction]:
    """Return the audited predictions of a task since a time, of all versions.

    Those whose probability of being drawn is not known do not count, and neither do shadows'.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    with database.read() as connection:
        # Resolved after they were predicted, so the items are few to look at.
        found = connection.execute(
            _audits(task, since, label_items.c.label, label_items.c.inclusion_probability, *_ROW)
            .where(label_items.c.state == LabelItemState.DONE)
            .where(label_items.c.resolve_time >= since)
            .where(label_items.c.inclusion_probability.is_not(None))
        ).all()
        said = said_right(connection, {row.prediction_id: row.predicted for row in found}, renames)
    return [_audited(row, said.get(row.prediction_id), renames) for row in found]


def count_undecided_audits(database: Database, span: AnsweredSpan) -> Counter[LabelItemState]:
    """Return how many drawn predictions of a span are OPEN or UNRESOLVED.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    state = label_items.c.state
    query = _audits(span.task, span.since, state, func.count()).where(is_in(span))
    undecided = (LabelItemState.OPEN, LabelItemState.UNRESOLVED)
    query = query.where(state.in_(undecided)).group_by(state)
    with database.read() as connection:
        found = connection.execute(query)
        return Counter({LabelItemState(name): count for name, count in found})


_ROW = (
    *(_p.prediction_id, _p.model_version, _p.label.label("predicted"), _p.confidence, _p.method),
    *(_p.abstained, _p.attributes, func.length(_p.text).label("text_length"), _p.predict_time),
)


def _audits(task: str, since: datetime, *columns: Any) -> Select[Any]:
    """Return a query of audits and their predictions since a time."""
    origin = label_origins.c
    joined = label_items.join(
        label_origins, origin.label_item_id == label_items.c.label_item_id
    ).join(predictions, _p.prediction_id == origin.origin)
    return (
        select(*columns)
        .select_from(joined)
        .where(label_items.c.task == task, label_items.c.reason == LabelReason.AUDIT)
        .where(origin.task == task, origin.reason == LabelReason.AUDIT)
        .where(_p.predict_time >= since, _p.method != SHADOW_METHOD)
    )


def _audited(row: Row[Any], said_right: float | None, renames: Renames) -> AuditedPrediction:
    return AuditedPrediction(
        model_version=row.model_version,
        predicted=current(row.predicted, renames),
        label=current(row.label, renames),
        confidence=row.confidence,
        method=row.method,
        abstained=row.abstained,
        attributes=row.attributes,
        text_length=row.text_length,
        predict_time=row.predict_time,
        inclusion_probability=row.inclusion_probability,
        said_right=said_right,
    )
