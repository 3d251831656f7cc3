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
    erased = Counter(requested.get(each, each) for each in found)
    of_texts = (erasures.c.task == task) & erasures.c.text_hash.in_(list(erased))
    counts = {text_hash: {table.name: count} for text_hash, count in erased.items()}
    add_counts(connection, of_texts & erasures.c.erase_time.is_(None), counts)


def add_counts(
    connection: Connection, of_them: ColumnElement[bool], counts: Mapping[str, Mapping[str, int]]
) -> None:
    """Add counts to those of requests.

    Args:
        connection: of the transaction.
        of_them: selects the requests.
        counts: the number of rows by place, for each requested hash.
    """
    columns = erasures.c
    query = select(columns.erasure_id, columns.text_hash, columns.counts).where(of_them)
    for erasure_id, text_hash, before in connection.execute(query).all():
        more = counts[text_hash].items()
        after = {**before, **{place: before.get(place, 0) + count for place, count in more}}
        of_it = update(erasures).where(columns.erasure_id == erasure_id)
        connection.execute(of_it.values(counts=after))
