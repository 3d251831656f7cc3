"""What a dataset version's manifest says, and what was erased."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    for column in (
        sa.Column("source_counts", sa.JSON(), nullable=False, server_default="{}"),
        sa.Column("parents", sa.JSON(), nullable=False, server_default="[]"),
        sa.Column("code_version", sa.String(length=40), nullable=False, server_default=""),
        sa.Column("erased_count", sa.Integer(), nullable=False, server_default="0"),
    ):
        op.add_column("dataset_versions", column)
