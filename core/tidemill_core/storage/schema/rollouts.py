"""The table of rollouts."""

from sqlalchemy import Column, Index, Integer, String, Table, Text, text

from tidemill_core.storage.schema.base import UtcDateTime, metadata

rollouts = Table(
    "rollouts",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("task", String(40), nullable=False, index=True),
    Column("version", Integer, nullable=False),
    # 0 while it waits.
    Column("champion", Integer, nullable=False),
    Column("state", String(20), nullable=False),
    Column("reason", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("start_time", UtcDateTime),
    Column("end_time", UtcDateTime),
)
# At most one rollout of a task at a time.
Index(
    "uq_rollouts_running",
    rollouts.c.task,
    unique=True,
    sqlite_where=text("state = 'RUNNING'"),
    postgresql_where=text("state = 'RUNNING'"),
)
