"""The tables of alerts, of what is to be sent about them, and of silences."""

from sqlalchemy import Column, Index, Integer, String, Table, Text

from tidemill_core.storage.schema.base import UtcDateTime, metadata

alerts = Table(
    "alerts",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("alert_id", String(32), nullable=False, unique=True),
    Column("report_id", String(32), nullable=False),
    Column("task", String(40), nullable=False, index=True),
    Column("kind", String(20), nullable=False),
    Column("message", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("acknowledge_time", UtcDateTime),
    Column("acknowledged_by", String(200), nullable=False),
    Column("severity", String(20), nullable=False, server_default="WARNING"),
    Column("model_version", Integer, nullable=False, server_default="0"),
    Column("advice", Text, nullable=False, server_default=""),
    Column("update_time", UtcDateTime),
    Column("resolve_time", UtcDateTime),
)

alert_deliveries = Table(
    "alert_deliveries",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("delivery_id", String(32), nullable=False, unique=True),
    Column("alert_id", String(32), nullable=False, index=True),
    Column("sink", String(20), nullable=False),
    Column("event", String(20), nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("due_time", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("sent_time", UtcDateTime),
    Column("error", Text, nullable=False),
    Index(None, "sent_time"),
)
"""The outbox. A delivery is written in the transaction of its event, and sent later."""

alert_sinks = Table(
    "alert_sinks",
    metadata,
    Column("sink", String(20), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("retry_time", UtcDateTime, nullable=False),
)
"""The sinks whose receiver does not answer, and when to try them again."""

alert_silences = Table(
    "alert_silences",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("silence_id", String(32), nullable=False, unique=True),
    Column("task", String(40), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime, nullable=False),
)
