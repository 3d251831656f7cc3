"""Rows of label items and of their judgements as values."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, select

from tidemill_core.domain.labeling import Judgement, LabelItem, LabelItemState, LabelReason
from tidemill_core.storage.schema import label_items, labels

_IDS_A_QUERY = 500
_INTERNAL = ("sequence", "text_hash", "judgements_given", "text_time")


def is_waiting() -> ColumnElement[bool]:
    """Return the condition that an item waits for judgements."""
    return label_items.c.state == LabelItemState.OPEN


def is_held(now: datetime) -> ColumnElement[bool]:
    """Return the condition that a row of `labels` is a lease that has not expired."""
    return and_(labels.c.label.is_(None), labels.c.lease_expire_time > now)


def of_item() -> ColumnElement[bool]:
    """Return the condition that joins rows of `labels` and `label_items`."""
    return labels.c.label_item_id == label_items.c.label_item_id


def items_of(
    connection: Connection, rows: Sequence[Mapping[Any, Any]], now: datetime
) -> list[LabelItem]:
    """Return rows of `label_items` with their judgements, in their state at `now`."""
    judgements: dict[str, list[Judgement]] = {row["label_item_id"]: [] for row in rows}
    leases: dict[str, datetime] = {}
    ids = list(judgements)
    for start in range(0, len(ids), _IDS_A_QUERY):
        of_chunk = labels.c.label_item_id.in_(ids[start : start + _IDS_A_QUERY])
        judged = select(labels).where(of_chunk, labels.c.label.is_not(None))
        in_order = judged.order_by(labels.c.create_time, labels.c.sequence)
        for row in connection.execute(in_order).mappings():
            judgements[row["label_item_id"]].append(judgement_of(row))
        ends = select(labels.c.label_item_id, labels.c.lease_expire_time)
        ends = ends.where(of_chunk, is_held(now)).order_by(labels.c.lease_expire_time)
        leases |= {row[0]: row[1] for row in connection.execute(ends)}
    return [_item(row, judgements[row["label_item_id"]], leases) for row in rows]


def _item(
    row: Mapping[Any, Any], judgements: Sequence[Judgement], leases: Mapping[str, datetime]
) -> LabelItem:
    values = {name: value for name, value in row.items() if name not in _INTERNAL}
    state = LabelItemState(row["state"])
    lease = leases.get(row["label_item_id"]) if state is LabelItemState.OPEN else None
    return LabelItem(
        **{
            **values,
            "reason": LabelReason(row["reason"]),
            "suggested_labels": tuple(row["suggested_labels"]),
            "state": LabelItemState.LEASED if lease else state,
            "judgements": tuple(judgements),
            "lease_expire_time": lease,
        }
    )


def judgement_of(row: Mapping[Any, Any]) -> Judgement:
    """Return a judged row of `labels` as a value."""
    return Judgement(
        label_item_id=row["label_item_id"],
        annotator=row["annotator"],
        label=row["label"],
        request_id=row["request_id"] or "",
        create_time=row["create_time"],
    )
