"""Leases on label items: who is at what, and until when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, or_, select, update

from tidemill_core.storage.label_rows import is_held, is_waiting, of_item
from tidemill_core.storage.schema import label_items, labels


@dataclass(frozen=True)
class LeaseRequest:
    """A wish for items to label.

    Attributes:
        task: the task.
        annotator: who will judge them.
        count: items at most.
        expire_time: until when they are kept for the annotator.
        request_id: while the lease lasts, the same id gets the same items again; empty never
            repeats.
    """

    task: str
    annotator: str
    count: int
    expire_time: datetime
    request_id: str = ""


def hand_out(connection: Connection, wish: LeaseRequest, now: datetime) -> list[str]:
    """Lease items, and return their ids; the caller is alone on the table of items."""
    ids = _leased_before(connection, wish, now) if wish.request_id else []
    if not ids:
        ids = list(connection.execute(_free(wish, now)).scalars())
        _hold(connection, ids, wish)
    return ids


def count_waiting(connection: Connection, task: str, annotator: str) -> int:
    """How many items of a task wait for judgements, and were not judged by the annotator."""
    judged = _labels_of(annotator, labels.c.label.is_not(None))
    query = select(func.count()).where(label_items.c.task == task, is_waiting(), ~judged)
    return int(connection.execute(query).scalar_one())


def _labels_of(annotator: str, condition: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether an annotator has a row of `labels` about the item for which a condition holds."""
    mine = select(labels.c.sequence).where(of_item(), labels.c.annotator == annotator, condition)
    return mine.exists()


def _free(wish: LeaseRequest, now: datetime) -> Any:
    """Ids of the items that may be handed out, the oldest first."""
    given, wanted = label_items.c.judgements_given, label_items.c.judgements_wanted
    held = select(func.count()).where(of_item(), is_held(now)).scalar_subquery()
    # After a tie one more judgement is wanted than are there.
    needed = case((given < wanted, wanted - given), else_=1)
    mine = _labels_of(wish.annotator, or_(labels.c.label.is_not(None), is_held(now)))
    query = select(label_items.c.label_item_id).where(label_items.c.task == wish.task, is_waiting())
    free = query.where(~mine, held < needed)
    return free.order_by(label_items.c.sequence).limit(wish.count)


def _leased_before(connection: Connection, wish: LeaseRequest, now: datetime) -> list[str]:
    """What a request was given before and is kept for it still, oldest first."""
    query = select(labels.c.label_item_id).join(label_items, of_item())
    same = query.where(
        labels.c.lease_request_id == wish.request_id,
        labels.c.annotator == wish.annotator,
        label_items.c.task == wish.task,
        is_waiting(),
        is_held(now),
    )
    return list(connection.execute(same.order_by(label_items.c.sequence)).scalars())


def _hold(connection: Connection, ids: Sequence[str], wish: LeaseRequest) -> None:
    lease = {"lease_request_id": wish.request_id, "lease_expire_time": wish.expire_time}
    mine = (labels.c.annotator == wish.annotator) & labels.c.label_item_id.in_(ids)
    lapsed = set(connection.execute(select(labels.c.label_item_id).where(mine)).scalars())
    connection.execute(update(labels).where(mine).values(**lease))
    new = [
        {"label_item_id": item_id, "annotator": wish.annotator, **lease}
        for item_id in ids
        if item_id not in lapsed
    ]
    if new:
        connection.execute(labels.insert(), new)
