"""The job `expire_predictions`: removes old predictions and their counts."""

import time
from datetime import datetime, timedelta

from tidemill_core.counted import counted
from tidemill_core.storage.database import Database
from tidemill_core.storage.partitions import week_start
from tidemill_core.storage.prediction_removal import Removed, remove_predictions
from tidemill_jobs.context import JobContext, Progress, Result

TRIES = 3
"""How often a run tries to drop a partition that a transaction uses."""
PAUSE_SECONDS = 5.0


def run(context: JobContext) -> Result:
    """Remove the predictions of all tasks that are older than `prediction_log.retention_days`.

    They go by whole weeks, so the oldest ones stay up to a week longer.

    Returns:
        `expired_predictions` (0 on PostgreSQL, which drops whole weeks), `expired_weeks` (0 on
        SQLite), and `weeks_in_use`: those that a transaction still reads. The next run drops them.

    Raises:
        RunCanceled: someone stopped the run; what was removed stays removed.
        StorageUnavailable: the database does not answer.
    """
    days = context.settings.prediction_log.retention_days
    removed = Removed()
    if days is not None:
        for attempt in range(TRIES):
            before = context.clock() - timedelta(days=days)
            removed = _remove(context.storage.database, before, removed, context.progress)
            if not removed.weeks_in_use:
                break
            if attempt < TRIES - 1:
                context.progress(0.0, f"waits: {counted(removed.weeks_in_use, 'week')} in use")
                time.sleep(PAUSE_SECONDS)
    return {
        "expired_predictions": removed.rows,
        "expired_weeks": removed.weeks,
        "weeks_in_use": removed.weeks_in_use,
    }


def _remove(database: Database, before: datetime, removed: Removed, progress: Progress) -> Removed:
    rows, weeks, in_use = removed.rows, removed.weeks, 0
    for each in remove_predictions(database, week_start(before)):
        rows, weeks, in_use = rows + each.rows, weeks + each.weeks, each.weeks_in_use
        progress(0.0, f"removed {counted(rows, 'prediction')} and {counted(weeks, 'week')}")
    return Removed(rows, weeks, in_use)
