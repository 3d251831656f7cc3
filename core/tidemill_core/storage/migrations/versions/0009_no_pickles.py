"""The table of pickles that an earlier scheduler kept is gone: runs say what was missed."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    op.execute("DROP TABLE IF EXISTS apscheduler_jobs")
