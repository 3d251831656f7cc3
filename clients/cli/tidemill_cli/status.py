"""`tidemill status`."""

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import grpc
import typer
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from rich.text import Text

from tidemill.v1.model_service_pb2 import (
    GetModelVersionRequest,
    ListDeploymentsRequest,
    ListModelVersionsRequest,
    ModelVersion,
)
from tidemill_cli.connection import connected
from tidemill_cli.failure import CommandFailed, NotNow
from tidemill_cli.listing import CALL_SECONDS, collect
from tidemill_cli.local import missing_module
from tidemill_cli.options import Address, AsJson
from tidemill_cli.output import percent, print_json, print_table, say, stdout
from tidemill_cli.tasks import tasks_of
from tidemill_cli.unserved import awaiting_approval, unapproved, why_unserved
from tidemill_cli.workspace_storage import note_pending_migration
from tidemill_client import TidemillClient, TidemillError, translated_errors
from tidemill_core.settings import load_settings, settings_with_tasks

if TYPE_CHECKING:  # part of the extras
    from tidemill_core.supervisor import ProcessStatus

app = typer.Typer(add_completion=False)
_INTERVAL_SECONDS = 0.5
_RECENT = 1000
_SERVING = "SERVING"
_UNKNOWN = "SERVICE_UNKNOWN"


@dataclass(frozen=True)
class TaskStatus:
    """The status of one task.

    Attributes:
        task: the task.
        health: `SERVING`, `NOT_SERVING` or `SERVICE_UNKNOWN`.
        champion: the version that answers; None if there is none yet, or it is not known.
        champion_accuracy: on the hold-out, in [0, 1]; None if it was not measured.
        versions: the number of versions; None if the database is away.
        problem: what is wrong, and what to do; empty if nothing is.
        awaiting_approval: the newest version that waits for an approval, if it is newer than the
            champion.
    """

    task: str
    health: str
    champion: int | None
    champion_accuracy: float | None
    versions: int | None
    problem: str = ""
    awaiting_approval: int | None = None


@dataclass(frozen=True)
class Status:
    """The status of a server and its tasks.

    Attributes:
        health: the health of the worker that answered.
        tasks: the status of each task.
        processes: the processes of this folder's stack; empty for another server.
    """

    health: str
    tasks: list[TaskStatus]
    processes: "list[ProcessStatus]"

    @property
    def serving(self) -> bool:
        """Whether the server is up and has tasks, and every task is served without a problem."""
        healths = [self.health, *(task.health for task in self.tasks)]
        healthy = all(health == _SERVING for health in healths)
        return bool(self.tasks) and healthy and not any(task.problem for task in self.tasks)


@app.command(epilog="Example: tidemill status --wait 60 && echo all tasks are served")
def status(
    wait: Annotated[
        float,
        typer.Option(min=0, metavar="SECONDS", help="How long to wait for all tasks."),
    ] = 0.0,
    address: Address = "",
    as_json: AsJson = False,
) -> None:
    """Show whether the server and each task answer; exit code 0 only if all do."""
    deadline = time.monotonic() + wait
    if address:
        found = _wait(address, deadline)
    else:
        settings = settings_with_tasks()
        try:
            found = _wait(address, deadline)
        finally:
            note_pending_migration(settings)
    if as_json:
        print_json({"serving": found.serving, **asdict(found)})
    else:
        columns = ("task", "health", "champion", "accuracy", "versions")
        rows = [(Text("(server)"), _colored(found.health), "", "", ""), *map(_row, found.tasks)]
        print_table(columns, rows, empty="")
        _print_processes(found.processes)
        for task in found.tasks:
            if task.awaiting_approval:
                say(unapproved(task.task, task.awaiting_approval))
    if not found.serving:
        raise CommandFailed(_not_serving(found))


def health_of(client: TidemillClient, service: str, timeout: float = CALL_SECONDS) -> str:
    """Return a service's health; that of a service that is not registered is SERVICE_UNKNOWN.

    Args:
        client: a connection to the server.
        service: empty for the server itself, or from `task_service`.
        timeout: seconds to wait for an answer.

    Raises:
        TidemillError: the server cannot be reached.
    """
    try:
        with translated_errors():
            request = HealthCheckRequest(service=service)
            answer = client.health.Check(request, timeout=timeout).status
    except TidemillError as error:
        if error.code is grpc.StatusCode.NOT_FOUND:
            return _UNKNOWN
        raise
    return str(HealthCheckResponse.ServingStatus.Name(answer))


