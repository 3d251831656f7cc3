"""An index that finds the predictions of a label item."""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Apply the migration."""
    op.create_index(
        op.f("ix_label_origins_label_item_id"), "label_origins", ["label_item_id"], unique=False
    )
