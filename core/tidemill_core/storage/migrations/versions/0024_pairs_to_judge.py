"""Preference pairs that wait for a judgement; those that are judged are among them."""

import sqlalchemy as sa
from alembic import op

from tidemill_core.storage.schema import UtcDateTime

revision = "0024"
down_revision = "0023"

_JUDGED = """
INSERT INTO preference_pairs
    (task, pair_hash, prompt, first, second, judgement_count, create_time)
SELECT task, pair_hash, prompt,
    CASE WHEN chosen < rejected THEN chosen ELSE rejected END,
    CASE WHEN chosen < rejected THEN rejected ELSE chosen END,
    annotators, create_time
FROM preferences JOIN (
    SELECT min(sequence) AS sequence, count(DISTINCT annotator) AS annotators
    FROM preferences GROUP BY task, pair_hash
) AS oldest USING (sequence)
ORDER BY sequence
"""


def upgrade() -> None:
    """Apply the migration."""
    op.create_table(
        "preference_pairs",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("task", sa.String(length=40), nullable=False),
        sa.Column("pair_hash", sa.String(length=64), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("first", sa.Text(), nullable=False),
        sa.Column("second", sa.Text(), nullable=False),
        sa.Column("judgement_count", sa.Integer(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_preference_pairs")),
        sa.UniqueConstraint("task", "pair_hash", name=op.f("uq_preference_pairs_task_pair_hash")),
    )
    op.create_index(
        "ix_preference_pairs_waiting", "preference_pairs", ["task", "judgement_count", "sequence"]
    )
    op.execute(_JUDGED)
