"""Preference pairs and their judgements: durable once written, and once even if sent again."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, update

from tidemill_core.domain.preference import Preference, PreferencePair, pair_of
from tidemill_core.domain.split import content_hash
from tidemill_core.errors import FailedPrecondition
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.erased_hashes import erased_hashes
from tidemill_core.storage.schema import preference_pairs, preferences


class TextErased(FailedPrecondition):
    """A pair with a text that was erased."""

    reason = "TEXT_ERASED"

    def __init__(self) -> None:
        super().__init__("a text of this pair was erased, so the pair is not stored again")


class PreferenceStore:
    """The tables of preference pairs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, item: Preference) -> Preference:
        """Write a judgement and return it as stored.

        A repeated request id returns the judgement that was stored first. A judgement without a
        request id that equals its annotator's latest of the task's pair returns that one. A
        judgement that reverses the latest is stored with its id as `replaced_preference_id`.

        Raises:
            StorageUnavailable: the judgement was not written.
            TextErased: one of the pair's texts was erased.
        """
        with self._database.write(alone_on=preferences) as connection:
            if item.request_id:
                known = _find(connection, preferences.c.request_id == item.request_id)
                if known is not None:
                    return known
            latest = _find(
                connection,
                preferences.c.pair_hash == item.pair_hash,
                preferences.c.annotator == item.annotator,
                preferences.c.task == item.task,
            )
            if latest is not None:
                if not item.request_id and _same_judgement(latest, item):
                    return latest
                if latest.prefers_first is not item.prefers_first:
                    item = replace(item, replaced_preference_id=latest.preference_id)
            else:
                self._count(connection, item)
            connection.execute(preferences.insert(), _row(item))
        return item

    def _count(self, connection: Connection, item: Preference) -> None:
        """Count an annotator's first judgement of a pair."""
        answers = item.chosen, item.rejected
        self._put(connection, pair_of(item.task, item.prompt, answers, item.create_time))
        count = preference_pairs.c.judgement_count
        counted = update(preference_pairs).where(_is_pair(item.task, item.pair_hash))
        connection.execute(counted.values(judgement_count=count + 1))

    def _put(self, connection: Connection, pair: PreferencePair) -> None:
        # A pair without a task belongs to every task.
        erased = erased_hashes(connection, {pair.task} if pair.task else None)
        if not {content_hash(text) for text in pair.texts}.isdisjoint(each for _, each in erased):
            raise TextErased
        row = {**vars(pair), "pair_hash": pair.pair_id}
        self._database.insert_ignoring_repeats(connection, preference_pairs, [row])

    def add_pair(self, pair: PreferencePair) -> PreferencePair:
        """Write a pair that people can judge, and return it as stored first.

        Raises:
            TextErased: one of its texts was erased.
        """
        query = select(preference_pairs).where(_is_pair(pair.task, pair.pair_id))
        with self._database.write() as connection:
            self._put(connection, pair)
            return _pair(connection.execute(query).mappings().one())

    def waiting_pairs(self, task: str, annotator: str, limit: int) -> list[PreferencePair]:
        """Return pairs that an annotator has not judged: the least judged, then the oldest first.

        Args:
            task: the pairs' task; empty for those without one.
            annotator: the annotator.
            limit: the most pairs to return.
        """
        pairs = preference_pairs.c
        judged = select(preferences.c.sequence).where(
            preferences.c.pair_hash == pairs.pair_hash,
            preferences.c.task == pairs.task,
            preferences.c.annotator == annotator,
        )
        query = select(preference_pairs).where(pairs.task == task, ~judged.exists())
        query = query.order_by(pairs.judgement_count, pairs.sequence).limit(limit)
        with self._database.read() as connection:
            return list(map(_pair, connection.execute(query).mappings()))

    def count_pairs(self, task: str, since: datetime | None) -> int:
        """Count the pairs of a task that were judged after a time, or ever."""
        query = select(func.count(preferences.c.pair_hash.distinct()))
        query = query.where(preferences.c.task == task)
        if since is not None:
            query = query.where(preferences.c.create_time > since)
        with self._database.read() as connection:
            return connection.execute(query).scalar_one()

    def page(self, task: str, page: Page) -> tuple[list[Preference], str]:
        """Return a page of judgements, newest first, and the next page's token."""
        return self._database.page(_preference, preferences, page, task=task)


def _is_pair(task: str, pair_hash: str) -> ColumnElement[bool]:
    return (preference_pairs.c.task == task) & (preference_pairs.c.pair_hash == pair_hash)


def _pair(row: Mapping[Any, Any]) -> PreferencePair:
    values = {name: row[name] for name in row if name not in ("sequence", "pair_hash")}
    return PreferencePair(**values)


def _find(connection: Connection, *conditions: Any) -> Preference | None:
    """Return the latest judgement that meets all conditions."""
    query = select(preferences).where(*conditions).order_by(preferences.c.sequence.desc()).limit(1)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _preference(row)


def _same_judgement(one: Preference, other: Preference) -> bool:
    return (one.prompt, one.chosen, one.rejected, one.reason) == (
        other.prompt,
        other.chosen,
        other.rejected,
        other.reason,
    )


def _row(item: Preference) -> dict[str, Any]:
    return {**vars(item), "request_id": item.request_id or None, "pair_hash": item.pair_hash}


def _preference(row: Mapping[Any, Any]) -> Preference:
    values = {name: row[name] for name in row if name not in ("sequence", "pair_hash")}
    return Preference(**{**values, "request_id": values["request_id"] or ""})
