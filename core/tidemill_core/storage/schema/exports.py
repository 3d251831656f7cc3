"""The table of export positions."""

from sqlalchemy import Column, String, Table

from tidemill_core.storage.schema.base import metadata

export_positions = Table(
    "export_positions",
    metadata,
    Column("receiver", String(20), primary_key=True),
    Column("task", String(40), primary_key=True),
    Column("stream", String(20), primary_key=True),
    Column("position", String(300), nullable=False),
)
