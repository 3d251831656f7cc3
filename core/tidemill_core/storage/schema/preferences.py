"""The tables of preference pairs and of their judgements."""

from sqlalchemy import Column, Index, Integer, String, Table, Text, UniqueConstraint

from tidemill_core.storage.schema.base import UtcDateTime, metadata

preferences = Table(
    "preferences",
    metadata,
    # Increases with time: the order in which judgements count, and the key of pages.
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("preference_id", String(32), nullable=False, unique=True),
    Column("task", String(40), nullable=False, index=True),
    # The same for all judgements of a pair.
    Column("pair_hash", String(64), nullable=False, index=True),
    Column("prompt", Text, nullable=False),
    Column("chosen", Text, nullable=False),
    Column("rejected", Text, nullable=False),
    Column("annotator", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("request_id", String(200), unique=True),
    Column("replaced_preference_id", String(32), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
)

# Each judged pair, and each that waits for its first judgement.
preference_pairs = Table(
    "preference_pairs",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("task", String(40), nullable=False),
    Column("pair_hash", String(64), nullable=False),
    Column("prompt", Text, nullable=False),
    Column("first", Text, nullable=False),
    Column("second", Text, nullable=False),
    # How many annotators judged it.
    Column("judgement_count", Integer, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    UniqueConstraint("task", "pair_hash"),
    Index("ix_preference_pairs_waiting", "task", "judgement_count", "sequence"),
)