def task_service(task: str) -> str:
    """Return the service name of a task's health."""
    return f"tidemill.task.{task}"


def _wait(address: str, deadline: float) -> Status:
    """Return the status once every task is served, or at the deadline.

    Raises:
        NotNow: the server cannot answer at the deadline.
    """
    while True:
        try:
            found = _look(address)
            if found.serving or time.monotonic() >= deadline:
                return found
        except NotNow:
            if time.monotonic() >= deadline:
                raise
        time.sleep(_INTERVAL_SECONDS)


def _look(address: str) -> Status:
    with connected(address) as client:
        tasks = [_task_status(client, task) for task in tasks_of(client, address)]
        if address:  # leave out tasks that it no longer serves
            tasks = [task for task in tasks if task.health != _UNKNOWN]
        return Status(health_of(client, ""), tasks, [] if address else _processes())


def _processes() -> "list[ProcessStatus]":
    if missing_module() is not None:  # only the client is installed: no stack can run here
        return []
    from tidemill_core.supervisor import read_processes

    return list(read_processes(load_settings().state_dir))


def _print_processes(processes: "list[ProcessStatus]") -> None:
    if processes:
        stdout().print()
        columns = ("process", "state", "pid", "recent deaths")
        rows = [(one.name, one.state, one.pid or "", one.deaths or "") for one in processes]
        print_table(columns, rows, empty="")


def _task_status(client: TidemillClient, task: str) -> TaskStatus:
    health = health_of(client, task_service(task))
    try:
        with translated_errors():
            return _stored_status(client, task, health)
    except TidemillError as error:
        if error.reason != "STORAGE_UNAVAILABLE":
            raise
        problem = f"{error.message}; tasks that are {_SERVING} still answer predictions"
        return TaskStatus(task, health, None, None, None, problem)


def _stored_status(client: TidemillClient, task: str, health: str) -> TaskStatus:
    request = ListModelVersionsRequest(task=task)
    versions = collect(client.models.ListModelVersions, request, _RECENT)
    champion = None if health == _UNKNOWN else _champion(client, task)
    accuracy = None if champion is None else champion.measures.get("accuracy")
    number = None if champion is None else champion.model_version
    problem = _problem(client, task, health)
    waiting = awaiting_approval(versions, number)
    return TaskStatus(task, health, number, accuracy, len(versions), problem, waiting)


def _champion(client: TidemillClient, task: str) -> ModelVersion | None:
    latest = ListDeploymentsRequest(task=task, page_size=1)
    deployments = client.models.ListDeployments(latest, timeout=CALL_SECONDS).deployments
    if not deployments:
        return None
    request = GetModelVersionRequest(task=task, model_version=deployments[0].champion)
    return client.models.GetModelVersion(request, timeout=CALL_SECONDS).model_version


def _problem(client: TidemillClient, task: str, health: str) -> str:
    if health == _SERVING:
        return ""
    if health == _UNKNOWN:
        return f"the server does not know {task}: `tidemill restart` makes it read its settings"
    return why_unserved(client, task)


def _row(task: TaskStatus) -> tuple[object, ...]:
    if task.versions is None:
        return task.task, _colored(task.health), "unknown", "", ""
    champion = "none yet" if task.champion is None else f"version {task.champion}"
    accuracy = "" if task.champion_accuracy is None else percent(task.champion_accuracy)
    return task.task, _colored(task.health), champion, accuracy, task.versions


def _colored(health: str) -> Text:
    return Text(health, style="green" if health == _SERVING else "red")


def _not_serving(found: Status) -> str:
    if not found.tasks:
        return "the server has no task to serve yet"
    problems = dict.fromkeys(task.problem for task in found.tasks if task.problem)
    if not problems:
        return "the server is stopping"
    all_answer = all(task.health == _SERVING for task in found.tasks)
    return "\n".join(problems if all_answer else ["not serving:", *problems])
