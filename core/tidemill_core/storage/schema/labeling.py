"""The tables of label items, their origins and their labels."""

from sqlalchemy import (
    JSON,
    Column,
    Float,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from tidemill_core.storage.schema.base import UtcDateTime, metadata

label_items = Table(
    "label_items",
    metadata,
    # Increases with time: the order in which items are handed out, and the key of pages.
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("label_item_id", String(32), nullable=False, unique=True),
    Column("task", String(40), nullable=False),
    Column("text", Text, nullable=False),
    Column("text_hash", String(64), nullable=False),
    Column("reason", String(20), nullable=False),
    Column("suggested_labels", JSON, nullable=False),
    Column("inclusion_probability", Float),
    Column("origin_count", Integer, nullable=False),
    # LEASED is stored as OPEN, with a row of `labels` that has a lease and no label.
    Column("state", String(20), nullable=False),
    Column("judgements_wanted", Integer, nullable=False),
    Column("judgements_given", Integer, nullable=False),
    Column("label", Text, nullable=False),
    Column("text_time", UtcDateTime, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    Column("resolve_time", UtcDateTime),
    Index(None, "task", "state", "sequence"),
)
# A text waits at most once for each reason.
Index(
    "uq_label_items_open",
    label_items.c.task,
    label_items.c.reason,
    label_items.c.text_hash,
    unique=True,
    sqlite_where=text("state = 'OPEN'"),
    postgresql_where=text("state = 'OPEN'"),
)

label_origins = Table(
    "label_origins",
    metadata,
    Column("task", String(40), primary_key=True),
    Column("reason", String(20), primary_key=True),
    Column("origin", Text, primary_key=True),
    Column("label_item_id", String(32), nullable=False, index=True),
)

labels = Table(
    "labels",
    metadata,
    # The order in which items were handed out; judgements are ordered by `create_time`.
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("label_item_id", String(32), nullable=False),
    Column("annotator", String(200), nullable=False),
    # Null until the annotator has judged the item.
    Column("label", Text),
    Column("request_id", String(200), unique=True),
    Column("create_time", UtcDateTime),
    Column("lease_request_id", String(200), nullable=False),
    Column("lease_expire_time", UtcDateTime),
    UniqueConstraint("label_item_id", "annotator"),
    Index(None, "lease_request_id"),
)
