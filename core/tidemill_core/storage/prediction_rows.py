"""Rows of predictions, encoded once and inserted many in one statement.

The front writes them while it answers requests on the same interpreter. SQLAlchemy's handling of
each value costs more than half of a write, and SQLite's driver releases the interpreter's lock at
every statement. Statements of many rows avoid both.
"""

import json
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from itertools import chain
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, literal_column, select

from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.prediction_id import claimed_time
from tidemill_core.storage.schema import predictions

RowValues = tuple[object, ...]
"""One prediction's values, in the order of `_COLUMNS`; scores and attributes as JSON."""

_COLUMNS = {
    "prediction_id": "text",
    "task": "text",
    "model_version": "integer",
    "text": "text",
    "text_hash": "text",
    "label": "text",
    "confidence": "float8",
    "scores": "json",
    "abstained": "boolean",
    "method": "text",
    "request_id": "text",
    "routing_key": "text",
    "attributes": "json",
    "propensity": "float8",
    "latency_ms": "float8",
    "predict_time": "timestamp AT TIME ZONE 'UTC'",
    "text_length": "integer",
    "unknown_pieces": "float8",
    "sample_key": "integer",
}
SAMPLE_KEYS = 1 << 16
"""The keys of a random sample lie in [0, SAMPLE_KEYS)."""
_INDEXED_KEYS = 1024  # as in the index `ix_predictions_sample`
_SAMPLE_SHIFT = 16  # leaves 16 of the 32 bits of a CRC
# SQLite before 3.32 takes at most 999 values in a statement.
_ROWS_A_STATEMENT = 999 // len(_COLUMNS)
_IDS_A_QUERY = 500
_TICK = timedelta(milliseconds=1)  # of the times in ids
_NAMES = ", ".join(_COLUMNS)
_FIELDS = ", ".join(
    f"(item->>{position})::{kind}" for position, kind in enumerate(_COLUMNS.values())
)
# One value for the whole batch: psycopg's work on each value costs most.
_INSERT_POSTGRESQL = (
    f"INSERT INTO predictions ({_NAMES}) SELECT {_FIELDS} "  # noqa: S608 -- our own names
    "FROM jsonb_array_elements(%s::jsonb) AS item ON CONFLICT DO NOTHING"
)

# Labels repeat from row to row; each is quoted once.
_quoted = lru_cache(maxsize=4096)(json.dumps)


def insert_rows(connection: Connection, batch: Sequence[Prediction]) -> Sequence[Prediction]:
    """Insert predictions, except those whose id exists already, and return those inserted."""
    with connection.begin_nested() as attempt:
        if _insert(connection, batch) == len(batch):
            return batch
        attempt.rollback()
    unique = {each.prediction_id: each for each in reversed(batch)}
    known = {row[0] for row in rows_with_ids(connection, unique)}
    new = [each for each in reversed(unique.values()) if each.prediction_id not in known]
    _insert(connection, new)
    return new


def _insert(connection: Connection, batch: Sequence[Prediction]) -> int:
    """Insert predictions, and return how many were new."""
    rows = [_row(prediction) for prediction in batch]
    if connection.dialect.name == "postgresql":
        return connection.exec_driver_sql(_INSERT_POSTGRESQL, (json.dumps(rows),)).rowcount
    count = 0
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        chunk = rows[start : start + _ROWS_A_STATEMENT]
        values = tuple(chain.from_iterable(chunk))
        count += connection.exec_driver_sql(_insert_sqlite(len(chunk)), values).rowcount
    return count


def rows_with_ids(
    connection: Connection, ids: Iterable[str], *columns: Column[Any]
) -> Iterator[Sequence[Any]]:
    """Yield the ids, and other columns, of the stored predictions among some ids.

    Each query asks for some hundred ids of nearly the same time, so for few partitions.
    """
    first = datetime.min.replace(tzinfo=UTC)
    ordered = sorted(set(ids), key=lambda each: claimed_time(each) or first)
    query = select(predictions.c.prediction_id, *columns)
    for start in range(0, len(ordered), _IDS_A_QUERY):
        yield from connection.execute(query.where(*with_ids(ordered[start : start + _IDS_A_QUERY])))


def with_ids(ids: Sequence[str]) -> list[ColumnElement[bool]]:
    """Return the conditions that a row has one of some ids.

    Ids name the time of their predictions, so PostgreSQL asks only the partitions of these times.
    """
    has_id: list[ColumnElement[bool]] = [predictions.c.prediction_id.in_(ids)]
    times = [time for each in ids if (time := claimed_time(each)) is not None]
    if not times or len(times) < len(ids):
        return has_id
    return [*has_id, predictions.c.predict_time.between(min(times) - _TICK, max(times) + _TICK)]


def in_sample(count: int, limit: int) -> list[ColumnElement[bool]]:
    """Return the conditions that a row is in a random sample; none if all rows are.

    Args:
        count: how many rows there are.
        limit: how many the sample must have; it has a few more, because the number of rows with a
            key below a bound varies.
    """
    key, bound = predictions.c.sample_key, math.ceil(1.2 * limit / max(count, 1) * SAMPLE_KEYS)
    if bound >= SAMPLE_KEYS:
        return []
    if bound > _INDEXED_KEYS:
        return [key < bound]
    return indexed(bound)


def indexed(bound: int = _INDEXED_KEYS) -> list[ColumnElement[bool]]:
    """Return the conditions that a key is below a bound, and in `ix_predictions_sample`."""
    key = predictions.c.sample_key
    # A literal, so that the index of these rows can be used, and two bounds, so that SQLite takes
    # it rather than the one of times.
    return [key < literal_column(str(_INDEXED_KEYS)), key.between(0, bound - 1)]


@cache
def _insert_sqlite(count: int) -> str:
    """Return the statement that inserts `count` rows."""
    row = f"({', '.join('?' * len(_COLUMNS))})"
    rows = ", ".join([row] * count)
    return f"INSERT INTO predictions ({_NAMES}) VALUES {rows} ON CONFLICT DO NOTHING"  # noqa: S608 -- our names


def _row(prediction: Prediction) -> RowValues:
    scores = [f'{{"label": {_quoted(s.label)}, "score": {s.score!r}}}' for s in prediction.scores]
    return (
        prediction.prediction_id,
        prediction.task,
        prediction.model_version,
        prediction.text,
        prediction.text_hash or None,
        prediction.label,
        prediction.confidence,
        f"[{', '.join(scores)}]",
        prediction.abstained,
        prediction.method,
        prediction.request_id,
        prediction.routing_key,
        json.dumps(dict(prediction.attributes)) if prediction.attributes else "{}",
        prediction.propensity,
        prediction.latency_ms,
        _stored_time(prediction.predict_time),
        prediction.text_length,
        prediction.unknown_pieces,
        zlib.crc32(prediction.prediction_id.encode()) >> _SAMPLE_SHIFT,
    )


@lru_cache(maxsize=16)
def _stored_time(time: datetime) -> str:
    """Return SQLAlchemy's format for SQLite: in UTC, without the zone; a batch has one time."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def prediction_of_row(row: Mapping[Any, Any]) -> Prediction:
    """Return a row as a value; columns of other tables are left out."""
    values = {name: value for name, value in row.items() if name in Prediction._fields}
    scores = tuple(Score(**score) for score in values.pop("scores"))
    text_hash = values.pop("text_hash") or ""
    return Prediction(scores=scores, text_hash=text_hash, **values)
