"""Erasures."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "erasures",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("erasure_id", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("requested_by", sa.String(length=200), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("erase_time", UtcDateTime(), nullable=True),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.Column("aliases", sa.JSON(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_erasures")),
        sa.UniqueConstraint("erasure_id", name=op.f("uq_erasures_erasure_id")),
        sa.UniqueConstraint("task", "text_hash", name=op.f("uq_erasures_task_text_hash")),
    )
