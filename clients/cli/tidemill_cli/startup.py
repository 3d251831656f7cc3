"""The way of each task to its first answer, as the database and the server tell it."""

from dataclasses import dataclass
from types import TracebackType
from typing import Self

from tidemill_cli.connection import new_client
from tidemill_cli.status import health_of, task_service
from tidemill_cli.target import target_of
from tidemill_client import TidemillError
from tidemill_core.clock import system_clock
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.domain.model import ModelState
from tidemill_core.errors import StorageUnavailable
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import open_storage

# The supervisor waits meanwhile.
_LOOK_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class TaskStartup:
    """How far a task is.

    Attributes:
        task: the task.
        serving: whether it answers.
        fraction: of the training of its first model, in [0, 1].
        message: what is being done.
        new_error: why its training failed, the first time it is seen; empty otherwise.
    """

    task: str
    serving: bool
    fraction: float
    message: str
    new_error: str = ""


class Startup:
    """Looks at the tasks of a stack that is starting."""

    def __init__(self, settings: Settings) -> None:
        self._tasks = list(settings.tasks)
        self._storage = open_storage(settings.effective_database_url)
        self._client = new_client(target_of(""))
        self._begin = system_clock()
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.close()
        self._storage.database.close()

    def look(self) -> list[TaskStartup]:
        """How far each task is now."""
        return [self._look_at(task) for task in self._tasks]

    def _look_at(self, task: str) -> TaskStartup:
        if self._serves(task):
            return TaskStartup(task, serving=True, fraction=1.0, message="serving")
        try:
            champion = self._has_champion(task)
            run = None if champion else self._training(task)
        except StorageUnavailable as error:
            return TaskStartup(task, serving=False, fraction=0.0, message=str(error))
        if champion:
            return TaskStartup(task, serving=False, fraction=1.0, message="loading its champion")
        if run is None:
            return TaskStartup(task, serving=False, fraction=0.0, message="starting")
        if trouble := trouble_of(run):
            return self._untrained(run, trouble)
        return TaskStartup(task, serving=False, fraction=run.progress, message=run.message)

    def _serves(self, task: str) -> bool:
        try:
            health = health_of(self._client, task_service(task), _LOOK_TIMEOUT_SECONDS)
        except TidemillError:  # not up yet, or being restarted
            return False
        return health == "SERVING"

    def _has_champion(self, task: str) -> bool:
        return self._storage.models.deployment(task) is not None

    def _training(self, task: str) -> JobRun | None:
        """The latest training, if it is not one that ended before this stack was started."""
        run = self._storage.jobs.latest("retrain", task, list(JobRunState))
        if run is None or (run.end_time is not None and run.end_time < self._begin):
            return None
        return run

    def _untrained(self, run: JobRun, trouble: str) -> TaskStartup:
        new_error = "" if run.run_id in self._told else trouble
        self._told.add(run.run_id)
        return TaskStartup(
            run.task, serving=False, fraction=0.0, message="not trained", new_error=new_error
        )


def trouble_of(training: JobRun) -> str:
    """Why a training leads to no champion; empty where it may, or did."""
    if training.state is JobRunState.FAILED:
        return training.error
    if training.state is JobRunState.CANCELLED:
        return "it was cancelled"
    if training.result.get("state") == ModelState.REJECTED:
        return f"its model was rejected: {training.result.get('reason', '')}"
    return ""
