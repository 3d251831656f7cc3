"""Annotators' judgements of label items, and the decisions that follow."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select, update

from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.labeling import Judgement, LabelItemState, resolve
from tidemill_core.errors import FailedPrecondition, NotFound, RequestIdReused
from tidemill_core.storage.label_rows import judgement_of
from tidemill_core.storage.schema import label_items, labels

Row = Mapping[Any, Any]


def judge(
    connection: Connection, task: str, judgement: Judgement, renames: Renames
) -> tuple[Judgement, Row]:
    """Write a judgement and decide its item; the caller holds the lock of the items' table.

    A judgement is stored as it was given. Labels are compared by their current names.

    Returns:
        The judgement as stored, and the item's row as it is now.

    Raises:
        NotFound: the task has no such item.
        RequestIdReused: another item or annotator has the request id.
        FailedPrecondition: ALREADY_JUDGED or LABEL_ITEM_CLOSED.
    """
    if (repeated := _repeated(connection, judgement)) is not None:
        return repeated, _get(connection, task, repeated.label_item_id)
    row = _get(connection, task, judgement.label_item_id)
    if (earlier := _judged_before(connection, judgement, renames)) is not None:
        return earlier, row
    if row["state"] != LabelItemState.OPEN:
        message = f"the item is {row['state']} and takes no more judgements"
        raise FailedPrecondition(message, "LABEL_ITEM_CLOSED")
    _write(connection, judgement)
    _decide(connection, row, renames, judgement.create_time)
    return judgement, _get(connection, task, judgement.label_item_id)


def _repeated(connection: Connection, judgement: Judgement) -> Judgement | None:
    """Return the judgement that was stored with the same request id; None if there is none.

    Raises:
        RequestIdReused: it is another item's or another annotator's. Returning it would lose
            this judgement.
    """
    if not judgement.request_id:
        return None
    query = select(labels).where(labels.c.request_id == judgement.request_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    stored = judgement_of(row)
    if (stored.label_item_id, stored.annotator) != (judgement.label_item_id, judgement.annotator):
        raise RequestIdReused("judgement", "item and annotator")
    return stored


def _judged_before(
    connection: Connection, judgement: Judgement, renames: Renames
) -> Judgement | None:
    """Return the annotator's earlier judgement of the item; None if there is none.

    Raises:
        FailedPrecondition: ALREADY_JUDGED: it has another label.
    """
    query = select(labels).where(
        labels.c.label_item_id == judgement.label_item_id,
        labels.c.annotator == judgement.annotator,
        labels.c.label.is_not(None),
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    if current(row["label"], renames) != current(judgement.label, renames):
        message = f"{judgement.annotator!r} already judged this item as {row['label']!r}"
        raise FailedPrecondition(message, "ALREADY_JUDGED")
    return judgement_of(row)


def _get(connection: Connection, task: str, label_item_id: str) -> Row:
    query = select(label_items).filter_by(task=task, label_item_id=label_item_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound("label item", label_item_id)
    return row


def _write(connection: Connection, judgement: Judgement) -> None:
    values = {**vars(judgement), "request_id": judgement.request_id or None}
    mine = update(labels).filter_by(
        label_item_id=judgement.label_item_id, annotator=judgement.annotator
    )
    if not connection.execute(mine.values(**values)).rowcount:
        connection.execute(labels.insert(), {**values, "lease_request_id": ""})


def _decide(connection: Connection, row: Row, renames: Renames, now: datetime) -> None:
    """Update an item's state from its judgements."""
    judged = select(labels.c.label).where(
        labels.c.label_item_id == row["label_item_id"], labels.c.label.is_not(None)
    )
    given = [current(label, renames) for label in connection.execute(judged).scalars()]
    state, label = resolve(given, row["judgements_wanted"])
    ended = None if state is LabelItemState.OPEN else now
    values = {"judgements_given": len(given), "state": state, "label": label, "resolve_time": ended}
    this = update(label_items).where(label_items.c.label_item_id == row["label_item_id"])
    connection.execute(this.values(**values))
