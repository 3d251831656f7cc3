"""The table of requests to erase texts."""

from sqlalchemy import JSON, Column, Integer, String, Table, UniqueConstraint

from tidemill_core.storage.schema.base import UtcDateTime, metadata

erasures = Table(
    "erasures",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("erasure_id", String(32), nullable=False, unique=True),
    Column("task", String(40), nullable=False),
    Column("text_hash", String(64), nullable=False),
    Column("requested_by", String(200), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("erase_time", UtcDateTime),
    Column("counts", JSON, nullable=False),
    Column("aliases", JSON, nullable=False),
    Column("requests", Integer, nullable=False),
    UniqueConstraint("task", "text_hash"),
)
