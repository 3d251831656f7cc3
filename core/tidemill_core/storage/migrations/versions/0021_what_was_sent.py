"""How far rows were sent to other systems."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "export_positions",
        sa.Column("receiver", sa.String(length=20), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("stream", sa.String(length=20), nullable=False),
        sa.Column("position", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("receiver", "task", "stream", name=op.f("pk_export_positions")),
    )
