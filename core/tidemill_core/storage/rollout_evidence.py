"""The evidence about a candidate: counts of predictions, verdicts and audits."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, func, select

from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.labeling import LabelItemState, LabelReason
from tidemill_core.domain.prediction import SHADOW_METHOD
from tidemill_core.domain.rollout import BothCounts, RolloutEvidence
from tidemill_core.storage.database import Database
from tidemill_core.storage.feedback_holds import is_trusted
from tidemill_core.storage.schema import feedback, label_items, label_origins, predictions

METHODS = ("Predict", "StreamPredict")
"""The methods that choose a version for each text. The rows of a batch share one choice."""

_ALL = 100
_p = predictions.c


@dataclass(frozen=True)
class Comparison:
    """Two versions of a task, and since when they are compared."""

    task: str
    candidate: int
    champion: int
    since: datetime

    def percent(self, version: int, propensity: float) -> int:
        """Return the candidate's percent of the callers at a propensity of one of the versions."""
        own = round(propensity * _ALL)
        return own if version == self.candidate else _ALL - own


def read_evidence(
    database: Database, compared: Comparison, renames: Renames, max_latency_ms: float
) -> RolloutEvidence:
    """Return what is stored about two versions since their comparison began.

    Answers to callers who named a version do not count. Calls with one routing key all get the same
    version: the first of them counts as a choice, and the first wrong answer as wrong.

    Raises:
        StorageUnavailable: the database does not answer.
    """
    with database.read() as connection:
        timed, slow = _latencies(connection, compared, max_latency_ms)
        copies = _copies(connection, compared)
        answers, choices = _choices(connection, compared)
        judged = _verdicts(connection, compared, renames)
        judged |= _audits(connection, compared, renames)
    return RolloutEvidence(
        answers={**answers, 0: copies},
        choices=choices,
        wrong=_pairs(compared, _first(each for each in judged.values() if each.wrong)),
        judged=len(judged),
        timed=timed,
        slow=slow,
    )


@dataclass(frozen=True)
class _Choice:
    """A choice of the router.

    Attributes:
        version: the chosen version.
        propensity: the probability of the choice.
        key: the routing key; empty if it has none.
        wrong: whether a person judged the answer wrong.
    """

    version: int
    propensity: float
    key: str
    wrong: bool = False


def _of(compared: Comparison) -> ColumnElement[bool]:
    """Return the condition that a prediction is one of the versions', since the comparison."""
    versions = (compared.candidate, compared.champion)
    return and_(
        _p.task == compared.task,
        _p.model_version.in_(versions),
        _p.predict_time >= compared.since,
    )


def _chosen(compared: Comparison) -> ColumnElement[bool]:
    """Return the condition that the router chose between the versions for a prediction."""
    return and_(_of(compared), _p.propensity < 1, _p.method.in_(METHODS))


def _latencies(
    connection: Connection, compared: Comparison, max_latency_ms: float
) -> tuple[BothCounts, BothCounts]:
    """Return answers to callers with a latency of their own, and the slow ones of them.

    Copies do not count: they wait behind callers, so they are slower.
    """
    slow = func.count(case((_p.latency_ms > max_latency_ms, 1)))
    query = select(_p.model_version, func.count(), slow).group_by(_p.model_version)
    rows = connection.execute(query.where(_of(compared), _p.method.in_(METHODS)))
    found = {row[0]: row for row in rows}
    ours, theirs = (found.get(v, (v, 0, 0)) for v in (compared.candidate, compared.champion))
    return BothCounts(ours[1], theirs[1]), BothCounts(ours[2], theirs[2])


def _copies(connection: Connection, compared: Comparison) -> int:
    """Return how many copies of the traffic the candidate has answered."""
    ours = (_of(compared), _p.model_version == compared.candidate, _p.method == SHADOW_METHOD)
    return connection.execute(select(func.count()).where(*ours)).scalar_one()


