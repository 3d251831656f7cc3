"""Erasures within a transaction: what must not be stored, and the counts of erased rows."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, Table, func, select, update

from tidemill_core.storage.schema import erasures


def erased_hashes(
    connection: Connection, tasks: Collection[str] | None = None
) -> set[tuple[str, str]]:
    """Return task and `content_hash` of all texts that must not be stored, of some tasks or all."""
    query = select(erasures.c.task, erasures.c.text_hash, erasures.c.aliases)
    found = connection.execute(query if tasks is None else query.where(erasures.c.task.in_(tasks)))
    return {(task, each) for task, text_hash, aliases in found for each in (text_hash, *aliases)}


def erasure_counts(connection: Connection, task: str) -> tuple[int, int]:
    """Return how often texts of a task were requested to be erased, and how many are erased."""
    counts = select(
        func.coalesce(func.sum(erasures.c.requests), 0), func.count(erasures.c.erase_time)
    )
    requested, erased = connection.execute(counts.where(erasures.c.task == task)).one()
    return requested, erased


def count_erased(
    connection: Connection,
    task: str,
    table: Table,
    found: Iterable[str],
    requested: Mapping[str, str],
) -> None:
    """Add rows of a table to the counts of the open requests for their texts.

    Args:
        connection: of the transaction that erases them.
        task: the task.
        table: the table.
        found: the hash of each row's text.
        requested: the requested hash for each hash that was requested.
    """
    for text_hash, count in Counter(requested.get(each, each) for each in found).items():
        of_text = (erasures.c.task == task) & (erasures.c.text_hash == text_hash)
        add_counts(connection, of_text & erasures.c.erase_time.is_(None), {table.name: count})


def add_counts(
    connection: Connection, of_it: ColumnElement[bool], counts: Mapping[str, int]
) -> None:
    """Add counts to those of a request, if there is one."""
    before = connection.execute(select(erasures.c.counts).where(of_it)).scalar_one_or_none()
    if before is not None:
        added = {place: before.get(place, 0) + count for place, count in counts.items()}
        connection.execute(update(erasures).where(of_it).values(counts={**before, **added}))
