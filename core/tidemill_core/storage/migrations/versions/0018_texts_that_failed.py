"""How many texts were answered and how many failed, for the error budget."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "outcome_counts",
        sa.Column("count_id", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("answered", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        sa.Column("count_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("count_id", name=op.f("pk_outcome_counts")),
    )
    op.create_index(op.f("ix_outcome_counts_task"), "outcome_counts", ["task", "count_time"])
