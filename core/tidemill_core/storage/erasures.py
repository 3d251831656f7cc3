"""Erasures: which texts must go, and taking them out of the other tables."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Delete, Table, Update, delete, select, update

from tidemill_core.domain.erasure import Erasure
from tidemill_core.domain.split import content_hash
from tidemill_core.storage.database import Database
from tidemill_core.storage.label_items import without_text
from tidemill_core.storage.schema import (
    erasures,
    feedback,
    label_items,
    predictions,
    preferences,
)

_ROWS_AT_ONCE = 1000
_HASHES_AT_ONCE = 500


@dataclass(frozen=True)
class _Holder:
    """A table with texts of a task whose hashes are not stored.

    Attributes:
        table: the table.
        key: what its rows are told apart by.
        texts: the columns that hold texts, or a JSON object of them.
        erase: takes all texts out of the rows it is restricted to.
    """

    table: Table
    key: Column[Any]
    texts: tuple[Column[Any], ...]
    erase: Callable[[], Update | Delete]


_HOLDERS = (
    _Holder(
        predictions,
        predictions.c.prediction_id,
        (predictions.c.text, predictions.c.attributes),
        lambda: update(predictions).values(text="", text_hash=None, attributes={}),
    ),
    _Holder(
        feedback,
        feedback.c.sequence,
        (feedback.c.text, feedback.c.comment),
        lambda: update(feedback).values(text=None, comment=""),
    ),
    # A pair without one of its texts is no pair.
    _Holder(
        preferences,
        preferences.c.sequence,
        tuple(preferences.c[name] for name in ("prompt", "chosen", "rejected", "reason")),
        lambda: delete(preferences),
    ),
)


class ErasureStore:
    """The table of erasures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(self, task: str, text_hash: str, requested_by: str, now: datetime) -> Erasure:
        """Write down that a text must go; asked again, it must go again.

        A run that is at work then does not finish it: what came after that run looked may stay.

        Args:
            task: the task.
            text_hash: the text's `content_hash`.
            requested_by: who asks.
            now: the time.
        """
        known = (erasures.c.task == task) & (erasures.c.text_hash == text_hash)
        new = Erasure(uuid.uuid4().hex, task, text_hash, requested_by, now, requests=0)
        again = {"erase_time": None, "requests": erasures.c.requests + 1}
        with self._database.write() as connection:
            self._database.insert_ignoring_repeats(connection, erasures, [asdict(new)])
            connection.execute(update(erasures).where(known).values(again))
            return _erasure(connection.execute(select(erasures).where(known)).mappings().one())

    def of_task(self, task: str) -> list[Erasure]:
        """A task's erasures, in the order they were asked for."""
        query = select(erasures).where(erasures.c.task == task).order_by(erasures.c.sequence)
        with self._database.read() as connection:
            return [_erasure(row) for row in connection.execute(query).mappings()]

    def hashes(self, task: str) -> dict[str, str]:
        """Return, for each hash of a text that must go, the one that it was asked for by."""
        # Where two texts share a form, it counts for the one that is not gone yet.
        asked = sorted(self.of_task(task), key=lambda erasure: erasure.erase_time is None)
        aliases = {alias: erasure.text_hash for erasure in asked for alias in erasure.aliases}
        return aliases | {erasure.text_hash: erasure.text_hash for erasure in asked}

    def know_as(self, erasure: Erasure, aliases: Set[str]) -> None:
        """Write down which other hashes a text is known by; those known before stay."""
        known = sorted({*erasure.aliases, *aliases} - {erasure.text_hash})
        of_it = update(erasures).where(erasures.c.erasure_id == erasure.erasure_id)
        with self._database.write() as connection:
            connection.execute(of_it.values(aliases=known))

    def finish(self, erasure: Erasure, counts: Mapping[str, int], now: datetime) -> None:
        """Write down that a text is gone, and where it was found.

        Nothing is, where it was asked for again since the erasure was read.
        """
        done = update(erasures).where(
            erasures.c.erasure_id == erasure.erasure_id, erasures.c.requests == erasure.requests
        )
        with self._database.write() as connection:
            connection.execute(done.values(erase_time=now, counts=dict(counts)))

    def erase_stored(self, task: str, text_hashes: Set[str]) -> Iterator[tuple[str, list[str]]]:
        """Take texts out of all tables, a thousand rows at a time.

        Preferences without a task count as every task's.

        Yields:
            A table's name, and the hash of the text of each row of it that was found.
        """
        hashes = sorted(text_hashes)
        for start in range(0, len(hashes), _HASHES_AT_ONCE):
            of_chunk = hashes[start : start + _HASHES_AT_ONCE]
            yield label_items.name, self._erase_items(task, of_chunk)
        for holder in _HOLDERS:
            for found in self._pages(holder, task, text_hashes):
                with self._database.write() as connection:
                    connection.execute(holder.erase().where(holder.key.in_(list(found))))
                yield holder.table.name, list(found.values())

    def _erase_items(self, task: str, text_hashes: Sequence[str]) -> list[str]:
        of_texts = (label_items.c.task == task) & label_items.c.text_hash.in_(text_hashes)
        # Who queues texts looks at the erasures first: what was queued before they were known is
        # waited for here.
        with self._database.write(alone_on=label_items) as connection:
            query = select(label_items.c.text_hash).where(of_texts)
            found = list(connection.execute(query).scalars())
            connection.execute(without_text().where(of_texts))
        return found

    def _pages(self, holder: _Holder, task: str, text_hashes: Set[str]) -> Iterator[dict[Any, str]]:
        """The hash of the text to erase by key, page by page."""
        # Not the bare column: its index would have all of the task's rows sorted for each page.
        is_of_task = (holder.table.c.task + "").in_((task, ""))
        query = select(holder.key, *holder.texts).where(is_of_task)
        query = query.order_by(holder.key).limit(_ROWS_AT_ONCE)
        page = query
        while True:
            with self._database.read() as connection:
                rows = connection.execute(page).all()
            hashes = ((key, content_hash(text)) for key, *values in rows for text in _texts(values))
            found = {key: text_hash for key, text_hash in hashes if text_hash in text_hashes}
            yield found
            if len(rows) < _ROWS_AT_ONCE:
                return
            page = query.where(holder.key > rows[-1][0])


def _texts(values: Iterable[str | Mapping[str, str] | None]) -> Iterator[str]:
    for value in values:
        yield from filter(None, value.values() if isinstance(value, Mapping) else [value])


def _erasure(row: Mapping[Any, Any]) -> Erasure:
    values = {name: value for name, value in row.items() if name != "sequence"}
    return Erasure(**{**values, "aliases": tuple(values["aliases"])})
