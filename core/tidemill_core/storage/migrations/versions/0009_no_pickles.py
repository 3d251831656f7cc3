"""Removal of the pickled jobs of an earlier scheduler; runs record missed times."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply the migration."""
    op.execute("DROP TABLE IF EXISTS apscheduler_jobs")
