"""`tidemill status`."""

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated

import typer
from grpc import StatusCode
from rich.text import Text

from tidemill.v1.model_service_pb2 import (
    GetModelVersionRequest,
    ListDeploymentsRequest,
    ListModelVersionsRequest,
    ModelVersion,
    ServedTask,
)
from tidemill_cli.connection import connected
from tidemill_cli.failure import CommandFailed, NotNow
from tidemill_cli.health import UNKNOWN, health_of, task_service
from tidemill_cli.listing import CALL_SECONDS, collect
from tidemill_cli.local import missing_module
from tidemill_cli.options import Address, AsJson
from tidemill_cli.output import percent, print_json, print_table, say, stdout
from tidemill_cli.tasks import served_tasks
from tidemill_cli.unserved import awaiting_approval, unapproved, why_unserved
from tidemill_cli.workspace_storage import note_pending_migration
from tidemill_client import TidemillClient, TidemillError, translated_errors
from tidemill_core.errors import StorageUnavailable
from tidemill_core.settings import load_settings, settings_with_tasks

if TYPE_CHECKING:  # part of the extras
    from tidemill_core.supervisor import ProcessStatus

app = typer.Typer(add_completion=False)
_INTERVAL_SECONDS = 0.5
_RECENT = 1000
_SERVING = "SERVING"


@dataclass(frozen=True)
class TaskStatus:
    """The status of one task.

    Attributes:
        task: the task.
        health: `SERVING`, `NOT_SERVING` or `SERVICE_UNKNOWN`.
        champion: the version that answers; None if there is none yet, or it is not known.
        champion_accuracy: on the hold-out, in [0, 1]; None if it was not measured.
        versions: the number of versions; None if the database is away.
        canaries: the versions that answer a share of the callers.
        problem: what is wrong, and what to do; empty if nothing is.
        awaiting_approval: the newest version that waits for an approval, if it is newer than the
            champion.
    """

    task: str
    health: str
    champion: int | None
    champion_accuracy: float | None
    versions: int | None
    canaries: tuple[int, ...] = ()
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

    @property
    def database_is_away(self) -> bool:
        """Whether the server could not reach its database."""
        return any(task.versions is None for task in self.tasks)


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
    settings = None if address else settings_with_tasks()
    database_is_away = False
    try:
        found = _wait(address, time.monotonic() + wait)
        _print(found, as_json)
        database_is_away = found.database_is_away
    finally:
        if settings is not None and not database_is_away:
            note_pending_migration(settings)
    if not found.serving:
        raise CommandFailed(_not_serving(found))


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
        served = {each.task: each for each in _served(client, address)}
        tasks = [
            _task_status(client, served.get(task, ServedTask(task=task)))
            for task in (served if address else load_settings().tasks)
        ]
        return Status(health_of(client, ""), tasks, [] if address else _processes())


def _served(client: TidemillClient, address: str) -> list[ServedTask]:
    """Return the server's tasks; none if this folder's server is of a release without the list."""
    try:
        with translated_errors():
            return served_tasks(client)
    except TidemillError as error:
        if address or error.code is not StatusCode.UNIMPLEMENTED:
            raise
        return []


def _processes() -> "list[ProcessStatus]":
    if missing_module() is not None:  # only the client is installed: no stack can run here
        return []
    from tidemill_core.supervisor import read_processes

    return list(read_processes(load_settings().state_dir))


def _print(found: Status, as_json: bool) -> None:
    if as_json:
        print_json({"serving": found.serving, **asdict(found)})
        return
    columns = ("task", "health", "champion", "accuracy", "versions")
    rows = [(Text("(server)"), _colored(found.health), "", "", ""), *map(_row, found.tasks)]
    print_table(columns, rows, empty="")
    _print_processes(found.processes)
    for task in found.tasks:
        if task.awaiting_approval:
            say(unapproved(task.task, task.awaiting_approval))


def _print_processes(processes: "list[ProcessStatus]") -> None:
    if processes:
        stdout().print()
        columns = ("process", "state", "pid", "recent deaths")
        rows = [(one.name, one.state, one.pid or "", one.deaths or "") for one in processes]
        print_table(columns, rows, empty="")


def _task_status(client: TidemillClient, served: ServedTask) -> TaskStatus:
    health = health_of(client, task_service(served.task))
    canaries = tuple(each.model_version for each in served.canaries)
    try:
        with translated_errors():
            return replace(_stored_status(client, served.task, health), canaries=canaries)
    except TidemillError as error:
        if error.reason != StorageUnavailable.reason:
            raise
        problem = f"{error.message}; tasks that are {_SERVING} still answer predictions"
        champion = served.champion or None
        return TaskStatus(served.task, health, champion, None, None, canaries, problem)


def _stored_status(client: TidemillClient, task: str, health: str) -> TaskStatus:
    request = ListModelVersionsRequest(task=task)
    versions = collect(client.models.ListModelVersions, request, _RECENT)
    champion = None if health == UNKNOWN else _champion(client, task)
    accuracy = None if champion is None else champion.measures.get("accuracy")
    number = None if champion is None else champion.model_version
    problem = _problem(client, task, health)
    waiting = awaiting_approval(versions, number)
    return TaskStatus(task, health, number, accuracy, len(versions), (), problem, waiting)


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
    if health == UNKNOWN:
        return f"the server does not know {task}: `tidemill restart` makes it read its settings"
    return why_unserved(client, task)


def _row(task: TaskStatus) -> tuple[object, ...]:
    none = "unknown" if task.versions is None else "none yet"
    champion = f"version {task.champion}" if task.champion else none
    serving = ", ".join([champion, *(f"canary {each}" for each in task.canaries)])
    accuracy = "" if task.champion_accuracy is None else percent(task.champion_accuracy)
    versions = "" if task.versions is None else task.versions
    return task.task, _colored(task.health), serving, accuracy, versions


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
