"""Counts of predictions by hour, and what a check needs to know about each prediction."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0020"
down_revision = "0019"

_CONFIDENCE_BINS = 20


def upgrade() -> None:
    """Apply the migration."""
    op.add_column("predictions", sa.Column("text_length", sa.Integer(), nullable=True))
    op.add_column("predictions", sa.Column("unknown_pieces", sa.Float(), nullable=True))
    op.add_column("predictions", sa.Column("sample_key", sa.Integer(), nullable=True))
    sampled = sa.text("sample_key < 1024")
    op.create_index(
        "ix_predictions_sample",
        "predictions",
        ["task", "model_version", "predict_time", "sample_key"],
        sqlite_where=sampled,
        postgresql_where=sampled,
    )
    op.create_table(
        "prediction_counts",
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("signal", sa.String(length=20), nullable=False),
        sa.Column("bin", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            *("task", "model_version", "hour", "signal", "bin"), name=op.f("pk_prediction_counts")
        ),
    )
    bins = [
        f"WHEN confidence < {(place + 1) / _CONFIDENCE_BINS!r} THEN '{place}'"
        for place in range(_CONFIDENCE_BINS - 1)
    ]
    _count("label", "label")
    _count("confidence", f"CASE {' '.join(bins)} ELSE '{_CONFIDENCE_BINS - 1}' END")


def _count(signal: str, name: str) -> None:
    """Count the predictions that exist by a bin's name; the other signals are not known."""
    hour = "substr(predict_time, 1, 13) || ':00:00.000000'"
    if op.get_bind().dialect.name == "postgresql":
        hour = "date_trunc('hour', predict_time, 'UTC')"
    op.execute(
        "INSERT INTO prediction_counts (task, model_version, hour, signal, bin, count) "  # noqa: S608 -- our own names
        f"SELECT task, model_version, {hour}, '{signal}', {name}, count(*) FROM predictions "
        "WHERE method <> 'Shadow' GROUP BY 1, 2, 3, 4, 5"
    )
