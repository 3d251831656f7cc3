"""The tables of predictions and their drift, feedback and its holds, API keys and audit records."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    text,
)

from tidemill_core.storage.schema.base import UtcDateTime, metadata

predictions = Table(
    "predictions",
    metadata,
    # On PostgreSQL with `predict_time`, by which the table is partitioned: an id has one time.
    Column("prediction_id", String(160), primary_key=True),
    Column("task", String(40), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("label", Text, nullable=False),
    Column("confidence", Float, nullable=False),
    Column("scores", JSON, nullable=False),
    Column("abstained", Boolean, nullable=False),
    Column("method", String(20), nullable=False),
    Column("request_id", String(200), nullable=False),
    Column("routing_key", String(200), nullable=False),
    Column("attributes", JSON, nullable=False),
    Column("propensity", Float, nullable=False),
    Column("latency_ms", Float, nullable=False),
    Column("predict_time", UtcDateTime, nullable=False),
    # Instead of the text, if the task stores only the hash.
    Column("text_hash", String(64)),
    Column("text_length", Integer),
    Column("unknown_pieces", Float),
    # Random, from the id: rows below a bound are a random sample.
    Column("sample_key", Integer),
    Index(None, "task", "model_version", "predict_time"),
)
# Only rows that can still expire, so that the nightly search is cheap.
Index(
    "ix_predictions_text",
    predictions.c.task,
    predictions.c.predict_time,
    sqlite_where=text("text <> '' OR text_hash IS NOT NULL"),
    postgresql_where=text("text <> '' OR text_hash IS NOT NULL"),
)
# Few rows, so that a sample of many predictions is found without reading the others.
Index(
    "ix_predictions_sample",
    predictions.c.task,
    predictions.c.model_version,
    predictions.c.sample_key,
    predictions.c.predict_time,
    sqlite_where=text("sample_key < 1024"),
    postgresql_where=text("sample_key < 1024"),
)

# Predictions by hour and bin, without those of shadows: see `domain.signals`.
prediction_counts = Table(
    "prediction_counts",
    metadata,
    Column("task", String(40), primary_key=True),
    Column("model_version", Integer, primary_key=True),
    Column("hour", UtcDateTime, primary_key=True),
    # By signal, then by bin: a label, or the number of a bin.
    Column("counts", JSON, nullable=False),
)

# The regions of a version's representation, as its first drift check found them.
drift_regions = Table(
    "drift_regions",
    metadata,
    Column("task", String(40), primary_key=True),
    Column("model_version", Integer, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)

outcome_counts = Table(
    "outcome_counts",
    metadata,
    Column("count_id", String(32), primary_key=True),
    Column("task", String(40), nullable=False),
    Column("answered", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("count_time", UtcDateTime, nullable=False),
    Index(None, "task", "count_time"),
)

feedback = Table(
    "feedback",
    metadata,
    # Increases with time: the order in which verdicts count, and the key of pages.
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("feedback_id", String(32), nullable=False, unique=True),
    Column("prediction_id", String(160), nullable=False, index=True),
    Column("task", String(40), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("correct", Boolean),
    Column("label", Text),
    Column("source", String(200), nullable=False),
    Column("comment", Text, nullable=False),
    Column("request_id", String(200), unique=True),
    Column("create_time", UtcDateTime, nullable=False),
    # The judged text, if the caller sent it again.
    Column("text", Text),
    Index(None, "task", "create_time"),
)

feedback_holds = Table(
    "feedback_holds",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("feedback_id", String(32), nullable=False, unique=True),
    Column("task", String(40), nullable=False),
    Column("source", String(200), nullable=False),
    Column("label", Text, nullable=False),
    Column("reason", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("state", String(20), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("comment", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("resolve_time", UtcDateTime),
    Index(None, "task", "state"),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", String(32), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("secret_sha256", String(64), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("tasks", JSON, nullable=False),
    Column("requests_per_second", Float),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime),
    Column("revoke_time", UtcDateTime),
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("caller", String(200), nullable=False, index=True),
    Column("authentication", String(20), nullable=False),
    Column("method", String(100), nullable=False),
    Column("task", String(40), nullable=False, index=True),
    Column("code", String(40), nullable=False),
    Column("reason", String(100), nullable=False),
    Column("request", JSON, nullable=False),
    Column("peer", String(200), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
)
