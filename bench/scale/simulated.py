"""Predictions that PostgreSQL makes itself, in the shape that the front writes them."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import UTC, datetime
from tempfile import mkdtemp
from typing import Any

import psutil
from pgserver.postgres_server import get_server
from sqlalchemy import Connection, text

from bench.training.support import read
from tidemill_core.storage.database import Database
from tidemill_core.storage.partitions import WEEK, week_start
from tidemill_core.storage.schema import prediction_counts

TASK, VERSION, WEEKS = "support", 3, 13
END = week_start(datetime.now(UTC))
START = END - WEEKS * WEEK
_SAMPLES = 2000
_HOURS = 24 * 7
_AT_ONCE = 4
_SETTINGS = {
    "fsync": "on",
    "max_wal_size": "4GB",
    "maintenance_work_mem": "512MB",
    "wal_compression": "on",
}
# The id's bytes are those of `tidemill_core.prediction_id`, with a random signature.
_ROWS = r"""
INSERT INTO {table} (prediction_id, task, model_version, text, label, confidence, scores,
    abstained, method, request_id, routing_key, attributes, propensity, latency_ms, predict_time,
    text_length, unknown_pieces, sample_key)
SELECT rtrim(translate(encode('\x0007'::bytea || 'support'::bytea || int4send({version})
        || substring(int8send((extract(epoch FROM time) * 1000)::bigint) FROM 3)
        || '\xffff'::bytea || uuid_send(gen_random_uuid())
        || substring(uuid_send(gen_random_uuid()) FROM 9), 'base64'), '+/', '-_'), '='),
    'support', {version}, samples.text, samples.label, samples.confidence, samples.scores, false,
    'Predict', '', '', '{{}}', 1.0, 3 + 4 * random(), time, 12, 0.0, (random() * 65535)::integer
FROM (SELECT n, timestamptz '{start}' + (n + random()) * interval '1 second' * {step!r} AS time
    FROM generate_series(0, {rows} - 1) AS n) AS made
JOIN samples ON samples.number = made.n % {samples}
"""


@contextmanager
def postgres() -> Iterator[Any]:
    """Run a PostgreSQL whose data is removed afterwards; yield it."""
    server = get_server(mkdtemp(prefix="tidemill-scale-"), cleanup_mode="delete")
    try:
        for name, value in _SETTINGS.items():
            change(server, name, value)
        yield server
    finally:
        server.cleanup()


def change(server: Any, name: str, value: str) -> None:
    """Change a setting of PostgreSQL."""
    server.psql(f"ALTER SYSTEM SET {name} = '{value}'")
    server.psql("SELECT pg_reload_conf()")


def cpu_seconds(server: Any) -> float:
    """Return the CPU time of PostgreSQL's processes that run now."""
    processes = psutil.Process(server.get_pid()).children()
    return float(sum(sum(each.cpu_times()[:2]) for each in processes))


def new_database(server: Any, name: str) -> str:
    """Create a database, and return its SQLAlchemy URL."""
    server.psql(f"CREATE DATABASE {name}")
    return str(server.get_uri(name)).replace("postgresql://", "postgresql+psycopg://", 1)


@contextmanager
def without_limits(database: Database) -> Iterator[Connection]:
    """Yield a connection that commits each statement, however long it takes."""
    with database.autocommit() as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("SET lock_timeout = 0"))
        yield connection
        connection.execute(text("RESET statement_timeout"))
        connection.execute(text("RESET lock_timeout"))


def add_samples(connection: Connection) -> int:
    """Store texts and answers to draw from; return the mean length of a text in bytes."""
    drawn = random.Random(7)  # noqa: S311 -- not for security
    rows = drawn.sample(read("train.csv"), _SAMPLES)
    connection.execute(
        text(
            "CREATE TABLE samples (number int PRIMARY KEY, text text, label text, "
            "confidence float8, scores json)"
        )
    )
    for number, (content, label) in enumerate(rows):
        confidence = 1 - drawn.random() ** 3 / 2
        scores = json.dumps([{"label": label, "score": confidence}])
        values = {"n": number, "t": content, "l": label, "c": confidence, "s": scores}
        connection.execute(text("INSERT INTO samples VALUES (:n, :t, :l, :c, :s)"), values)
    connection.execute(text("ANALYZE samples"))
    return sum(len(content.encode()) for content, _ in rows) // len(rows)


def fill_week(connection: Connection, table: str, week: int, rows: int) -> None:
    """Insert a week's rows into a table, spread over the week."""
    connection.execute(
        text(
            _ROWS.format(
                table=table,
                version=VERSION,
                start=(START + week * WEEK).isoformat(),
                step=WEEK.total_seconds() / rows,
                rows=rows,
                samples=_SAMPLES,
            ).replace(":", r"\:")
        )
    )


def fill(database: Database, rows: int) -> Iterator[int]:
    """Store predictions, feedback on a thousandth of them, and counts; yield rows after a week."""
    of_week = rows // WEEKS
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        weeks = [pool.submit(_add_week, database, week, of_week) for week in range(WEEKS)]
        for number, _ in enumerate(as_completed(weeks)):
            yield (number + 1) * of_week
    with without_limits(database) as connection:
        _add_feedback(connection)
        _add_counts(connection, of_week)
        for table in ("predictions", "feedback"):
            connection.execute(text(f"ANALYZE {table}"))


def _add_week(database: Database, week: int, rows: int) -> None:
    name = f"predictions_until_{START + (week + 1) * WEEK:%Y%m%d}"
    with without_limits(database) as connection:
        connection.execute(text(f"CREATE TABLE {name} (LIKE predictions INCLUDING ALL)"))
        fill_week(connection, name, week, rows)
        _attach(connection, name, week)


def _attach(connection: Connection, name: str, week: int) -> None:
    start = START + week * WEEK
    connection.execute(
        text(
            f"ALTER TABLE predictions ATTACH PARTITION {name} FOR VALUES "
            f"FROM ('{start.isoformat()}') TO ('{(start + WEEK).isoformat()}')".replace(":", r"\:")
        )
    )


def _add_feedback(connection: Connection) -> None:
    connection.execute(
        text(
            "INSERT INTO feedback (feedback_id, prediction_id, task, model_version, correct, "
            "source, comment, create_time) SELECT md5(prediction_id), prediction_id, task, "
            "model_version, true, 'user', '', predict_time + interval '1 hour' FROM predictions "
            "WHERE sample_key < 66 ORDER BY predict_time"
        )
    )


def _add_counts(connection: Connection, of_week: int) -> None:
    found = connection.execute(text("SELECT label, confidence FROM samples")).all()
    each = of_week / _HOURS / len(found)
    labels = Counter(label for label, _ in found)
    bins = Counter(str(min(int(confidence * 20), 19)) for _, confidence in found)
    total = round(of_week / _HOURS)
    counts = {
        "label": {name: round(each * count) for name, count in labels.items()},
        "confidence": {name: round(each * count) for name, count in bins.items()},
        "text_length": {"7": total},
        "unknown_pieces": {"0": total},
    }
    step = WEEK / _HOURS
    connection.execute(
        prediction_counts.insert(),
        [
            {"task": TASK, "model_version": VERSION, "hour": START + n * step, "counts": counts}
            for n in range(WEEKS * _HOURS)
        ],
    )
