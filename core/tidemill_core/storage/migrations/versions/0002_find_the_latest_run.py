"""An index that finds a job's latest run for a task."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply the migration."""
    op.create_index(op.f("ix_job_runs_job"), "job_runs", ["job", "task", "sequence"], unique=False)
