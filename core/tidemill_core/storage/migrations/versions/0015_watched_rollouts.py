"""Rollouts."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "rollouts",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("champion", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("start_time", UtcDateTime(), nullable=True),
        sa.Column("end_time", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_rollouts")),
    )
    op.create_index(op.f("ix_rollouts_task"), "rollouts", ["task"])
    running = sa.text("state = 'RUNNING'")
    op.create_index(
        "uq_rollouts_running",
        "rollouts",
        ["task"],
        unique=True,
        sqlite_where=running,
        postgresql_where=running,
    )
