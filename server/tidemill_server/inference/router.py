"""The choice of versions that answer, from a regularly refreshed snapshot of deployments."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import structlog

from tidemill_core.domain.model import Deployment, ModelVersion, model_name
from tidemill_core.domain.traffic import route
from tidemill_core.errors import (
    DataError,
    FailedPrecondition,
    InvalidArgument,
    NoChampion,
    TidemillError,
)
from tidemill_core.model_repository import ModelRepository
from tidemill_core.rewards import REWARD_LABELS
from tidemill_core.settings import TaskSettings
from tidemill_core.storage.models import ModelStore
from tidemill_core.stored_models import ModelVersionMissing
from tidemill_core.text import TextEncoder
from tidemill_server.inference.query import UnknownModelVersion

REFRESH_SECONDS = 0.25

log = structlog.get_logger()


class ChampionUnreadable(FailedPrecondition):
    """The task has a champion, but its files are missing or damaged."""

    reason = "CHAMPION_UNREADABLE"

    def __init__(self, task: str) -> None:
        super().__init__(
            f"the champion of task {task!r} cannot be read; the server's log says why. "
            "Restore its files, or make another version answer: "
            f"tidemill models rollback {task}, or tidemill jobs run retrain --task {task}"
        )


@dataclass(frozen=True)
class ServedModel:
    """A model version that can answer.

    Attributes:
        name: its model's name in Triton.
        labels: its labels in the order of its output.
        encoder: encodes texts as its input.
        abstain_below: predictions with a lower confidence are marked as abstained.
    """

    task: str
    name: str
    version: int
    labels: tuple[str, ...]
    encoder: TextEncoder
    abstain_below: float


@dataclass(frozen=True)
class TaskRoutes:
    """The versions that answer a task's requests.

    Attributes:
        deployment: the current deployment.
        models: all served versions, by number.
        known_labels: the labels of all served versions and of the settings.
    """

    deployment: Deployment
    models: Mapping[int, ServedModel]
    known_labels: frozenset[str]

    @cached_property
    def shadows(self) -> tuple[ServedModel, ...]:
        """The versions that get a copy."""
        found = (self.models.get(version) for version in self.deployment.shadows)
        return tuple(model for model in found if model is not None)


class Choice(NamedTuple):
    """The router's choice for one query.

    Attributes:
        model: the version that answers.
        propensity: the probability in (0, 1] of this choice.
        shadows: versions that get a copy.
    """

    model: ServedModel
    propensity: float
    shadows: tuple[ServedModel, ...]


class Router:
    """The chooser of versions. Only `refresh` and `watch` wait for the database.

    Attributes:
        reads: how often the database was read.
        tasks: the settings of the tasks, by name.
    """

    def __init__(
        self, models: ModelStore, repository: ModelRepository, tasks: Mapping[str, TaskSettings]
    ) -> None:
        self._store = models
        self._repository = repository
        self.tasks = tasks
        # None for a task whose champion cannot be read.
        self._routes: dict[str, TaskRoutes | None] = {}
        self._refreshing = asyncio.Lock()
        self.reads = 0

    async def watch(self) -> None:
        """Refresh forever; while the database is away, the routes stay as they are."""
        while True:
            try:
                await self.refresh()
            except TidemillError as error:
                log.warning(
                    "routes_not_refreshed", reason=error.reason, detail=error.detail or str(error)
                )
            await asyncio.sleep(REFRESH_SECONDS)

    async def refresh(self) -> None:
        """Read the current deployments.

        Raises:
            StorageUnavailable: the database is away; the routes stay as they are.
        """
        reads = self.reads
        async with self._refreshing:
            if self.reads > reads:
                return  # another refresh began to read after this call
            self.reads += 1
            self._routes = await asyncio.to_thread(self._read, self._routes)

    def task_settings(self, task: str, field: str = "task") -> TaskSettings:
        """Return the settings of the task that a field of the request names.

        Raises:
            InvalidArgument: the task does not exist.
        """
        settings = self.tasks.get(task)
        if settings is None:
            known = ", ".join(sorted(self.tasks)) or "none"
            problem = f"there is no task {task[:100]!r}" if task else "name the task"
            rule = f"{problem}; there are: {known}"
            raise InvalidArgument("UNKNOWN_TASK", field, rule)
        return settings

    def routes(self, task: str) -> TaskRoutes:
        """Return the versions that answer a task's requests.

        Raises:
            InvalidArgument: the task does not exist.
            NoChampion: the task has no champion yet.
            ChampionUnreadable: its champion cannot be read.
        """
        self.task_settings(task)
        if task not in self._routes:
            raise NoChampion(task)
        routes = self._routes[task]
        if routes is None:
            raise ChampionUnreadable(task)
        return routes

    def choose(self, task: str, model_version: int, routing_key: str) -> Choice:
        """Choose a version for a query; without a routing key, at random.

        Raises:
            InvalidArgument: the task does not exist, or does not serve `model_version`.
            NoChampion: the task has no champion yet.
            ChampionUnreadable: its champion cannot be read.
        """
        routes = self.routes(task)
        if model_version:
            pinned = routes.models.get(model_version)
            if pinned is None:
                served = ", ".join(map(str, sorted(routes.models)))
                rule = f"version {model_version} of {task!r} is not served; these are: {served}"
                raise UnknownModelVersion("model_version", rule)
            return Choice(pinned, 1.0, ())
        deployment = routes.deployment
        version, propensity = deployment.champion, 1.0
        if deployment.canaries:
            version, propensity = route(deployment, routing_key or secrets.token_hex(8))
        return Choice(routes.models[version], propensity, routes.shadows)

    def _read(self, before: Mapping[str, TaskRoutes | None]) -> dict[str, TaskRoutes | None]:
        after: dict[str, TaskRoutes | None] = {}
        for task, (deployment, versions) in self._store.serving().items():
            if task not in self.tasks:
                continue
            held = before.get(task)
            known = {} if held is None else held.models
            try:
                after[task] = self._task_routes(deployment, versions, known)
            except DataError as error:
                log.error("routes_unusable", task=task, reason=error.reason, detail=str(error))
                after[task] = held
        return after

    def _task_routes(
        self,
        deployment: Deployment,
        versions: Sequence[ModelVersion],
        known: Mapping[int, ServedModel],
    ) -> TaskRoutes:
        """Return the routes of a task; known versions are not loaded again.

        Raises:
            DataError: the champion or a canary is missing or cannot be read.
        """
        answering = {deployment.champion, *deployment.canaries}
        models: dict[int, ServedModel] = {}
        for version in versions:
            try:
                models[version.version] = known.get(version.version) or self._load(version)
            except DataError as error:
                if version.version in answering:
                    raise
                log.warning("version_unusable", task=version.task, detail=str(error))
        if missing := answering - models.keys():
            versions_missing = f"versions {sorted(missing)} of {deployment.task!r}"
            raise ModelVersionMissing(versions_missing, "not in the catalog")
        labels = frozenset(label for model in models.values() for label in model.labels)
        accepted = self.tasks[deployment.task].labels.accepted()
        return TaskRoutes(deployment, models, labels | accepted)

    def _load(self, version: ModelVersion) -> ServedModel:
        place = (version.task, version.model_format, version.version)
        stored, folder = self._repository.stored, self._repository.folder(*place)
        # A front that starts waits for its models. Later, other tasks' routes do not wait.
        if self.reads > 1 and stored is not None and stored.fetch_meanwhile(folder):
            raise ModelVersionMissing(folder, "it is being fetched")
        manifest, encoder = self._repository.manifest(*place), self._repository.encoder(*place)
        rates = manifest.labels == REWARD_LABELS
        if rates is not (self.tasks[version.task].kind == "preference"):
            detail = f"version {version.version} of {version.task!r} is not of the task's kind"
            raise DataError("KIND_CHANGED", f"{detail}: train a new version")
        name = model_name(version.task, version.model_format)
        threshold = max(self.tasks[version.task].abstain_below, manifest.abstain_below)
        return ServedModel(version.task, name, version.version, manifest.labels, encoder, threshold)
