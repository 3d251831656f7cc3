"""Texts that wait for people's labels: handed out on leases, judged once by each annotator.

Whoever hands out or judges is alone on the table of items until the transaction ends, so leases
and judgements are counted exactly, however many ask at once.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, case, func, literal_column, or_, select, update

from tidemill_core.domain.labeling import (
    Judgement,
    LabelItem,
    LabelItemState,
    LabelReason,
    LabelRequest,
    resolve,
)
from tidemill_core.domain.split import content_hash
from tidemill_core.errors import FailedPrecondition, NotFound
from tidemill_core.storage.database import Database, Page, newest_first
from tidemill_core.storage.label_rows import is_held, items_of, judgement_of, of_item
from tidemill_core.storage.schema import label_items, label_origins, labels

_REQUESTS_A_TRANSACTION = 500

_waits = label_items.c.state == LabelItemState.OPEN


@dataclass(frozen=True)
class LeaseRequest:
    """A wish for items to label.

    Attributes:
        task: the task.
        annotator: who will judge them.
        count: items at most.
        expire_time: until when they are kept for the annotator.
        request_id: the same id gets the same items again; empty never repeats.
    """

    task: str
    annotator: str
    count: int
    expire_time: datetime
    request_id: str = ""


class LabelItemStore:
    """The tables of label items and of people's labels."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, requests: Sequence[LabelRequest], judgements_wanted: int, now: datetime) -> int:
        """Queue texts; those that wait already, or whose origin was asked about, stay as they are.

        Two texts are the same but for case, spacing and Unicode form.

        Args:
            requests: any number; each 500 of them are one transaction.
            judgements_wanted: how many judgements decide.
            now: the time.

        Returns:
            How many are new.

        Raises:
            StorageUnavailable: what was queued before stays queued.
        """
        added = 0
        for start in range(0, len(requests), _REQUESTS_A_TRANSACTION):
            with self._database.write(alone_on=label_items) as connection:
                for request in requests[start : start + _REQUESTS_A_TRANSACTION]:
                    added += _queue(connection, request, judgements_wanted, now)
        return added

    def lease(self, wish: LeaseRequest, now: datetime) -> tuple[list[LabelItem], int]:
        """Hand out the items that wait longest, none to more people than it needs judgements.

        What the annotator has judged, or holds already, is not handed out to them.

        Returns:
            The items, and how many wait for judgements of the annotator, these included.

        Raises:
            StorageUnavailable: none was handed out.
        """
        with self._database.write(alone_on=label_items) as connection:
            ids = _leased_by(connection, wish) if wish.request_id else []
            if not ids:
                ids = list(connection.execute(_free(wish, now)).scalars())
                _hold(connection, ids, wish)
            query = select(label_items).where(label_items.c.label_item_id.in_(ids))
            rows = connection.execute(query.order_by(label_items.c.sequence)).mappings()
            items = items_of(connection, list(rows), now)
            judged = _labels_of(wish.annotator, labels.c.label.is_not(None))
            waiting = select(func.count()).where(label_items.c.task == wish.task, _waits, ~judged)
            return items, connection.execute(waiting).scalar_one()

    def submit(self, task: str, judgement: Judgement) -> tuple[Judgement, LabelItem]:
        """Write a judgement and decide the item where enough are in.

        A lease is not needed: who was late is heard as long as the item waits. A request id that
        was seen before returns what was stored then, and so does the annotator's same label again.

        Returns:
            The judgement as stored, and the item as it is now.

        Raises:
            NotFound: the task has no such item.
            FailedPrecondition: ALREADY_JUDGED by the annotator with another label, or
                LABEL_ITEM_CLOSED: it waits no longer.
            StorageUnavailable: it was not written.
        """
        with self._database.write(alone_on=label_items) as connection:
            stored = _repeated(connection, judgement)
            wanted = judgement if stored is None else stored
            row = _get(connection, task, wanted.label_item_id)
            if stored is None and (stored := _said(connection, judgement)) is None:
                if row["state"] != LabelItemState.OPEN:
                    raise FailedPrecondition(_closed(row["state"]), "LABEL_ITEM_CLOSED")
                _write(connection, judgement)
                _decide(connection, row, judgement.create_time)
                stored, row = judgement, _get(connection, task, judgement.label_item_id)
            [item] = items_of(connection, [row], judgement.create_time)
        return stored, item

    def page(
        self,
        task: str,
        states: Collection[LabelItemState],
        reason: LabelReason | None,
        page: Page,
        now: datetime,
    ) -> tuple[list[LabelItem], str]:
        """A page of items, newest first, and the next page's token.

        Args:
            task: only this task's; empty lists all.
            states: only items in one of these; empty lists all.
            reason: only items of this; None lists all.
            page: which page.
            now: the time, which says what is LEASED.
        """
        query = select(label_items)
        if task:
            query = query.where(label_items.c.task == task)
        if states:
            query = query.where(or_(*(_stands(state, now) for state in states)))
        if reason is not None:
            query = query.where(label_items.c.reason == reason)
        with self._database.read() as connection:
            rows, token = newest_first(connection, query, label_items.c.sequence, page)
            return items_of(connection, rows, now), token

    def decided(self, task: str) -> list[LabelItem]:
        """The items of a task that people decided and whose text is kept, oldest first."""
        query = select(label_items).where(
            label_items.c.task == task,
            label_items.c.state == LabelItemState.DONE,
            label_items.c.text != "",
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(label_items.c.sequence)).mappings()
            # No lease matters to an item that is decided, so neither does the time.
            return items_of(connection, list(rows), datetime.max)

    def expire_texts(self, task: str, before: datetime, limit: int) -> int:
        """Remove the texts, and their hashes, of a task's oldest items before a moment.

        Returns:
            How many had one: less than `limit` once none is left.
        """
        oldest = (
            select(label_items.c.label_item_id)
            .where(label_items.c.task == task, label_items.c.text_time < before)
            .where(label_items.c.text != "")
            .order_by(label_items.c.text_time)
            .limit(limit)
        )
        state = case((_waits, literal_column("'EXPIRED'")), else_=label_items.c.state)
        blank = update(label_items).where(label_items.c.label_item_id.in_(oldest))
        with self._database.write(alone_on=label_items) as connection:
            return connection.execute(blank.values(text="", text_hash="", state=state)).rowcount


