"""The table of judgements of preference pairs."""

from sqlalchemy import Column, Integer, String, Table, Text

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
