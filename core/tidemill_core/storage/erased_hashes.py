"""What a transaction checks before it stores a text, or what was made of texts: the erasures."""

from collections.abc import Collection

from sqlalchemy import Connection, func, select

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
