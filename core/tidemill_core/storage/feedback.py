"""Feedback: durable once written, and written once even if it is sent several times."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, select, update

from tidemill_core.domain.feedback import Feedback
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.feedback_holds import is_trusted
from tidemill_core.storage.prediction_rows import rows_with_ids
from tidemill_core.storage.schema import feedback, predictions

_KEYS_A_QUERY = 500


class FeedbackStore:
    """The table of feedback."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, batch: Sequence[Feedback]) -> list[Feedback]:
        """Write verdicts in one transaction and return them as stored, in order.

        A repeated request id returns the verdict that was stored first. A verdict without a
        request id that equals its source's latest on the prediction returns that one.

        Raises:
            StorageUnavailable: no verdict was written.
        """
        with self._database.write(alone_on=feedback) as connection:
            known = _known(connection, batch)
            stored: list[Feedback] = []
            new: list[Feedback] = []
            for item in batch:
                earlier = known.get(_key(item))
                if earlier is None or not (item.request_id or _same_verdict(earlier, item)):
                    new.append(item)
                    known[_key(item)] = earlier = item
                    known[item.prediction_id, item.source] = item
                stored.append(earlier)
            if new:
                connection.execute(feedback.insert(), [_row(item) for item in new])
        return stored

    def page(self, task: str, prediction_id: str, page: Page) -> tuple[list[Feedback], str]:
        """Return a page of feedback, newest first, and the next page's token."""
        wanted = {"task": task, "prediction_id": prediction_id}
        return self._database.page(_feedback, feedback, page, **wanted)

    def latest_verdicts(self, task: str) -> list[Feedback]:
        """Return each source's latest trusted verdict on each prediction, oldest first."""
        latest = select(func.max(feedback.c.sequence)).where(feedback.c.task == task, is_trusted())
        latest = latest.group_by(feedback.c.prediction_id, feedback.c.source)
        query = (
            select(feedback).where(feedback.c.sequence.in_(latest)).order_by(feedback.c.sequence)
        )
        with self._database.read() as connection:
            return [_feedback(row) for row in connection.execute(query).mappings()]

    def verdict_counts(self, task: str, since: datetime) -> dict[str, int]:
        """Return how many verdicts since a time said `right` or `wrong`, or gave a `label`."""
        said = case(
            (feedback.c.label.is_not(None), "label"), (feedback.c.correct, "right"), else_="wrong"
        ).label("said")
        given = select(said).where(feedback.c.task == task, feedback.c.create_time >= since)
        counted = given.subquery()
        query = select(counted.c.said, func.count()).group_by(counted.c.said)
        with self._database.read() as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {verdict: found.get(verdict, 0) for verdict in ("right", "wrong", "label")}

    def labeled_texts(self, task: str, since: datetime | None) -> list[tuple[str, str]]:
        """Return the distinct texts and labels that verdicts give after a time.

        The latest trusted verdict on a prediction counts: its label, or a confirmed stored
        prediction's. The text is the stored one, or else one that came with a verdict.
        """
        newest, text_given = func.max(feedback.c.sequence), func.max(feedback.c.text)
        given = select(newest.label("sequence"), text_given.label("text"))
        given = given.where(feedback.c.task == task, is_trusted()).group_by(
            feedback.c.prediction_id
        )
        if since is not None:
            given = given.where(feedback.c.create_time > since)
        latest = given.subquery()
        verdicts = select(feedback, latest.c.text.label("given"))
        query = verdicts.join(latest, feedback.c.sequence == latest.c.sequence)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
            ids = (row.prediction_id for row in rows)
            stored = rows_with_ids(connection, ids, predictions.c.text, predictions.c.label)
            answers = {prediction_id: (text, label) for prediction_id, text, label in stored}
        found = set()
        for row in rows:
            text, predicted = answers.get(row.prediction_id, ("", None))
            label = row.label or (predicted if row.correct else None)
            if (text or row.given) is not None and label is not None:
                found.add((text or row.given, label))
        return list(found)

    def expire_texts(self, task: str, before: datetime, limit: int) -> int:
        """Remove the texts that came with a task's oldest verdicts before a time.

        Returns:
            How many texts were removed; fewer than `limit` if none is left.
        """
        oldest = (
            select(feedback.c.sequence)
            .where(feedback.c.task == task, feedback.c.create_time < before)
            .where(feedback.c.text.is_not(None))
            .order_by(feedback.c.create_time)
            .limit(limit)
        )
        blank = update(feedback).where(feedback.c.sequence.in_(oldest)).values(text=None)
        with self._database.write() as connection:
            return connection.execute(blank).rowcount


def _key(item: Feedback) -> tuple[str, ...]:
    return (item.request_id,) if item.request_id else (item.prediction_id, item.source)


def _same_verdict(one: Feedback, other: Feedback) -> bool:
    return (one.correct, one.label, one.comment, one.text) == (
        other.correct,
        other.label,
        other.comment,
        other.text,
    )


def _known(connection: Connection, batch: Sequence[Feedback]) -> dict[tuple[str, ...], Feedback]:
    """Return the stored verdicts by the keys of a batch."""
    known: dict[tuple[str, ...], Feedback] = {}
    request_ids = [item.request_id for item in batch if item.request_id]
    prediction_ids = [item.prediction_id for item in batch if not item.request_id]
    for start in range(0, len(request_ids), _KEYS_A_QUERY):
        chunk = request_ids[start : start + _KEYS_A_QUERY]
        query = select(feedback).where(feedback.c.request_id.in_(chunk))
        for row in connection.execute(query).mappings():
            known[(row["request_id"],)] = _feedback(row)
    for start in range(0, len(prediction_ids), _KEYS_A_QUERY):
        chunk = prediction_ids[start : start + _KEYS_A_QUERY]
        query = select(feedback).where(feedback.c.prediction_id.in_(chunk))
        for row in connection.execute(query.order_by(feedback.c.sequence)).mappings():
            known[(row["prediction_id"], row["source"])] = _feedback(row)
    return known


def _row(item: Feedback) -> dict[str, Any]:
    return {**vars(item), "request_id": item.request_id or None, "text": item.text or None}


def _feedback(row: Mapping[Any, Any]) -> Feedback:
    values = {name: value for name, value in row.items() if name != "sequence"}
    optional = {name: values[name] or "" for name in ("request_id", "text")}
    return Feedback(**{**values, **optional})
