"""Hashes of erased texts, which a transaction checks before it stores a text."""

from collections.abc import Collection

from sqlalchemy import Connection, select

from tidemill_core.storage.schema import erasures


def erased_hashes(connection: Connection, tasks: Collection[str]) -> set[tuple[str, str]]:
    """Return task and `content_hash` of all texts that must not be stored for these tasks."""
    columns = (erasures.c.task, erasures.c.text_hash, erasures.c.aliases)
    found = connection.execute(select(*columns).where(erasures.c.task.in_(tasks)))
    return {(task, each) for task, text_hash, aliases in found for each in (text_hash, *aliases)}
