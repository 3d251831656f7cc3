"""The regions of a version's representation."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "drift_regions",
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("task", "model_version", name=op.f("pk_drift_regions")),
    )
