"""The task that a command is for.

A task that does not exist is an error, never an empty list. Where there is one task, it need not
be named.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from tidemill.v1.job_service_pb2 import ListJobRunsRequest
from tidemill.v1.model_service_pb2 import GetModelVersionRequest, ListDeploymentsRequest
from tidemill_cli.failure import TaskNotNamed
from tidemill_cli.listing import CALL_SECONDS, collect
from tidemill_client import PermissionDenied, TidemillClient, TidemillError, translated_errors
from tidemill_core.settings import load_settings

_RECENT = 1000

OnlyTask = Annotated[str, typer.Option("--task", help="Only this task's.", show_default=False)]
ForTask = Annotated[
    str,
    typer.Option("--task", help="The task; not needed where there is one.", show_default=False),
]
Task = Annotated[str, typer.Argument(help="The task.")]
LastTask = Annotated[
    str, typer.Argument(help="The task; not needed where there is one.", show_default=False)
]


def the_task(client: TidemillClient, task: str, address: str) -> str:
    """Return the task that was named, or the only one.

    Raises:
        TaskNotNamed: none was named, and there is not exactly one, or the caller may not know.
        TidemillError: the server is away.
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
    """Return the tasks of this folder's settings; of another server, those it has worked for."""
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
    """Fetch rows as `collect` does, and check that the task of an empty list exists.

    What is stored of a task that was removed is listed still.

    Raises:
        TidemillError: UNKNOWN_TASK names the tasks that there are.
    """
    rows = collect(method, request, limit, keep)
    if request.task and not rows:
        try:
            with translated_errors():
                wanted = GetModelVersionRequest(task=request.task)
                client.models.GetModelVersion(wanted, timeout=CALL_SECONDS)
        except TidemillError as error:
            if error.reason == "UNKNOWN_TASK":
                raise
    return rows
