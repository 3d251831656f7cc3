"""Totals of answers and verdicts, and a random sample: bounded, however many answers there are."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, or_, select

from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.prediction import SHADOW_METHOD
from tidemill_core.domain.signals import Signal
from tidemill_core.storage.database import Database
from tidemill_core.storage.feedback_holds import is_trusted
from tidemill_core.storage.prediction_counts import PredictionCountStore
from tidemill_core.storage.prediction_rows import in_sample, rows_with_ids
from tidemill_core.storage.schema import feedback, predictions

MAX_SAMPLE = 10_000
_IDS_A_QUERY = 500
_p, _f = predictions.c, feedback.c


@dataclass(frozen=True)
class AnsweredSpan:
    """A version's answers to callers between two full hours.

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
class JudgedTotals:
    """Judged predictions with one label.

    Attributes:
        count: how many.
        said_right: the sum of the shares of sources that judged each right.
    """

    count: int
    said_right: float


@dataclass(frozen=True)
class Sampled:
    """A prediction of a random sample.

    Attributes:
        confidence: the calibrated confidence.
        said_right: the share of the sources that judged it right; None if none judged it.
    """

    confidence: float
    said_right: float | None


def count_answers(database: Database, span: AnsweredSpan, renames: Renames) -> Counter[str]:
    """Return how many predictions a span has by current label.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    store = PredictionCountStore(database)
    counted = store.of_window(span.task, span.model_version, span.since, span.until)
    found: Counter[str] = Counter()
    for label, count in counted.get(Signal.LABEL, {}).items():
        found[current(label, renames)] += count
    return found


def read_sample(
    database: Database, span: AnsweredSpan, count: int, renames: Renames
) -> list[Sampled]:
    """Return a random sample of a span's predictions: all, if they are no more than MAX_SAMPLE.

    Args:
        database: where they are.
        span: which predictions.
        count: how many predictions the span has.
        renames: new names of labels.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    query = select(_p.prediction_id, _p.label, _p.confidence).where(
        _p.task == span.task, is_in(span), *in_sample(count, MAX_SAMPLE)
    )
    # By the random key: the first rows by time would be no random sample.
    query = query.order_by(_p.sample_key, _p.prediction_id).limit(MAX_SAMPLE)
    with database.read() as connection:
        rows = connection.execute(query).all()
        said = said_right(connection, {row.prediction_id: row.label for row in rows}, renames)
    return [Sampled(row.confidence, said.get(row.prediction_id)) for row in rows]


def judged_totals(
    database: Database, span: AnsweredSpan, renames: Renames
) -> dict[str, JudgedTotals]:
    """Return a span's predictions that users judged, by current label.

    The latest trusted verdict of each source on a prediction counts. Labels are compared by their
    current names.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    said, predicted = (_current(label, renames) for label in (_f.label, _p.label))
    confirmed = and_(_f.label.is_(None), _f.correct.is_(True))
    right = case((or_(confirmed, said == predicted), 1.0), else_=0.0)
    judged = (
        select(func.max(_p.label).label("predicted"), func.avg(right).label("said_right"))
        .select_from(feedback)
        .join(predictions, _p.prediction_id == _f.prediction_id)
        .where(_f.sequence.in_(_latest(span.task, span.since)), is_in(span))
        .group_by(_f.prediction_id)
        .subquery()
    )
    query = select(judged.c.predicted, func.count(), func.sum(judged.c.said_right))
    counts: Counter[str] = Counter()
    shares: dict[str, float] = defaultdict(float)
    with database.read() as connection:
        for label, count, share in connection.execute(query.group_by(judged.c.predicted)):
            counts[current(label, renames)] += count
            shares[current(label, renames)] += float(share)
    return {label: JudgedTotals(count, shares[label]) for label, count in counts.items()}


def count_unstored_verdicts(
    database: Database, task: str, model_version: int, since: datetime
) -> int:
    """Return how many verdicts since a time are on predictions that are not stored.

    The time of such a prediction is not known, so that of the verdict counts.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    latest = _latest(task, since).where(_f.model_version == model_version)
    query = select(_f.prediction_id).where(_f.sequence.in_(latest))
    with database.read() as connection:
        judged = connection.scalars(query).all()
        stored = {row[0] for row in rows_with_ids(connection, judged)}
    return sum(each not in stored for each in judged)


def is_in(span: AnsweredSpan) -> ColumnElement[bool]:
    """Return the condition that a prediction of the span's task is in the span.

    The task is not in it: with it, SQLite reads all predictions of the span by their index, instead
    of the few that the query joins by their id.
    """
    return and_(
        _p.model_version == span.model_version,
        _p.predict_time >= span.since,
        _p.predict_time < span.until,
        _p.method != SHADOW_METHOD,
    )


def said_right(
    connection: Connection, predicted: Mapping[str, str], renames: Renames
) -> dict[str, float]:
    """Return the share of the sources that judged a prediction right, by prediction id.

    Args:
        connection: an open transaction.
        predicted: the predicted labels by prediction id.
        renames: new names of labels.
    """
    latest: dict[str, dict[str, bool]] = defaultdict(dict)
    ids = list(predicted)
    for start in range(0, len(ids), _IDS_A_QUERY):
        of_chunk = _f.prediction_id.in_(ids[start : start + _IDS_A_QUERY])
        query = select(_f.prediction_id, _f.source, _f.correct, _f.label)
        rows = connection.execute(query.where(of_chunk, is_trusted()).order_by(_f.sequence))
        for prediction_id, source, correct, label in rows:
            ours = current(predicted[prediction_id], renames)
            right = bool(correct) if label is None else current(label, renames) == ours
            latest[prediction_id][source] = right
    return {name: sum(said.values()) / len(said) for name, said in latest.items()}


def _latest(task: str, since: datetime) -> Select[tuple[int]]:
    """Return a query of each source's latest trusted verdict on each prediction since a time."""
    given = (_f.task == task, _f.create_time >= since, is_trusted())
    latest = select(func.max(_f.sequence)).where(*given)
    return latest.group_by(_f.prediction_id, _f.source)


def _current(label: ColumnElement[str], renames: Renames) -> ColumnElement[str]:
    return case(dict(renames), value=label, else_=label) if renames else label
