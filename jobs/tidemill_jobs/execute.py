"""The execution of one claimed run."""

import os
import threading
import time
from collections.abc import Callable

import structlog

from tidemill_core.clock import Clock
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.domain.model import ModelState
from tidemill_core.durable import DISK_FULL, cause
from tidemill_core.errors import StorageUnavailable, TaskGone, TidemillError
from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings
from tidemill_core.storage.jobs import JobStore
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.catalog import definition
from tidemill_jobs.context import JobContext, Progress, Result, RunCanceled

HEARTBEAT_SECONDS = 1.0
_CLOSE_ATTEMPTS = 60

log = structlog.get_logger()


class Heart:
    """The heartbeat of a run: records that it is alive, and learns that it was canceled."""

    def __init__(self, run_id: str, store: JobStore, clock: Clock) -> None:
        self._run_id = run_id
        self._store = store
        self._clock = clock
        self._progress = 0.0
        self._message = "starting"
        self._canceled = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_ended, daemon=True)

    def start(self) -> None:
        """Start the heartbeat."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the heartbeat."""
        self._ended.set()
        self._thread.join()

    def progress(self, fraction: float, message: str) -> None:
        """Set how far the run is.

        Raises:
            RunCanceled: someone asked the run to stop.
        """
        self._progress, self._message = min(max(fraction, 0.0), 1.0), message
        if self._canceled.is_set():
            raise RunCanceled

    def _beat_until_ended(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            try:
                now = self._clock()
                run = self._store.beat(self._run_id, self._progress, self._message, now)
            except StorageUnavailable as error:
                log.warning("heartbeat_missed", detail=error.detail or str(error))
                continue
            if run is None and not self._ended.is_set():
                # Another process took it for dead and closed it; its successor may be running.
                log.error("run_was_closed", run_id=self._run_id)
                os._exit(1)
            if run is not None and run.cancel_requested:
                self._canceled.set()


def _close(heart: Heart, close: Callable[[], None]) -> None:
    """Close the run, and try again while the database is away."""
    heart.stop()
    for _ in range(_CLOSE_ATTEMPTS):
        try:
            close()
        except StorageUnavailable as error:
            log.warning("run_not_closed_yet", detail=error.detail or str(error))
            time.sleep(HEARTBEAT_SECONDS)
        else:
            return


def failure(error: Exception) -> str:
    """Return an error as people read it on the run."""
    if isinstance(error, TidemillError):
        return f"{error.reason}: {error}"
    if _is_of_full_disk(error):
        file = getattr(error, "filename", None)
        place = f" of {file}" if file else ""
        return f"DISK_FULL: the disk{place} is full: free some space, and run the job again"
    return f"{type(error).__name__}: {error}"


def _is_of_full_disk(error: Exception) -> bool:
    """Return whether the system, a library that wraps its error, or SQLite says so."""
    if getattr(error, "errno", None) in DISK_FULL or "disk is full" in str(error):
        return True
    return cause(error) in map(os.strerror, DISK_FULL)


def ending(result: Result) -> str:
    """Return how a run that succeeded ended, as people read it on the run."""
    match result:
        case {"state": ModelState.REJECTED, "model_version": version, "reason": reason}:
            return f"version {version} was rejected: {reason}"
        case {"state": ModelState.AWAITING_APPROVAL, "model_version": version}:
            return f"version {version} waits for an approval"
        case {"skipped": reason}:
            return f"skipped: {reason}"
        case {"summary": str(sentence)} | {"decision": _, "reason": str(sentence)} if sentence:
            return sentence
    return "done"


def execute(run: JobRun, work: Callable[[Progress], Result], store: JobStore, clock: Clock) -> bool:
    """Do a run's work, close the run, and return whether it succeeded."""
    heart = Heart(run.run_id, store, clock)
    heart.start()
    try:
        result = work(heart.progress)
    except RunCanceled:
        _close(heart, lambda: store.mark_canceled(run.run_id, clock()))
        return False
    except Exception as error:
        log.exception("run_failed", job=run.job, task=run.task, run_id=run.run_id)
        message = failure(error)
        _close(heart, lambda: store.fail(run.run_id, message, clock()))
        return False
    _close(heart, lambda: store.succeed(run.run_id, result, clock(), ending(result)))
    return True


def run_claimed(
    run: JobRun, settings: Settings, storage: Storage, triton: TritonControl, clock: Clock
) -> bool:
    """Do the work of a claimed run, and return whether it succeeded."""
    if run.state is not JobRunState.RUNNING:  # while this process waited for the database
        log.error("run_was_closed", run_id=run.run_id)
        return False

    def work(progress: Progress) -> Result:
        if run.task not in settings.tasks:
            raise TaskGone(run.task)
        context = JobContext(
            task=run.task,
            run_id=run.run_id,
            settings=settings,
            storage=storage,
            repository=ModelRepository.of(settings),
            triton=triton,
            clock=clock,
            progress=progress,
            parameters=run.parameters,
            reason=run.reason or f"requested by {run.trigger}",
        )
        job = definition(run.job)
        if job.needs_classes and context.task_settings.kind == "preference":
            return {"skipped": "the task has preference pairs, and its models have no classes"}
        return job.load()(context)

    return execute(run, work, storage.jobs, clock)
