"""Removal of old predictions: whole partitions on PostgreSQL, batches of rows on SQLite."""

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, delete, select, tuple_

from tidemill_core.storage.database import Database
from tidemill_core.storage.partitions import drop_partitions
from tidemill_core.storage.schema import prediction_counts, predictions

BATCH_ROWS = 1000
"""Rows of one transaction, so that the front waits only briefly to write."""
_p = predictions.c


class Removed(NamedTuple):
    """The result of a step.

    Attributes:
        rows: predictions on SQLite; PostgreSQL does not count the rows of a partition.
        weeks: partitions on PostgreSQL.
        weeks_in_use: partitions that a transaction uses; the next call removes them.
    """

    rows: int = 0
    weeks: int = 0
    weeks_in_use: int = 0


def remove_predictions(database: Database, before: datetime) -> Iterator[Removed]:
    """Remove the predictions of all tasks from before a time, and their counts, in short steps.

    Args:
        database: where they are.
        before: the start of a week; see `partitions.week_start`.

    Raises:
        StorageUnavailable: the database does not answer; what was removed stays removed.
    """
    if database.engine.dialect.name == "postgresql":
        yield Removed(0, *drop_partitions(database, before))
    else:
        yield from map(Removed, _delete(database, before))
    with database.write() as connection:
        connection.execute(delete(prediction_counts).where(prediction_counts.c.hour < before))


def _delete(database: Database, before: datetime) -> Iterator[int]:
    """Delete rows of one version after the other, as the index finds them."""
    with database.read() as connection:
        versions = list(_versions(connection))
    for task, version in versions:
        old = select(_p.prediction_id).where(
            _p.task == task, _p.model_version == version, _p.predict_time < before
        )
        batch = delete(predictions).where(_p.prediction_id.in_(old.limit(BATCH_ROWS)))
        found = BATCH_ROWS
        while found == BATCH_ROWS:
            with database.write() as connection:
                found = connection.execute(batch).rowcount
            yield found


def _versions(connection: Connection) -> Iterator[tuple[str, int]]:
    """Yield each task and version with predictions, without reading all rows."""
    first = select(_p.task, _p.model_version).order_by(_p.task, _p.model_version).limit(1)
    found = connection.execute(first).first()
    while found is not None:
        task, version = found
        yield task, version
        found = connection.execute(first.where(tuple_(_p.task, _p.model_version) > found)).first()
