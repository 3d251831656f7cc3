"""Hashes of erased texts, which a transaction checks before it stores a text."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from tidemill_core.storage.schema import erasures


def erased_hashes(
    connection: Connection, tasks: Collection[str] | None = None
) -> set[tuple[str, str]]:
    """Return task and `content_hash` of all texts that must not be stored, of some tasks or all."""
    query = select(erasures.c.task, erasures.c.text_hash, erasures.c.aliases)
    found = connection.execute(query if tasks is None else query.where(erasures.c.task.in_(tasks)))
    return {(task, each) for task, text_hash, aliases in found for each in (text_hash, *aliases)}
