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
            storage.jobs.enqueue(RunRequest(RETRAIN, task, Trigger.FIRST_MODEL), now)
