"""Preference pairs."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "preferences",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("preference_id", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("pair_hash", sa.String(length=64), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("chosen", sa.Text(), nullable=False),
        sa.Column("rejected", sa.Text(), nullable=False),
        sa.Column("annotator", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("request_id", sa.String(length=200), nullable=True),
        sa.Column("replaced_preference_id", sa.String(length=32), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_preferences")),
        sa.UniqueConstraint("preference_id", name=op.f("uq_preferences_preference_id")),
        sa.UniqueConstraint("request_id", name=op.f("uq_preferences_request_id")),
    )
    op.create_index(op.f("ix_preferences_pair_hash"), "preferences", ["pair_hash"], unique=False)
    op.create_index(op.f("ix_preferences_task"), "preferences", ["task"], unique=False)
