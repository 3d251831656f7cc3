"""An index that finds the newest report of a kind."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Apply the migration."""
    op.create_index(op.f("ix_reports_task_kind"), "reports", ["task", "kind", "sequence"])
