"""Parameters of job runs, and who approved a model version."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply the migration."""
    op.add_column(
        "job_runs", sa.Column("parameters", sa.JSON(), nullable=False, server_default="{}")
    )
    op.add_column(
        "model_versions",
        sa.Column("approved_by", sa.String(length=200), nullable=False, server_default=""),
    )
