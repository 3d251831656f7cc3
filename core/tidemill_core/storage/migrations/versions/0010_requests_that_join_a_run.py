"""Requests that join a queued run; of those that wait, each job and task keeps its oldest one."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "joined_requests",
        sa.Column("request_id", sa.String(length=200), nullable=False),
        sa.Column("run_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_joined_requests")),
    )
    op.create_index(op.f("ix_joined_requests_run_id"), "joined_requests", ["run_id"])
    op.execute(
        "UPDATE job_runs SET state = 'CANCELLED', message = 'an older run waits',"
        " end_time = create_time WHERE state = 'QUEUED' AND sequence NOT IN"
        " (SELECT MIN(sequence) FROM job_runs WHERE state = 'QUEUED' GROUP BY job, task)"
    )
