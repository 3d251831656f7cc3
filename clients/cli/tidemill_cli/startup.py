"""The progress of each task to its first answer, from the database and the server."""

from dataclasses import dataclass
from typing import Self

from tidemill_cli.connection import new_client
from tidemill_cli.health import health_of, task_service
from tidemill_cli.target import target_of
from tidemill_cli.unserved import (
    damaged_champion,
    database_away,
    no_first_model,
    trouble_of,
    unapproved,
)
from tidemill_client import TidemillError
from tidemill_core.clock import system_clock
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.domain.model import ModelState, ModelVersion
from tidemill_core.errors import StorageUnavailable
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings
from tidemill_core.storage.storage import Storage, open_storage

# The supervisor is blocked for as long.
_LOOK_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True)
class TaskStartup:
    """The progress of a task.

    Attributes:
        task: the task.
        serving: whether it answers.
        fraction: the progress of its first training, in [0, 1].
        message: the current step.
        new_error: why it will not answer, and what to do; empty if there is no error or it was
            reported before.
    """

    task: str
    serving: bool
    fraction: float
    message: str
    new_error: str = ""


class Startup:
    """The tasks of a stack that is starting."""

    def __init__(self, settings: Settings) -> None:
        self._tasks = list(settings.tasks)
        self._database_url = settings.effective_database_url
        self._storage: Storage | None = None
        self._client = new_client(target_of(""))
        self._begin = system_clock()
        self._repository = ModelRepository.of(settings)
        self._damage: dict[tuple[str, int], str | None] = {}
        self._reported: set[str] = set()
        self._away = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        if self._storage is not None:
            self._storage.database.close()

    def look(self) -> list[TaskStartup]:
        """Return the current progress of each task."""
        self._away = ""
        return [self._look_at(task) for task in self._tasks]

    def _look_at(self, task: str) -> TaskStartup:
        if self._serves(task):
            return TaskStartup(task, serving=True, fraction=1.0, message="serving")
        if self._away:  # an answer that does not come takes seconds: one task waits for it
            return self._waiting(task)
        try:
            storage = self._opened()
            deployment = storage.models.deployment(task)
            if deployment is not None:
                return self._with_champion(storage.models.get(task, deployment.champion))
            run = self._training(storage, task)
            waiting = storage.models.in_states(task, [ModelState.AWAITING_APPROVAL])
        except StorageUnavailable as error:
            self._away = database_away(error)
            return self._waiting(task)
        if waiting and (run is None or run.state.ended):
            version = waiting[-1].version
            todo, cause = unapproved(task, version), f"{task}/{version}"
            return self._unserved(task, "waits for an approval", todo, cause)
        if run is None:
            return TaskStartup(task, serving=False, fraction=0.0, message="starting")
        if trouble := trouble_of(run.state, run.error, run.result):
            return self._unserved(task, "not trained", no_first_model(task, trouble), run.run_id)
        return TaskStartup(task, serving=False, fraction=run.progress, message=run.message)

    def _waiting(self, task: str) -> TaskStartup:
        return self._unserved(task, "waits for the database", self._away, "database")

    def _opened(self) -> Storage:
        if self._storage is None:
            self._storage = open_storage(self._database_url, create=False)
        return self._storage

    def _with_champion(self, champion: ModelVersion) -> TaskStartup:
        task, version = champion.task, champion.version
        if (task, version) not in self._damage:  # reading the files takes long
            damage = self._repository.damage(task, champion.model_format, version)
            self._damage[task, version] = damage
        if damage := self._damage[task, version]:
            error = damaged_champion(task, version, damage)
            return self._unserved(task, "its champion is damaged", error, f"{task}/{version}")
        return TaskStartup(task, serving=False, fraction=1.0, message="loading its champion")

    def _serves(self, task: str) -> bool:
        try:
            health = health_of(self._client, task_service(task), _LOOK_TIMEOUT_SECONDS)
        except TidemillError:  # not up yet, or restarting
            return False
        return health == "SERVING"

    def _training(self, storage: Storage, task: str) -> JobRun | None:
        """Return the latest training unless it ended before this stack started."""
        run = storage.jobs.latest("retrain", task, list(JobRunState))
        if run is None or (run.end_time is not None and run.end_time < self._begin):
            return None
        return run

    def _unserved(self, task: str, message: str, error: str, cause: str) -> TaskStartup:
        new_error = "" if cause in self._reported else error
        self._reported.add(cause)
        return TaskStartup(task, serving=False, fraction=0.0, message=message, new_error=new_error)
