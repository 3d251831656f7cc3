"""Feedback that is held for review, and why a run was started and a version trained."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "feedback_holds",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("feedback_id", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("resolve_time", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_feedback_holds")),
        sa.UniqueConstraint("feedback_id", name=op.f("uq_feedback_holds_feedback_id")),
    )
    op.create_index(op.f("ix_feedback_holds_task"), "feedback_holds", ["task", "state"])
    reason = sa.Column("reason", sa.Text(), nullable=False, server_default="")
    op.add_column("job_runs", reason)
    because = sa.Column("trained_because", sa.Text(), nullable=False, server_default="")
    op.add_column("model_versions", because)
