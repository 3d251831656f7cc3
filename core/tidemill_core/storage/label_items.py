"""Texts that people label: handed out on leases, judged once by each annotator.

A transaction that hands out or judges items locks their table, so leases and judgements are counted
exactly under concurrent calls.
"""

import uuid
from collections.abc import Collection, Sequence
from datetime import UTC, datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    Update,
    case,
    literal_column,
    or_,
    select,
    update,
)

from tidemill_core.domain.label_names import Renames
from tidemill_core.domain.labeling import (
    Judgement,
    LabelItem,
    LabelItemState,
    LabelReason,
    LabelRequest,
)
from tidemill_core.domain.split import content_hash
from tidemill_core.storage.database import Database, Page, newest_first
from tidemill_core.storage.erased_hashes import erased_hashes
from tidemill_core.storage.label_judgements import judge
from tidemill_core.storage.label_leases import LeaseRequest, count_waiting, hand_out
from tidemill_core.storage.label_rows import is_held, is_waiting, items_of, of_item
from tidemill_core.storage.schema import label_items, label_origins, labels

_REQUESTS_A_TRANSACTION = 500
_NEVER = datetime.max.replace(tzinfo=UTC)
"""Later than the end of any lease."""


class LabelItemStore:
    """The tables of label items and of people's labels."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, requests: Sequence[LabelRequest], judgements_wanted: int, now: datetime) -> int:
        """Queue texts, except origins that were queued before and texts that must be erased.

        If a text already waits, its item covers one more origin. Texts that differ only in case,
        spacing or Unicode form are the same.

        Args:
            requests: any number; each transaction takes 500.
            judgements_wanted: how many judgements decide.
            now: the time.

        Returns:
            How many items are new.

        Raises:
            StorageUnavailable: the transactions before the failed one remain.
        """
        added = 0
        for start in range(0, len(requests), _REQUESTS_A_TRANSACTION):
            with self._database.write(alone_on=label_items) as connection:
                page = requests[start : start + _REQUESTS_A_TRANSACTION]
                erased = erased_hashes(connection, {request.task for request in page})
                for request in page:
                    if (request.task, content_hash(request.text)) not in erased:
                        added += _queue(connection, request, judgements_wanted, now)
        return added

    def lease(self, request: LeaseRequest, now: datetime) -> tuple[list[LabelItem], int]:
        """Lease waiting items, each to no more people than it needs judgements.

        Audits come first, then the others; of either, the oldest first.

        Skip items that the annotator has judged or already holds.

        Returns:
            The items, and how many items wait for the annotator, these included.

        Raises:
            StorageUnavailable: no item was handed out.
        """
        with self._database.write(alone_on=label_items) as connection:
            ids = hand_out(connection, request, now)
            query = select(label_items).where(label_items.c.label_item_id.in_(ids))
            rows = connection.execute(query.order_by(label_items.c.sequence)).mappings()
            items = items_of(connection, list(rows), now)
        # Counting takes longer than leasing and needs no lock.
        with self._database.read() as connection:
            return items, count_waiting(connection, request.task, request.annotator)

    def submit(
        self, task: str, judgement: Judgement, renames: Renames
    ) -> tuple[Judgement, LabelItem]:
        """Write a judgement, and decide the item if it has enough judgements.

        No lease is needed: a late judgement counts as long as the item waits. A repeated request
        id returns the judgement that was stored first; so does the annotator's same label again.
        Labels are the same if their current names are.

        Returns:
            The judgement as stored, and the item as it is now.

        Raises:
            NotFound: the task has no such item.
            RequestIdReused: the request id belongs to another item or annotator.
            FailedPrecondition: ALREADY_JUDGED: the annotator gave another label before; or
                LABEL_ITEM_CLOSED: the item no longer waits.
            StorageUnavailable: the judgement was not written.
        """
        with self._database.write(alone_on=label_items) as connection:
            stored, row = judge(connection, task, judgement, renames)
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
        """Return a page of items, newest first, and the next page's token.

        Args:
            task: only this task's items; empty for all.
            states: only items in one of these states; empty for all.
            reason: only items with this reason; None for all.
            page: which page.
            now: the time, which determines the LEASED items.
        """
        in_states = [or_(*(_is_in(state, now) for state in states))] if states else []
        with self._database.read() as connection:
            rows, token = newest_first(
                connection, label_items, page, *in_states, task=task, reason=reason
            )
            return items_of(connection, rows, now), token

    def decided(self, task: str) -> list[LabelItem]:
        """Return the decided items of a task that still have their text, oldest first."""
        query = select(label_items).where(
            label_items.c.task == task,
            label_items.c.state == LabelItemState.DONE,
            label_items.c.text != "",
        )
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(label_items.c.sequence)).mappings()
            return items_of(connection, list(rows), _NEVER)

    def labeled_texts(self, task: str, since: datetime | None) -> list[tuple[str, str]]:
        """Return the texts and labels that people decided after a time and that are still kept."""
        query = select(label_items.c.text, label_items.c.label).where(
            label_items.c.task == task,
            label_items.c.state == LabelItemState.DONE,
            label_items.c.text != "",
        )
        if since is not None:
            query = query.where(label_items.c.resolve_time > since)
        with self._database.read() as connection:
            return [(row[0], row[1]) for row in connection.execute(query)]

    def expire_texts(self, task: str, before: datetime, limit: int) -> int:
        """Remove the texts and hashes of a task's oldest items before a time.

        Returns:
            How many texts were removed; fewer than `limit` if none is left.
        """
        oldest = (
            select(label_items.c.label_item_id)
            .where(label_items.c.task == task, label_items.c.text_time < before)
            .where(label_items.c.text != "")
            .order_by(label_items.c.text_time)
            .limit(limit)
        )
        blank = without_text().where(label_items.c.label_item_id.in_(oldest))
        with self._database.write(alone_on=label_items) as connection:
            return connection.execute(blank).rowcount


def without_text() -> Update:
    """Return an update that removes texts and hashes; waiting items become EXPIRED."""
    state = case((is_waiting(), literal_column("'EXPIRED'")), else_=label_items.c.state)
    return update(label_items).values(text="", text_hash="", state=state)


def _queue(connection: Connection, request: LabelRequest, wanted: int, now: datetime) -> bool:
    """Queue one text, and return whether it is new."""
    named = {"task": request.task, "reason": request.reason}
    if request.origin:
        known = select(label_origins).filter_by(**named, origin=request.origin)
        if connection.execute(known).first() is not None:
            return False
    text_hash = content_hash(request.text)
    waiting = select(label_items.c.label_item_id).filter_by(**named, text_hash=text_hash)
    found = connection.execute(waiting.where(is_waiting())).scalar_one_or_none()
    item_id = found or uuid.uuid4().hex
    if found is not None:
        this = update(label_items).where(label_items.c.label_item_id == item_id)
        connection.execute(this.values(origin_count=label_items.c.origin_count + 1))
    else:
        values = {name: value for name, value in vars(request).items() if name != "origin"}
        new = {
            **values,
            "label_item_id": item_id,
            "text_hash": text_hash,
            "origin_count": 1,
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


def _is_in(state: LabelItemState, now: datetime) -> ColumnElement[bool]:
    """Return the condition that an item is in a state."""
    held = select(labels.c.sequence).where(of_item(), is_held(now)).exists()
    if state is LabelItemState.LEASED:
        return is_waiting() & held
    if state is LabelItemState.OPEN:
        return is_waiting() & ~held
    return label_items.c.state == state
