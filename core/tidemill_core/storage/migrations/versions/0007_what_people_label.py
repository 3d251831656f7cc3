"""Texts that people label, and their labels."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "label_items",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("label_item_id", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("suggested_labels", sa.JSON(), nullable=False),
        sa.Column("inclusion_probability", sa.Float(), nullable=True),
        sa.Column("origin_count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("judgements_wanted", sa.Integer(), nullable=False),
        sa.Column("judgements_given", sa.Integer(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("text_time", UtcDateTime(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("resolve_time", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_label_items")),
        sa.UniqueConstraint("label_item_id", name=op.f("uq_label_items_label_item_id")),
    )
    op.create_index(op.f("ix_label_items_task"), "label_items", ["task", "state", "sequence"])
    op.create_index(
        "uq_label_items_open",
        "label_items",
        ["task", "reason", "text_hash"],
        unique=True,
        sqlite_where=sa.text("state = 'OPEN'"),
        postgresql_where=sa.text("state = 'OPEN'"),
    )
    op.create_table(
        "label_origins",
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("label_item_id", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("task", "reason", "origin", name=op.f("pk_label_origins")),
    )
    op.create_table(
        "labels",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("label_item_id", sa.String(length=32), nullable=False),
        sa.Column("annotator", sa.String(length=200), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("request_id", sa.String(length=200), nullable=True),
        sa.Column("create_time", UtcDateTime(), nullable=True),
        sa.Column("lease_request_id", sa.String(length=200), nullable=False),
        sa.Column("lease_expire_time", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_labels")),
        sa.UniqueConstraint("request_id", name=op.f("uq_labels_request_id")),
        sa.UniqueConstraint(
            "label_item_id", "annotator", name=op.f("uq_labels_label_item_id_annotator")
        ),
    )
    op.create_index(op.f("ix_labels_lease_request_id"), "labels", ["lease_request_id"])
