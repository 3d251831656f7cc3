"""The tables of datasets, models, deployments, jobs, reports and leases."""

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from tidemill_core.storage.schema.base import UtcDateTime, metadata

dataset_versions = Table(
    "dataset_versions",
    metadata,
    # The order of the last builds; it changes with `build_time`.
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("dataset_version", String(64), nullable=False, unique=True),
    Column("task", String(40), nullable=False, index=True),
    Column("uri", Text, nullable=False),
    Column("row_counts", JSON, nullable=False),
    Column("label_counts", JSON, nullable=False),
    Column("label_source_counts", JSON, nullable=False),
    Column("quarantine_counts", JSON, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("build_time", UtcDateTime, nullable=False),
    Column("source_counts", JSON, nullable=False, server_default="{}"),
    Column("parents", JSON, nullable=False, server_default="[]"),
    Column("code_version", String(40), nullable=False, server_default=""),
    Column("erased_count", Integer, nullable=False, server_default="0"),
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
    Column("approved_by", String(200), nullable=False, server_default=""),
    Column("trained_because", Text, nullable=False, server_default=""),
    Column("judge_time", UtcDateTime),
    UniqueConstraint("task", "version"),
)

tracked_runs = Table(
    "tracked_runs",
    metadata,
    Column("task", String(40), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("tracker", String(20), primary_key=True),
    Column("link", Text, nullable=False),
)

gate_results = Table(
    "gate_results",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("task", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("gate", String(40), nullable=False),
    Column("verdict", String(20), nullable=False),
    Column("figure", Float),
    Column("threshold", Float),
    Column("reason", Text, nullable=False),
    Column("details", JSON, nullable=False),
    UniqueConstraint("task", "version", "gate"),
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

release_pauses = Table(
    "release_pauses",
    metadata,
    Column("task", String(40), primary_key=True),
    Column("actor", String(200), nullable=False),
    Column("comment", Text, nullable=False),
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
    Column("parameters", JSON, nullable=False, server_default="{}"),
    Column("reason", Text, nullable=False, server_default=""),
    UniqueConstraint("job", "task", "fire_time"),
    Index(None, "state"),
    Index(None, "job", "task", "sequence"),
)
# At most one run of a job for a task at a time.
Index(
    "uq_job_runs_running",
    job_runs.c.job,
    job_runs.c.task,
    unique=True,
    sqlite_where=text("state = 'RUNNING'"),
    postgresql_where=text("state = 'RUNNING'"),
)

joined_requests = Table(
    "joined_requests",
    metadata,
    Column("request_id", String(200), primary_key=True),
    Column("run_id", String(32), nullable=False, index=True),
)
"""Requests that joined a run of an earlier request."""

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
    # The newest report of each kind, however many there are.
    Index("ix_reports_task_kind", "task", "kind", "sequence"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
)
