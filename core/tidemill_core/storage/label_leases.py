"""Leases on label items: which annotator holds which item, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, or_, select, update

from tidemill_core.domain.labeling import LabelReason
from tidemill_core.storage.label_rows import is_held, is_waiting, of_item
from tidemill_core.storage.schema import label_items, labels


@dataclass(frozen=True)
class LeaseRequest:
    """A request for items to label.

    Attributes:
        task: the task.
        annotator: who will judge the items.
        count: the most items to lease.
        expire_time: when the lease ends.
        request_id: while the lease lasts, a repeated id returns the same items; empty makes each
            request a new one.
    """

    task: str
    annotator: str
    count: int
    expire_time: datetime
    request_id: str = ""


def hand_out(connection: Connection, request: LeaseRequest, now: datetime) -> list[str]:
    """Lease items and return their ids; the caller holds the lock of the items' table."""
    ids = _leased_before(connection, request, now) if request.request_id else []
    if not ids:
        audit = LabelReason.AUDIT
        # Accuracy is known by audits alone, and other kinds may come faster than labels.
        for of_kind in (label_items.c.reason == audit, label_items.c.reason != audit):
            free = _free(request, now).where(of_kind).limit(request.count - len(ids))
            ids += connection.execute(free).scalars()
        _hold(connection, ids, request)
    return ids


def count_waiting(connection: Connection, task: str, annotator: str) -> int:
    """Return how many items of a task wait and were not judged by the annotator."""
    judged = _labels_of(annotator, labels.c.label.is_not(None))
    query = select(func.count()).where(label_items.c.task == task, is_waiting(), ~judged)
    return int(connection.execute(query).scalar_one())


def _labels_of(annotator: str, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Return the condition that the annotator's row of `labels` for the item meets another one."""
    mine = select(labels.c.sequence).where(of_item(), labels.c.annotator == annotator, condition)
    return mine.exists()


def _free(request: LeaseRequest, now: datetime) -> Any:
    """Return a query for the ids of the items that may be handed out, the oldest first."""
    given, wanted = label_items.c.judgements_given, label_items.c.judgements_wanted
    held = select(func.count()).where(of_item(), is_held(now)).scalar_subquery()
    # After a tie, one more judgement is needed.
    needed = case((given < wanted, wanted - given), else_=1)
    mine = _labels_of(request.annotator, or_(labels.c.label.is_not(None), is_held(now)))
    query = select(label_items.c.label_item_id).where(
        label_items.c.task == request.task, is_waiting()
    )
    free = query.where(~mine, held < needed)
    return free.order_by(label_items.c.sequence)


def _leased_before(connection: Connection, request: LeaseRequest, now: datetime) -> list[str]:
    """Return the ids of the items that the same request leased and still holds, oldest first."""
    query = select(labels.c.label_item_id).join(label_items, of_item())
    same = query.where(
        labels.c.lease_request_id == request.request_id,
        labels.c.annotator == request.annotator,
        label_items.c.task == request.task,
        is_waiting(),
        is_held(now),
    )
    return list(connection.execute(same.order_by(label_items.c.sequence)).scalars())


def _hold(connection: Connection, ids: Sequence[str], request: LeaseRequest) -> None:
    lease = {"lease_request_id": request.request_id, "lease_expire_time": request.expire_time}
    mine = (labels.c.annotator == request.annotator) & labels.c.label_item_id.in_(ids)
    lapsed = set(connection.execute(select(labels.c.label_item_id).where(mine)).scalars())
    connection.execute(update(labels).where(mine).values(**lease))
    new = [
        {"label_item_id": item_id, "annotator": request.annotator, **lease}
        for item_id in ids
        if item_id not in lapsed
    ]
    if new:
        connection.execute(labels.insert(), new)