def _choices(
    connection: Connection, compared: Comparison
) -> tuple[dict[int, int], dict[int, BothCounts]]:
    """Return the candidate's answers and the answered choices, by the candidate's percent."""
    kind = (_p.model_version, _p.propensity)
    query = select(*kind, func.count(), func.count(case((_p.routing_key == "", 1))))
    answers: Counter[int] = Counter()
    chosen: Counter[tuple[int, float]] = Counter()
    rows = connection.execute(query.where(_chosen(compared)).group_by(*kind))
    for version, propensity, count, without_key in rows:
        if version == compared.candidate:
            answers[compared.percent(version, propensity)] += count
        chosen[version, propensity] += without_key
    # The first answer of each routing key.
    order = (_p.predict_time, _p.prediction_id)
    place = func.row_number().over(partition_by=_p.routing_key, order_by=order).label("place")
    ranked = select(*kind, place).where(_chosen(compared), _p.routing_key != "").subquery()
    first = (ranked.c.model_version, ranked.c.propensity)
    firsts = select(*first, func.count()).where(ranked.c.place == 1).group_by(*first)
    for version, propensity, count in connection.execute(firsts):
        chosen[version, propensity] += count
    return dict(answers), _counted(compared, +chosen)


def _verdicts(connection: Connection, compared: Comparison, renames: Renames) -> dict[str, _Choice]:
    """Return the answers that users judged, by prediction id; the latest trusted verdict counts."""
    query = (
        select(feedback.c.prediction_id, feedback.c.correct, feedback.c.label, *_ROW)
        .join(predictions, _p.prediction_id == feedback.c.prediction_id)
        .where(feedback.c.task == compared.task, feedback.c.create_time >= compared.since)
        .where(_chosen(compared), is_trusted())
        .order_by(feedback.c.sequence)
    )
    found: dict[str, _Choice] = {}
    for prediction_id, correct, label, *row in connection.execute(query):
        right = _is(label, row, renames) if label is not None else bool(correct)
        found.pop(prediction_id, None)
        found[prediction_id] = _choice(row, not right)
    return found


def _audits(connection: Connection, compared: Comparison, renames: Renames) -> dict[str, _Choice]:
    """Return the answers that were drawn for an audit and that people labeled, by prediction id."""
    query = (
        select(_p.prediction_id, label_items.c.label, *_ROW)
        .join(label_origins, label_origins.c.origin == _p.prediction_id)
        .join(label_items, label_items.c.label_item_id == label_origins.c.label_item_id)
        .where(label_origins.c.task == compared.task, label_origins.c.reason == LabelReason.AUDIT)
        .where(label_items.c.state == LabelItemState.DONE)
        .where(label_items.c.create_time >= compared.since, _chosen(compared))
        .order_by(label_items.c.resolve_time)
    )
    return {
        prediction_id: _choice(row, not _is(label, row, renames))
        for prediction_id, label, *row in connection.execute(query)
    }


_ROW = (_p.model_version, _p.propensity, _p.routing_key, _p.label)


def _choice(row: list[Any], wrong: bool) -> _Choice:
    return _Choice(row[0], row[1], row[2], wrong)


def _is(label: str, row: list[Any], renames: Renames) -> bool:
    """Return whether a label is the predicted one, by their current names."""
    return current(label, renames) == current(row[3], renames)


def _first(choices: Iterable[_Choice]) -> list[_Choice]:
    """Return the first choice of each routing key, and all choices without a key."""
    seen: set[str] = set()
    found = []
    for choice in choices:
        if choice.key not in seen:
            found.append(choice)
        if choice.key:
            seen.add(choice.key)
    return found


def _pairs(compared: Comparison, choices: Iterable[_Choice]) -> dict[int, BothCounts]:
    return _counted(compared, Counter((each.version, each.propensity) for each in choices))


def _counted(
    compared: Comparison, counts: Mapping[tuple[int, float], int]
) -> dict[int, BothCounts]:
    """Return counts by version and propensity as pairs by the candidate's percent."""
    found: dict[int, BothCounts] = defaultdict(BothCounts)
    for (version, propensity), count in counts.items():
        percent = compared.percent(version, propensity)
        pair = found[percent]
        if version == compared.candidate:
            found[percent] = BothCounts(pair.candidate + count, pair.champion)
        else:
            found[percent] = BothCounts(pair.candidate, pair.champion + count)
    return dict(found)
