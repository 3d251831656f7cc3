"""The versions that Triton serves: those of the deployments, and a candidate during its trial."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from tidemill_core.clock import Clock
from tidemill_core.domain.job import PUBLISHING_JOBS, JobRunState
from tidemill_core.domain.model import MODEL_FILES, ModelState, ModelVersion, model_name
from tidemill_core.errors import DeadlineExceeded, ModelLoadFailed, TidemillError, Unavailable
from tidemill_core.model_repository import ModelRepository
from tidemill_core.storage.models import ModelStore
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.config import read_versions
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.served import by_model, configure
from tidemill_core.triton.server_control import ServerControl

UNLOAD_AFTER = timedelta(seconds=5)
"""How long a version stays loaded after a change; fronts notice it within a quarter of a second."""
_TICK_SECONDS = 2.0
_BACKOFF_SECONDS = 15.0

log = structlog.get_logger()


@dataclass(frozen=True)
class Serving:
    """The versions in the database, their files, and the Tritons that load them."""

    models: ModelStore
    repository: ModelRepository
    triton: TritonControl


def serve(serving: Serving, task: str, candidate: ModelVersion | None = None) -> None:
    """Make each Triton serve a task's trusted versions and, if given, a candidate.

    Raises:
        ModelLoadFailed: the candidate's files are damaged, or a Triton refuses a version and keeps
            the versions that it served before.
        TritonUnavailable: all Tritons are away. One that is away serves the versions when it
            starts again, by the configuration that this writes.
        ObjectStorageUnavailable: Triton reads object storage, which does not answer.
    """
    versions = serving.models.versions_to_serve(task)
    if candidate is not None:
        _check(serving.repository, candidate)
        versions.append(candidate)
    for name in configure(serving.repository, versions):
        _offer(serving.repository, name)
        serving.triton.load(name)
    for name in _unused(task, versions):
        serving.triton.unload(name)


def _offer(repository: ModelRepository, name: str) -> None:
    """Let a Triton that reads object storage find what config.pbtxt names."""
    if repository.stored is not None:
        repository.stored.offer(name)


def _check(repository: ModelRepository, candidate: ModelVersion) -> None:
    place = (candidate.task, candidate.model_format, candidate.version)
    if (damage := repository.damage(*place)) is not None:
        raise ModelLoadFailed(model_name(candidate.task, candidate.model_format), damage)


def _unused(task: str, versions: Sequence[ModelVersion]) -> list[str]:
    """Return the names of a task's models that have none of the versions."""
    names = {model_name(task, model_format) for model_format in MODEL_FILES}
    return sorted(names - by_model(versions).keys())


class Reconciler:
    """Corrects what a Triton serves after a rollback, a restart, or the death of a run.

    Args:
        storage: says which versions to serve.
        repository: their files.
        clock: the source of time.
        may_change: returns whether this process may change what is served. It may have been
            stopped for so long that another one does it.
    """

    def __init__(
        self,
        storage: Storage,
        repository: ModelRepository,
        clock: Clock,
        may_change: Callable[[], bool],
    ) -> None:
        self._storage = storage
        self._repository = repository
        self._clock = clock
        self._may_change = may_change
        self._next: dict[str, float] = {}

    def prepare(self) -> None:
        """Let a Triton that reads object storage start before there is a model."""
        if self._repository.stored is not None:
            self._repository.stored.prepare()

    def tick(self, triton: ServerControl, tasks: Iterable[str]) -> None:
        """Reconcile all tasks, every other second; a failure is tried again later."""
        if time.monotonic() < self._next.get(triton.address, 0.0):
            return
        self._wait(triton, _TICK_SECONDS)
        for task in tasks:
            try:
                if self._may_change():
                    self._repair(triton, task)
            except TidemillError as error:
                self._wait(triton, _BACKOFF_SECONDS)
                detail = error.detail or str(error)
                place = {"triton": triton.address, "task": task}
                log.warning("not_served", **place, reason=error.reason, detail=detail)
                if isinstance(error, Unavailable | DeadlineExceeded):
                    return  # the next task would wait for it just as long

    def _wait(self, triton: ServerControl, seconds: float) -> None:
        self._next[triton.address] = time.monotonic() + seconds

    def _repair(self, triton: ServerControl, task: str) -> None:
        trusted = self._storage.models.versions_to_serve(task)
        if self._is_changing(task):
            self._load_missing(triton, task, trusted)
            return
        for name, versions in by_model(trusted).items():
            self._repair_model(triton, name, versions)
        for name in _unused(task, trusted):
            if triton.ready_versions(name) and self._may_change():
                log.info("model_unloaded", model=name, triton=triton.address)
                triton.unload(name)

    def _is_changing(self, task: str) -> bool:
        """Return whether versions without traffic must stay loaded for now.

        A running retraining or import tests a candidate, and unloads it at its end. After a change
        of traffic, fronts ask for the old version until they notice the change.
        """
        running, jobs = [JobRunState.RUNNING], self._storage.jobs
        if any(jobs.latest(job, task, running) is not None for job in PUBLISHING_JOBS):
            return True
        deployment = self._storage.models.deployment(task)
        return deployment is not None and self._clock() - deployment.create_time < UNLOAD_AFTER

    def _load_missing(
        self, triton: ServerControl, task: str, trusted: Sequence[ModelVersion]
    ) -> None:
        """Load the trusted versions that Triton does not serve, and unload nothing.

        They are missing after a restart of Triton, or when a person recalls a version.
        """
        for name, versions in by_model(trusted).items():
            wanted = {version.version for version in versions}
            if wanted <= triton.ready_versions(name):
                continue
            stay = set(read_versions(self._repository.root, name)) - wanted
            others = [
                version
                for version in self._storage.models.in_states(task, list(ModelState))
                if version.version in stay or version.state is ModelState.CANDIDATE
            ]
            self._repair_model(triton, name, [*versions, *by_model(others).get(name, ())])

    def _repair_model(
        self, triton: ServerControl, name: str, versions: Sequence[ModelVersion]
    ) -> None:
        ready = triton.ready_versions(name)
        if ready == {version.version for version in versions} or not self._may_change():
            return
        configure(self._repository, versions)
        configured = frozenset(read_versions(self._repository.root, name))
        if ready == configured:  # the rest is damaged, and `configure` has logged it
            self._wait(triton, _BACKOFF_SECONDS)
            return
        log.info("serving_repaired", model=name, versions=sorted(configured), triton=triton.address)
        _offer(self._repository, name)
        triton.load(name)
