"""Rows of predictions, encoded once and inserted many in one statement.

The front writes them while it answers requests on the same interpreter. SQLAlchemy's handling of
each value costs more than half of a write, and SQLite's driver releases the interpreter's lock at
every statement. Statements of many rows avoid both.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from itertools import chain

from sqlalchemy import Connection

from tidemill_core.domain.prediction import Prediction

Row = tuple[object, ...]
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
}
# SQLite before 3.32 takes at most 999 values in a statement.
_ROWS_A_STATEMENT = 999 // len(_COLUMNS)
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


def insert_rows(connection: Connection, batch: Sequence[Prediction]) -> None:
    """Insert predictions, except those whose id exists already."""
    rows = [_row(prediction) for prediction in batch]
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(_INSERT_POSTGRESQL, (json.dumps(rows),))
        return
    for start in range(0, len(rows), _ROWS_A_STATEMENT):
        chunk = rows[start : start + _ROWS_A_STATEMENT]
        connection.exec_driver_sql(_insert_sqlite(len(chunk)), tuple(chain.from_iterable(chunk)))


@cache
def _insert_sqlite(count: int) -> str:
    """Return the statement that inserts `count` rows."""
    row = f"({', '.join('?' * len(_COLUMNS))})"
    rows = ", ".join([row] * count)
    return f"INSERT INTO predictions ({_NAMES}) VALUES {rows} ON CONFLICT DO NOTHING"  # noqa: S608


def _row(prediction: Prediction) -> Row:
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
    )


@lru_cache(maxsize=16)
def _stored_time(time: datetime) -> str:
    """Return SQLAlchemy's format for SQLite: in UTC, without the zone; a batch has one time."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")
