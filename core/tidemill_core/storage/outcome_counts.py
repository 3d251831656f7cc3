"""How many texts the front's workers answered, and how many failed, over time."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import delete, func, select

from tidemill_core.domain.outcomes import OutcomeCount, Outcomes
from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import outcome_counts


class OutcomeCountStore:
    """The table of outcome counts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, counts: Sequence[OutcomeCount]) -> None:
        """Write counts, except those whose id exists already.

        Raises:
            StorageUnavailable: none was written, or the answer was lost: write them again.
        """
        if counts:
            with self._database.write() as connection:
                rows = [asdict(each) for each in counts]
                self._database.insert_ignoring_repeats(connection, outcome_counts, rows)

    def sums(self, task: str, since: datetime, until: datetime) -> Outcomes:
        """Return a task's sums after `since` and up to `until`."""
        columns = outcome_counts.c
        query = select(
            func.coalesce(func.sum(columns.answered), 0), func.coalesce(func.sum(columns.failed), 0)
        ).where(columns.task == task, columns.count_time > since, columns.count_time <= until)
        with self._database.read() as connection:
            answered, failed = connection.execute(query).one()
        return Outcomes(int(answered), int(failed))

    def prune(self, task: str, before: datetime) -> None:
        """Remove a task's counts from before a time."""
        old = delete(outcome_counts).where(
            outcome_counts.c.task == task, outcome_counts.c.count_time < before
        )
        with self._database.write() as connection:
            connection.execute(old)