def _queue(connection: Connection, request: LabelRequest, wanted: int, now: datetime) -> bool:
    """Queue one text; whether it is new."""
    named = {"task": request.task, "reason": request.reason}
    if request.origin:
        known = select(label_origins).filter_by(**named, origin=request.origin)
        if connection.execute(known).first() is not None:
            return False
    text_hash = content_hash(request.text)
    waiting = select(label_items.c.label_item_id).filter_by(**named, text_hash=text_hash)
    found = connection.execute(waiting.where(_waits)).scalar_one_or_none()
    item_id = found or uuid.uuid4().hex
    if found is None:
        values = {name: value for name, value in vars(request).items() if name != "origin"}
        new = {
            **values,
            "label_item_id": item_id,
            "text_hash": text_hash,
            "state": LabelItemState.OPEN,
            "judgements_wanted": wanted,
            "judgements_given": 0,
            "label": "",
            "create_time": now,
        }
        connection.execute(label_items.insert(), new)
    if request.origin:
        origin = {**named, "origin": request.origin, "label_item_id": item_id}
        connection.execute(label_origins.insert(), origin)
    return found is None


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
    query = select(label_items.c.label_item_id).where(label_items.c.task == wish.task, _waits)
    free = query.where(~mine, held < needed)
    return free.order_by(label_items.c.sequence).limit(wish.count)


def _leased_by(connection: Connection, wish: LeaseRequest) -> list[str]:
    """What a request was given before."""
    query = select(labels.c.label_item_id).join(label_items, of_item())
    same = query.where(
        labels.c.lease_request_id == wish.request_id,
        labels.c.annotator == wish.annotator,
        label_items.c.task == wish.task,
    )
    return list(connection.execute(same).scalars())


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


def _repeated(connection: Connection, judgement: Judgement) -> Judgement | None:
    """What was stored under a request id."""
    if not judgement.request_id:
        return None
    query = select(labels).where(labels.c.request_id == judgement.request_id)
    row = connection.execute(query).mappings().first()
    return None if row is None else judgement_of(row)


def _said(connection: Connection, judgement: Judgement) -> Judgement | None:
    """What the annotator said of the item before.

    Raises:
        FailedPrecondition: ALREADY_JUDGED: that was another label.
    """
    query = select(labels).where(
        labels.c.label_item_id == judgement.label_item_id,
        labels.c.annotator == judgement.annotator,
        labels.c.label.is_not(None),
    )
    row = connection.execute(query).mappings().first()
    if row is None:
        return None
    if row["label"] != judgement.label:
        message = f"{judgement.annotator!r} has judged this item already, as {row['label']!r}"
        raise FailedPrecondition(message, "ALREADY_JUDGED")
    return judgement_of(row)


def _get(connection: Connection, task: str, label_item_id: str) -> dict[str, Any]:
    query = select(label_items).filter_by(task=task, label_item_id=label_item_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotFound("label item", label_item_id)
    return dict(row)


def _closed(state: str) -> str:
    return f"the item is {state}: it waits for no more judgements"


def _write(connection: Connection, judgement: Judgement) -> None:
    values = {**vars(judgement), "request_id": judgement.request_id or None}
    mine = update(labels).filter_by(
        label_item_id=judgement.label_item_id, annotator=judgement.annotator
    )
    if not connection.execute(mine.values(**values)).rowcount:
        connection.execute(labels.insert(), {**values, "lease_request_id": ""})


def _decide(connection: Connection, row: dict[str, Any], now: datetime) -> None:
    """Bring an item to the state that its judgements make of it."""
    said = select(labels.c.label).where(
        labels.c.label_item_id == row["label_item_id"], labels.c.label.is_not(None)
    )
    given = list(connection.execute(said).scalars())
    state, label = resolve(given, row["judgements_wanted"])
    ended = None if state is LabelItemState.OPEN else now
    values = {"judgements_given": len(given), "state": state, "label": label, "resolve_time": ended}
    this = update(label_items).where(label_items.c.label_item_id == row["label_item_id"])
    connection.execute(this.values(**values))


def _stands(state: LabelItemState, now: datetime) -> ColumnElement[bool]:
    """Whether an item is in a state."""
    held = select(labels.c.sequence).where(of_item(), is_held(now)).exists()
    if state is LabelItemState.LEASED:
        return _waits & held
    if state is LabelItemState.OPEN:
        return _waits & ~held
    return label_items.c.state == state
