"""Deletion of old runs."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select

from tidemill_core.storage.database import Database
from tidemill_core.storage.schema import job_runs, joined_requests


def prune_runs(database: Database, jobs: Sequence[str], before: datetime) -> int:
    """Delete the runs of some jobs that ended before a time, and return how many.

    Each job's latest run for each task stays, because it records the last scheduled time.

    Raises:
        StorageUnavailable: nothing was deleted.
    """
    latest = select(func.max(job_runs.c.sequence)).group_by(job_runs.c.job, job_runs.c.task)
    old = delete(job_runs).where(
        job_runs.c.job.in_(jobs),
        job_runs.c.end_time < before,
        job_runs.c.sequence.not_in(latest.where(job_runs.c.job.in_(jobs)).scalar_subquery()),
    )
    left = joined_requests.c.run_id.not_in(select(job_runs.c.run_id))
    with database.write(alone_on=job_runs) as connection:
        pruned = connection.execute(old).rowcount
        connection.execute(delete(joined_requests).where(left))
        return pruned
