"""Requests to erase texts, and their removal from the other tables."""

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Delete, Table, Update, case, delete, literal, select, update

from tidemill_core.domain.erasure import Erasure
from tidemill_core.domain.split import content_hash
from tidemill_core.storage.database import Database
from tidemill_core.storage.erased_hashes import add_counts, count_erased, erasure_counts
from tidemill_core.storage.label_items import without_text
from tidemill_core.storage.schema import (
    drift_regions,
    erasures,
    feedback,
    label_items,
    predictions,
    preference_pairs,
    preferences,
)

_ROWS_AT_ONCE = 1000
_HASHES_AT_ONCE = 500


@dataclass(frozen=True)
class _Holder:
    """A table that holds texts but not their hashes.

    Attributes:
        table: the table.
        key: the column that identifies its rows.
        texts: the columns that hold texts, or a JSON object of texts.
        erase: returns the statement that removes all texts of a row, to be restricted by `where`.
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
    # A pair is useless without one of its texts.
    _Holder(
        preferences,
        preferences.c.sequence,
        tuple(preferences.c[name] for name in ("prompt", "chosen", "rejected", "reason")),
        lambda: delete(preferences),
    ),
    _Holder(
        preference_pairs,
        preference_pairs.c.sequence,
        tuple(preference_pairs.c[name] for name in ("prompt", "first", "second")),
        lambda: delete(preference_pairs),
    ),
)


class ErasureStore:
    """The table of erasures."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def request(self, task: str, text_hash: str, requested_by: str, now: datetime) -> Erasure:
        """Record a request to erase a text; a repeated request erases it again.

        A run that is erasing it now does not finish the new request, because rows that arrived
        after that run searched may remain.

        Args:
            task: the task.
            text_hash: the text's `content_hash`.
            requested_by: who requests it.
            now: the time.
        """
        known = (erasures.c.task == task) & (erasures.c.text_hash == text_hash)
        new = Erasure(uuid.uuid4().hex, task, text_hash, requested_by, now, requests=0)
        # The counts of an erasure that failed stay: its rows are not found again.
        is_open = erasures.c.erase_time.is_(None)
        counts = case((is_open, erasures.c.counts), else_=literal({}, erasures.c.counts.type))
        again = {"erase_time": None, "requests": erasures.c.requests + 1, "counts": counts}
        with self._database.write() as connection:
            self._database.insert_ignoring_repeats(connection, erasures, [asdict(new)])
            connection.execute(update(erasures).where(known).values(again))
            return _erasure(connection.execute(select(erasures).where(known)).mappings().one())

    def of_task(self, task: str) -> list[Erasure]:
        """Return a task's erasures, in the order of their requests."""
        query = select(erasures).where(erasures.c.task == task).order_by(erasures.c.sequence)
        with self._database.read() as connection:
            return [_erasure(row) for row in connection.execute(query).mappings()]

    def counts(self, task: str) -> tuple[int, int]:
        """Return how often texts of a task were requested to be erased, and how many are erased."""
        with self._database.read() as connection:
            return erasure_counts(connection, task)

    def hashes(self, task: str) -> dict[str, str]:
        """Return the requested hash for each hash of a text to erase."""
        # A form that two texts share counts for the one that is not erased yet.
        ordered = sorted(self.of_task(task), key=lambda erasure: erasure.erase_time is None)
        aliases = {alias: erasure.text_hash for erasure in ordered for alias in erasure.aliases}
        return aliases | {erasure.text_hash: erasure.text_hash for erasure in ordered}

    def add_aliases(self, erasure: Erasure, aliases: Set[str]) -> None:
        """Add hashes of other forms of a text."""
        known = sorted({*erasure.aliases, *aliases} - {erasure.text_hash})
        of_it = update(erasures).where(erasures.c.erasure_id == erasure.erasure_id)
        with self._database.write() as connection:
            connection.execute(of_it.values(aliases=known))

    def add_counts(self, erasure: Erasure, counts: Mapping[str, int]) -> None:
        """Add to the numbers of rows in which a text was found, by place."""
        of_it = erasures.c.erasure_id == erasure.erasure_id
        with self._database.write() as connection:
            add_counts(connection, of_it, {erasure.text_hash: counts})

    def finish(self, erasure: Erasure, now: datetime) -> None:
        """Record that a text is erased; forget the regions it helped make.

        It stays to erase if it was requested again after the erasure was read.
        """
        done = update(erasures).where(
            erasures.c.erasure_id == erasure.erasure_id, erasures.c.requests == erasure.requests
        )
        # With the lock, a check stores its regions before this, or finds that a text was erased.
        with self._database.write(alone_on=drift_regions) as connection:
            connection.execute(done.values(erase_time=now))
            connection.execute(delete(drift_regions).filter_by(task=erasure.task))

    def erase_stored(self, task: str, text_hashes: Set[str]) -> Iterator[tuple[str, list[str]]]:
        """Remove texts from all tables, a thousand rows at a time.

        The rows are added to the counts of open requests in the same transactions, so a run that is
        killed loses none. Preferences without a task belong to every task.

        Yields:
            A table's name, and the hash of the text in each of its rows that had one.
        """
        hashes, requested = sorted(text_hashes), self.hashes(task)
        for start in range(0, len(hashes), _HASHES_AT_ONCE):
            of_chunk = hashes[start : start + _HASHES_AT_ONCE]
            yield label_items.name, self._erase_items(task, of_chunk, requested)
        for holder in _HOLDERS:
            for found in self._pages(holder, task, text_hashes):
                with self._database.write() as connection:
                    connection.execute(holder.erase().where(holder.key.in_(list(found))))
                    count_erased(connection, task, holder.table, found.values(), requested)
                yield holder.table.name, list(found.values())

    def _erase_items(
        self, task: str, text_hashes: Sequence[str], requested: Mapping[str, str]
    ) -> list[str]:
        of_texts = (label_items.c.task == task) & label_items.c.text_hash.in_(text_hashes)
        # A transaction that queues texts reads the erasures first. This lock waits for those that
        # read them before the request.
        with self._database.write(alone_on=label_items) as connection:
            query = select(label_items.c.text_hash).where(of_texts)
            found = list(connection.execute(query).scalars())
            connection.execute(without_text().where(of_texts))
            count_erased(connection, task, label_items, found, requested)
        return found

    def _pages(self, holder: _Holder, task: str, text_hashes: Set[str]) -> Iterator[dict[Any, str]]:
        """Yield, page by page, the hash of the text to erase by the row's key."""
        # Not the bare column: with its index, each page would sort all of the task's rows.
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
