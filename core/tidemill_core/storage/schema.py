"""The tables. `migrations/` brings a database to this shape, and a test compares the two."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, kept in UTC. SQLite forgets the zone; it is put back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """From UTC."""
        del dialect
        if not isinstance(value, datetime):
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


predictions = Table(
    "predictions",
    metadata,
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
    # In place of the text, where the task keeps only that.
    Column("text_hash", String(64)),
    Index(None, "task", "model_version", "predict_time"),
)
# What is left to expire, and nothing else, so that looking for it costs little every night.
Index(
    "ix_predictions_text",
    predictions.c.task,
    predictions.c.predict_time,
    sqlite_where=text("text <> '' OR text_hash IS NOT NULL"),
    postgresql_where=text("text <> '' OR text_hash IS NOT NULL"),
)

feedback = Table(
    "feedback",
    metadata,
    # Grows with time: the order in which verdicts count, and the key of pages.
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
    # The text that was judged, where the caller gave it again.
    Column("text", Text),
    Index(None, "task", "create_time"),
)

dataset_versions = Table(
    "dataset_versions",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("dataset_version", String(64), nullable=False, unique=True),
    Column("task", String(40), nullable=False, index=True),
    Column("uri", Text, nullable=False),
    Column("row_counts", JSON, nullable=False),
    Column("label_counts", JSON, nullable=False),
    Column("label_source_counts", JSON, nullable=False),
    Column("quarantine_counts", JSON, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("task", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("model_format", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("dataset_version", String(64), nullable=False),
    Column("measures", JSON, nullable=False),
    Column("reason", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("update_time", UtcDateTime, nullable=False),
    UniqueConstraint("task", "version"),
)

deployments = Table(
    "deployments",
    metadata,
    Column("deployment_id", Integer, primary_key=True, autoincrement=True),
    Column("task", String(40), nullable=False, index=True),
    Column("champion", Integer, nullable=False),
    Column("previous_champion", Integer, nullable=False),
    Column("canaries", JSON, nullable=False),
    Column("shadows", JSON, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("comment", Text, nullable=False),
    Column("request_id", String(200), unique=True),
    Column("create_time", UtcDateTime, nullable=False),
)

jobs = Table(
    "jobs",
    metadata,
    Column("job", String(40), primary_key=True),
    Column("description", Text, nullable=False),
    Column("schedule", String(100), nullable=False),
)

job_runs = Table(
    "job_runs",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("run_id", String(32), nullable=False, unique=True),
    Column("job", String(40), nullable=False),
    Column("task", String(40), nullable=False),
    Column("state", String(20), nullable=False),
    Column("trigger", String(200), nullable=False),
    Column("fire_time", UtcDateTime),
    Column("request_id", String(200), unique=True),
    Column("progress", Float, nullable=False),
    Column("message", Text, nullable=False),
    Column("result", JSON, nullable=False),
    Column("error", Text, nullable=False),
    Column("cancel_requested", Boolean, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("start_time", UtcDateTime),
    Column("heartbeat_time", UtcDateTime),
    Column("end_time", UtcDateTime),
    UniqueConstraint("job", "task", "fire_time"),
    Index(None, "state"),
    Index(None, "job", "task", "sequence"),
)
# One run of a job at a time, whoever tries to start a second.
Index(
    "uq_job_runs_running",
    job_runs.c.job,
    job_runs.c.task,
    unique=True,
    sqlite_where=text("state = 'RUNNING'"),
    postgresql_where=text("state = 'RUNNING'"),
)

reports = Table(
    "reports",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("report_id", String(32), nullable=False, unique=True),
    Column("task", String(40), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("summary", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Column("run_id", String(32), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
)

alerts = Table(
    "alerts",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("alert_id", String(32), nullable=False, unique=True),
    Column("report_id", String(32), nullable=False),
    Column("task", String(40), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("message", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("acknowledge_time", UtcDateTime),
    Column("acknowledged_by", String(200), nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
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
