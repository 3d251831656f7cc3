"""The task that a command is for.

A task that does not exist is an error, never an empty list. The only task need not be named.
"""

from collections.abc import Callable, Sequence
from typing import Any

from tidemill.v1.job_service_pb2 import ListJobRunsRequest
from tidemill.v1.model_service_pb2 import GetModelVersionRequest, ListDeploymentsRequest
from tidemill_cli.failure import TaskNotNamed, UnknownTask
from tidemill_cli.listing import CALL_SECONDS, collect
from tidemill_client import PermissionDenied, TidemillClient, TidemillError, translated_errors
from tidemill_core.settings import load_settings

_RECENT = 1000


def the_task(client: TidemillClient, task: str, address: str) -> str:
    """Return the named task, or the only one if none is named.

    Raises:
        TaskNotNamed: no task is named, and there is not exactly one or the caller may not list
            them.
        TidemillError: the server cannot be reached.
    """
    if task:
        return task
    try:
        with translated_errors():
            tasks = tasks_of(client, address)
    except PermissionDenied as error:
        raise TaskNotNamed from error
    return only_one(tasks)


def only_one(tasks: Sequence[str]) -> str:
    """Return the only task.

    Raises:
        TaskNotNamed: there is not exactly one.
    """
    if len(tasks) != 1:
        raise TaskNotNamed(tasks)
    return tasks[0]


def tasks_of(client: TidemillClient, address: str) -> list[str]:
    """Return the tasks in this folder's settings; for another server, those with models or runs."""
    if not address:
        return list(load_settings().tasks)
    deployed = collect(client.models.ListDeployments, ListDeploymentsRequest(), _RECENT)
    runs = collect(client.jobs.ListJobRuns, ListJobRunsRequest(), _RECENT)
    return sorted({one.task for one in (*deployed, *runs)})


def collect_of(
    client: TidemillClient,
    method: Callable[..., Any],
    request: Any,
    limit: int,
    keep: Callable[[Any], bool] | None = None,
) -> list[Any]:
    """Return rows as `collect` does, and check that the task of an empty list exists.

    Rows of a removed task are still listed.

    Raises:
        TidemillError: UNKNOWN_TASK; it names the existing tasks.
    """
    rows = collect(method, request, limit, keep)
    if request.task and not rows:
        try:
            with translated_errors():
                wanted = GetModelVersionRequest(task=request.task)
                client.models.GetModelVersion(wanted, timeout=CALL_SECONDS)
        except TidemillError as error:
            if error.reason == UnknownTask.reason:
                raise
    return rows
