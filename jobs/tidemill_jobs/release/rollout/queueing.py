"""The checks of rollouts that are not over."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from tidemill_core.domain.job import JobRunState, Trigger
from tidemill_core.domain.rollout import ROLLOUT
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import Storage

CHECK_EVERY = timedelta(seconds=30)


def queue_rollouts(storage: Storage, tasks: Sequence[str], now: datetime) -> None:
    """Queue the job `rollout` for each task whose rollout waits or runs, every 30 seconds."""
    unfinished = storage.rollouts.unfinished()
    for task in tasks:
        if task not in unfinished:
            continue
        latest = storage.jobs.latest(ROLLOUT, task, list(JobRunState))
        if latest is None or (latest.state.ended and now - latest.create_time >= CHECK_EVERY):
            # A process that was stopped here, and no longer leads, must not queue another one.
            request_id = f"rollout of {task} after {latest and latest.run_id}"
            check = RunRequest(ROLLOUT, task, Trigger.ROLLOUT, request_id=request_id)
            storage.jobs.enqueue(check, now)
