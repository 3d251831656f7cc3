"""Pauses of tasks."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "release_pauses",
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("task", name=op.f("pk_release_pauses")),
    )
