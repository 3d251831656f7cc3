"""Partitions of the table of predictions on PostgreSQL: one for each week, from Monday in UTC.

The writer adds a partition when a row has none. Attaching and detaching block neither readers nor
writers, which is why there is no default partition: with one, both would.

A database that was converted keeps its earlier rows in one partition without a start.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection, exc, text

from tidemill_core.storage.database import Database

WEEK = timedelta(days=7)
LOCK = 7_463_118_230
"""The advisory lock of processes that add or drop partitions; an arbitrary number."""
_NAME = re.compile(r"predictions_(until|before)_(\d{8})")
_NO_PARTITION, _IN_USE = "23514", "55P03"
"""PostgreSQL's codes: check_violation and lock_not_available."""


class Partition(NamedTuple):
    """A partition.

    Attributes:
        name: of its table.
        end: its end, exclusive; its start is a week before.
        has_start: whether it has a start; otherwise all earlier rows are in it.
    """

    name: str
    end: datetime
    has_start: bool = True


def week_start(time: datetime) -> datetime:
    """Return the start of a time's week."""
    day = time.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def lacks_partition(error: exc.IntegrityError) -> bool:
    """Return whether an insert failed because a row has no partition."""
    return getattr(error.orig, "sqlstate", "") == _NO_PARTITION


def add_partitions(connection: Connection, times: Iterable[datetime]) -> None:
    """Add the missing partitions for rows with some times; SQLite has none.

    Raises:
        StorageUnavailable: another process is changing partitions: try again.
    """
    if connection.dialect.name != "postgresql":
        return
    connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
    found = _partitions(connection)
    for start in sorted({week_start(time) for time in times}):
        end = start + WEEK
        each = Partition(f"predictions_until_{end:%Y%m%d}", end)
        if found.get(each) or any(end <= known.end for known in found if not known.has_start):
            continue
        if each in found:
            _finish_detaching(connection, each)
        else:
            connection.execute(text(f"CREATE TABLE {each.name} (LIKE predictions INCLUDING ALL)"))
        connection.execute(
            text(
                f"ALTER TABLE predictions ATTACH PARTITION {each.name} "
                f"FOR VALUES FROM ('{start.isoformat()}') TO ('{end.isoformat()}')"
            )
        )


def drop_partitions(database: Database, before: datetime) -> tuple[int, int]:
    """Drop the partitions that end up to a time, except those that a transaction uses.

    A partition is invisible as soon as dropping it has begun. A later call completes what a killed
    one has begun.

    Returns:
        How many were dropped, and how many are in use: try these again.

    Raises:
        StorageUnavailable: the database does not answer; or another process is changing partitions.
    """
    dropped = in_use = 0
    with database.autocommit() as connection:
        connection.execute(text(f"SELECT pg_advisory_lock({LOCK})"))
        try:
            for each, attached in _partitions(connection).items():
                if each.end <= before:
                    done = _drop(connection, each, attached)
                    dropped, in_use = dropped + done, in_use + (not done)
        finally:
            connection.execute(text(f"SELECT pg_advisory_unlock({LOCK})"))
    return dropped, in_use


def _drop(connection: Connection, partition: Partition, attached: bool) -> bool:
    """Drop a partition; return False if a transaction uses it."""
    detach = f"ALTER TABLE predictions DETACH PARTITION {partition.name} CONCURRENTLY"
    try:
        if attached:
            connection.execute(text(detach))
        else:
            _finish_detaching(connection, partition)
        connection.execute(text(f"DROP TABLE {partition.name}"))
    except exc.OperationalError as error:
        if getattr(error.orig, "sqlstate", "") != _IN_USE:
            raise
        return False
    return True


def _finish_detaching(connection: Connection, partition: Partition) -> None:
    """Complete what a process began that was killed or met a reader."""
    query = text("SELECT 1 FROM pg_inherits WHERE inhrelid = CAST(:name AS regclass)")
    if connection.execute(query, {"name": partition.name}).first():
        finish = f"ALTER TABLE predictions DETACH PARTITION {partition.name} FINALIZE"
        connection.execute(text(finish))


def _partitions(connection: Connection) -> Mapping[Partition, bool]:
    """Return whether each partition is attached; otherwise dropping it has begun."""
    query = text(
        "SELECT relname, coalesce(NOT inhdetachpending, false) FROM pg_class "
        "LEFT JOIN pg_inherits ON inhrelid = pg_class.oid WHERE relkind = 'r' "
        "AND relnamespace = (SELECT relnamespace FROM pg_class "
        "WHERE oid = CAST('predictions' AS regclass)) ORDER BY relname"
    )
    found = {}
    for name, attached in connection.execute(query):
        if match := _NAME.fullmatch(name):
            end = datetime.strptime(match[2], "%Y%m%d").replace(tzinfo=UTC)
            found[Partition(name, end, match[1] == "until")] = bool(attached)
    return found
