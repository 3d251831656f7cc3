"""Counts of predictions by hour, and what a check needs to know about each prediction."""

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

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
        ["task", "model_version", "sample_key", "predict_time"],
        sqlite_where=sampled,
        postgresql_where=sampled,
    )
    counted = op.create_table(
        "prediction_counts",
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("model_version", sa.Integer(), nullable=False),
        sa.Column("hour", UtcDateTime(), nullable=False),
        sa.Column("counts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint(
            *("task", "model_version", "hour"), name=op.f("pk_prediction_counts")
        ),
    )
    if rows := _rows():
        op.bulk_insert(counted, rows)


def _rows() -> list[dict[str, Any]]:
    """Count the predictions that exist by label and confidence; their lengths are not known."""
    connection = op.get_bind()
    hour = "substr(predict_time, 1, 13)"
    if connection.dialect.name == "postgresql":
        hour = "to_char(predict_time AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')"
    bins = [
        f"WHEN confidence < {(place + 1) / _CONFIDENCE_BINS!r} THEN '{place}'"
        for place in range(_CONFIDENCE_BINS - 1)
    ]
    confidence = f"CASE {' '.join(bins)} ELSE '{_CONFIDENCE_BINS - 1}' END"
    found: dict[tuple[str, int, str], dict[str, dict[str, int]]] = defaultdict(dict)
    for signal, name in (("label", "label"), ("confidence", confidence)):
        query = f"SELECT task, model_version, {hour}, {name}, count(*) FROM predictions "  # noqa: S608 -- our own names
        query += "WHERE method <> 'Shadow' GROUP BY 1, 2, 3, 4"
        for task, version, start, each, count in connection.execute(sa.text(query)):
            found[task, version, start].setdefault(signal, {})[each] = count
    return [
        {
            "task": task,
            "model_version": version,
            "hour": datetime.strptime(start, "%Y-%m-%d %H").replace(tzinfo=UTC),
            "counts": counts,
        }
        for (task, version, start), counts in found.items()
    ]
