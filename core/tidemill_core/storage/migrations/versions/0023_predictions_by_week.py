"""On PostgreSQL, partitions of predictions by week; the rows that exist stay where they are.

They become the first partition, so none is copied. It takes a new key, and PostgreSQL reads each
row twice. `docs/backup.md` says how to make the key before the upgrade.
"""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"

_WEEK = timedelta(days=7)
_INDEXES = {
    "ix_predictions_task": "(task, model_version, predict_time)",
    "ix_predictions_text": "(task, predict_time) WHERE text <> '' OR text_hash IS NOT NULL",
    "ix_predictions_sample": "(task, model_version, sample_key, predict_time) "
    "WHERE sample_key < 1024",
}


def upgrade() -> None:
    """Apply the migration."""
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    op.execute("LOCK TABLE predictions IN ACCESS EXCLUSIVE MODE")
    newest = connection.scalar(sa.text("SELECT max(predict_time) FROM predictions"))
    end = _end(newest)
    old = f"predictions_before_{end:%Y%m%d}"
    op.execute(f"ALTER TABLE predictions RENAME TO {old}")
    for name in _INDEXES:
        op.execute(f"ALTER INDEX {name} RENAME TO {name}_before")
    op.execute(
        f"CREATE UNIQUE INDEX IF NOT EXISTS pk_predictions_before ON {old} "
        "(prediction_id, predict_time)"
    )
    op.execute(
        f"ALTER TABLE {old} DROP CONSTRAINT pk_predictions, "
        "ADD CONSTRAINT pk_predictions_before PRIMARY KEY USING INDEX pk_predictions_before"
    )
    op.execute(
        f"CREATE TABLE predictions (LIKE {old}, CONSTRAINT pk_predictions "
        "PRIMARY KEY (prediction_id, predict_time)) PARTITION BY RANGE (predict_time)"
    )
    for name, definition in _INDEXES.items():
        op.execute(f"CREATE INDEX {name} ON predictions {definition}")
    if newest is None:
        op.execute(f"DROP TABLE {old}")
    else:
        bounds = f"FROM (MINVALUE) TO ('{end.isoformat()}')"
        op.execute(f"ALTER TABLE predictions ATTACH PARTITION {old} FOR VALUES {bounds}")


def _end(newest: datetime | None) -> datetime:
    """Return the end of next week: the last release, which adds no partitions, may run a while."""
    now = datetime.now(UTC)
    day = max(newest or now, now).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday()) + 2 * _WEEK
