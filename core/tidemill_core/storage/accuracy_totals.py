"""Totals of confidences and verdicts, added up in the database: memory does not grow with them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, or_, select

from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.prediction import SHADOW_METHOD
from tidemill_core.storage.database import Database
from tidemill_core.storage.feedback_holds import is_trusted
from tidemill_core.storage.schema import feedback, predictions

_p, _f = predictions.c, feedback.c


@dataclass(frozen=True)
class AnsweredSpan:
    """A version's answers to callers between two times.

    Attributes:
        task: the task.
        model_version: the version.
        since: the start, inclusive.
        until: the end, exclusive.
    """

    task: str
    model_version: int
    since: datetime
    until: datetime


@dataclass(frozen=True)
class LabelTotals:
    """Sums over the predictions with one label.

    Attributes:
        count: the number of predictions.
        confidence: the sum of their confidences.
        squares: the sum of the squares of their confidences.
        said_right: the sum of the shares of sources that judged a prediction right.
        said_right_squares: the sum of the squares of these shares.
    """

    count: int = 0
    confidence: float = 0.0
    squares: float = 0.0
    said_right: float = 0.0
    said_right_squares: float = 0.0

    def __add__(self, other: "LabelTotals") -> "LabelTotals":
        sums = zip(vars(self).values(), vars(other).values(), strict=True)
        return LabelTotals(*(mine + theirs for mine, theirs in sums))


@dataclass(frozen=True)
class Totals:
    """Sums over all predictions, and over those that users judged, by current label."""

    answered: Mapping[str, LabelTotals]
    judged: Mapping[str, LabelTotals]

    @staticmethod
    def merged(parts: Sequence["Totals"]) -> "Totals":
        """Return the sums over several spans."""
        return Totals(
            _added(pair for part in parts for pair in part.answered.items()),
            _added(pair for part in parts for pair in part.judged.items()),
        )


def read_totals(database: Database, span: AnsweredSpan, renames: Renames) -> Totals:
    """Return sums over a span's predictions, and over those that users judged.

    The latest trusted verdict of each source on a prediction counts. Labels are compared by their
    current names.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    confidence = func.sum(_p.confidence)
    squares = func.sum(_p.confidence * _p.confidence)
    sums = (_p.label, func.count(), confidence, squares)
    judged = _judged(span, renames)
    said = (func.sum(judged.c.said_right), func.sum(judged.c.said_right * judged.c.said_right))
    of_judged = select(*sums, *said).join(judged, judged.c.prediction_id == _p.prediction_id)
    with database.read() as connection:
        answered = connection.execute(select(*sums).where(is_in(span)).group_by(_p.label)).all()
        verdicts = connection.execute(of_judged.where(is_in(span)).group_by(_p.label)).all()
    return Totals(_by_label(answered, renames), _by_label(verdicts, renames))


def count_unstored_verdicts(
    database: Database, task: str, model_version: int, since: datetime
) -> int:
    """Return how many verdicts since a time are on predictions that are not stored.

    The time of such a prediction is not known, so that of the verdict counts.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    latest = _latest(task, since).where(_f.model_version == model_version)
    stored = select(_p.prediction_id).where(_p.prediction_id == _f.prediction_id).exists()
    query = select(func.count()).where(_f.sequence.in_(latest), ~stored)
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def is_in(span: AnsweredSpan) -> ColumnElement[bool]:
    """Return the condition that a prediction is one of a span's."""
    return and_(
        _p.task == span.task,
        _p.model_version == span.model_version,
        _p.predict_time >= span.since,
        _p.predict_time < span.until,
        _p.method != SHADOW_METHOD,
    )


def _latest(task: str, since: datetime) -> Select[tuple[int]]:
    """Return a query of each source's latest trusted verdict on each prediction since a time."""
    given = (_f.task == task, _f.create_time >= since, is_trusted())
    latest = select(func.max(_f.sequence)).where(*given)
    return latest.group_by(_f.prediction_id, _f.source)


def _judged(span: AnsweredSpan, renames: Renames) -> Subquery:
    """Return the judged predictions of a span, with the share of sources that judged them right."""
    said, predicted = (_current(label, renames) for label in (_f.label, _p.label))
    confirmed = and_(_f.label.is_(None), _f.correct.is_(True))
    right = case((or_(confirmed, said == predicted), 1.0), else_=0.0)
    return (
        select(_f.prediction_id, func.avg(right).label("said_right"))
        .join(predictions, _p.prediction_id == _f.prediction_id)
        .where(_f.sequence.in_(_latest(span.task, span.since)), is_in(span))
        .group_by(_f.prediction_id)
        .subquery()
    )


def _current(label: ColumnElement[str], renames: Renames) -> ColumnElement[str]:
    return case(dict(renames), value=label, else_=label) if renames else label


def _by_label(rows: Sequence[Any], renames: Renames) -> dict[str, LabelTotals]:
    return _added(
        (current(label, renames), LabelTotals(count, *map(float, sums)))
        for label, count, *sums in rows
    )


def _added(pairs: Iterable[tuple[str, LabelTotals]]) -> dict[str, LabelTotals]:
    found: dict[str, LabelTotals] = defaultdict(LabelTotals)
    for label, totals in pairs:
        found[label] += totals
    return dict(found)
