"""The first training of tasks that have no champion."""

from collections.abc import Sequence
from datetime import datetime

from tidemill_core.domain.job import RETRAIN, JobRunState, Trigger
from tidemill_core.domain.model import ModelState
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import Storage


def queue_first_models(
    storage: Storage, tasks: Sequence[str], started: datetime, now: datetime
) -> None:
    """Queue `retrain` for each task without a champion, once since `started`.

    A task with a version that waits for an approval needs no other. A training that fails is not
    repeated until the process restarts, because its error says what to fix first.
    """
    championed = storage.models.deployments()
    for task in tasks:
        if task in championed or storage.models.in_states(task, [ModelState.AWAITING_APPROVAL]):
            continue
        latest = storage.jobs.latest(RETRAIN, task, list(JobRunState))
        if latest is None or (latest.state.ended and latest.create_time < started):
            # A process that was stopped here, and no longer leads, must not queue another one.
            request_id = f"first model of {task} after {latest and latest.run_id}"
            first = RunRequest(RETRAIN, task, Trigger.FIRST_MODEL, request_id=request_id)
            storage.jobs.enqueue(first, now)
