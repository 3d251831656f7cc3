"""The fields of a dataset version's manifest, and the number of its erased rows."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply the migration."""
    for column in (
        sa.Column(
            "build_time", UtcDateTime(), nullable=False, server_default="2000-01-01 00:00:00"
        ),
        sa.Column("source_counts", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("parents", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("code_version", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("erased_count", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("dataset_versions", column)
    op.execute("UPDATE dataset_versions SET build_time = create_time")
