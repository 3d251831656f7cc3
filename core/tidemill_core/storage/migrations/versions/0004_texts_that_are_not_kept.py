"""Hashes of texts, texts with feedback, and an index to expire texts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("predictions", sa.Column("text_hash", sa.String(length=64), nullable=True))
    op.add_column("feedback", sa.Column("text", sa.Text(), nullable=True))
    kept = sa.text("text <> '' OR text_hash IS NOT NULL")
    op.create_index(
        "ix_predictions_text",
        "predictions",
        ["task", "predict_time"],
        unique=False,
        sqlite_where=kept,
        postgresql_where=kept,
    )
