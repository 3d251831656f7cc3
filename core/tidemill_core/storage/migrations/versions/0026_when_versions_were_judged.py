"""When model versions were judged."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Apply the migration."""
    with op.batch_alter_table("model_versions") as versions:
        versions.add_column(sa.Column("judge_time", UtcDateTime(), nullable=True))
