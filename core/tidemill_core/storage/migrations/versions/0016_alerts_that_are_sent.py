"""Alerts that are resolved, what is sent about them, and silences."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Apply the migration."""
    warning = sa.Column("severity", sa.String(length=20), nullable=False, server_default="WARNING")
    op.add_column("alerts", warning)
    version = sa.Column("model_version", sa.Integer(), nullable=False, server_default="0")
    op.add_column("alerts", version)
    op.add_column("alerts", sa.Column("advice", sa.Text(), nullable=False, server_default=""))
    op.add_column("alerts", sa.Column("update_time", UtcDateTime(), nullable=True))
    op.add_column("alerts", sa.Column("resolve_time", UtcDateTime(), nullable=True))
    # Until now an acknowledgement ended an alert.
    op.execute("UPDATE alerts SET resolve_time = acknowledge_time")
    _create_deliveries()
    op.create_table(
        "alert_sinks",
        sa.Column("sink", sa.String(length=20), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sink", name=op.f("pk_alert_sinks")),
    )
    op.create_table(
        "alert_silences",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("silence_id", sa.String(length=32), nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("end_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_alert_silences")),
        sa.UniqueConstraint("silence_id", name=op.f("uq_alert_silences_silence_id")),
    )


def _create_deliveries() -> None:
    op.create_table(
        "alert_deliveries",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("delivery_id", sa.String(length=32), nullable=False),
        sa.Column("alert_id", sa.String(length=32), nullable=False),
        sa.Column("sink", sa.String(length=20), nullable=False),
        sa.Column("event", sa.String(length=20), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("due_time", UtcDateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("sent_time", UtcDateTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_alert_deliveries")),
        sa.UniqueConstraint("delivery_id", name=op.f("uq_alert_deliveries_delivery_id")),
    )
    op.create_index(op.f("ix_alert_deliveries_alert_id"), "alert_deliveries", ["alert_id"])
    op.create_index(op.f("ix_alert_deliveries_sent_time"), "alert_deliveries", ["sent_time"])
