"""The processes that schedule jobs and run them.

`python -m tidemill_jobs.main` schedules: it holds the lease, queues due runs and starts a process
for each. `… --run RUN_ID` is such a process. `… --clock FILE` does the runs of a replay itself.
`… --rebuild FOLDER` writes the rows of the dataset version in that folder again, and prints its
progress and its result as lines of JSON.
"""

import argparse
import json
import os
import signal
import sys
import threading
from datetime import datetime, timedelta
from pathlib import Path

import structlog

from tidemill_core.clock import system_clock
from tidemill_core.dataset_copies import DatasetCopies
from tidemill_core.errors import (
    ConfigurationError,
    DataError,
    NotFound,
    StorageUnavailable,
    TaskGone,
    TidemillError,
    TritonUnavailable,
)
from tidemill_core.loopback import keep_loopback_direct
from tidemill_core.model_repository import ModelRepository
from tidemill_core.private_files import keep_files_private
from tidemill_core.settings import Settings, load_settings, settings_with_tasks
from tidemill_core.simulated_clock import SimulatedClock
from tidemill_core.storage.job_pruning import prune_runs
from tidemill_core.storage.storage import Storage, open_storage, wait_for_storage
from tidemill_core.supervisor.lock import stack_runs
from tidemill_core.telemetry import configure_logging
from tidemill_core.triton.control import TritonControl
from tidemill_core.triton.control_key import control_key
from tidemill_jobs.catalog import CHECKS, YIELDING, catalog
from tidemill_jobs.execute import run_claimed
from tidemill_jobs.first_model import queue_first_models
from tidemill_jobs.leadership import Leadership
from tidemill_jobs.monitoring.alerts.retrainings import watch_retrainings
from tidemill_jobs.monitoring.alerts.sender import Sender
from tidemill_jobs.release.rollout.queueing import queue_rollouts
from tidemill_jobs.release.serving import Reconciler
from tidemill_jobs.replay import ReplayedJobs
from tidemill_jobs.runner import Runner
from tidemill_jobs.schedule import Schedule

TICK_SECONDS = 0.5
KEEP_CHECKS = timedelta(days=7)
"""How long the runs of checks are kept; their findings are in reports."""
PRUNE_EVERY = timedelta(days=1)
ALERT_SECONDS = 2.0
"""How often alerts are looked for and sent."""
_THREAD_STOP_SECONDS = 1.0
_NICEST = 19

log = structlog.get_logger()


class JobsProcess:
    """The process that schedules: it leads while it holds the lease, and otherwise waits for it."""

    def __init__(self, settings: Settings, storage: Storage, triton: TritonControl) -> None:
        self._settings = settings
        self._storage = storage
        self._started = system_clock()
        self._leadership = Leadership(storage.leases)
        self._runner = Runner(storage.jobs, system_clock)
        repository = ModelRepository.of(settings)
        self._triton = triton
        self._reconciler = Reconciler(storage, repository, system_clock, self._leadership.holds)
        self._sender = Sender(storage.alert_outbox, settings.alerts, system_clock)
        tasks = list(settings.tasks)
        self._schedule = Schedule(settings.schedule, tasks, storage.jobs, system_clock)
        self._prune_at = self._started

    def run(self, stopping: threading.Event) -> None:
        """Work until `stopping` is set."""
        # A load may take minutes, a receiver many seconds; the lease must be renewed meanwhile.
        threads = [
            threading.Thread(target=work, args=(stopping,), daemon=True)
            for work in (self._reconcile, self._send_alerts)
        ]
        for thread in threads:
            thread.start()
        while not stopping.wait(TICK_SECONDS):
            try:
                self._tick()
            except StorageUnavailable as error:
                log.warning("database_away", detail=error.detail or str(error))
        self._stop_leading()
        self._runner.stop()
        for thread in threads:
            thread.join(_THREAD_STOP_SECONDS)
        self._leadership.release()

    def _tick(self) -> None:
        self._runner.watch()
        now = system_clock()
        if not self._leadership.take():
            self._stop_leading()
            return
        tasks = list(self._settings.tasks)
        for step in (
            self._lead,
            lambda: self._prune(now),
            self._schedule.tick,
            lambda: queue_first_models(self._storage, tasks, self._started, now),
            lambda: queue_rollouts(self._storage, tasks, now),
            self._runner.start_queued,
        ):
            if self._leadership.holds():
                step()

    def _reconcile(self, stopping: threading.Event) -> None:
        """Reconcile what each Triton serves while this process leads, until `stopping` is set."""
        while not stopping.wait(TICK_SECONDS):
            try:
                self._reconciler.prepare()
                for server in self._triton.servers():
                    self._reconciler.tick(server, self._settings.tasks)
            except TritonUnavailable as error:
                log.warning("not_reconciled", detail=error.detail)
            except Exception:  # an unexpected error must not end the thread
                log.exception("not_reconciled")

    def _send_alerts(self, stopping: threading.Event) -> None:
        """Send alerts while this process leads, until `stopping` is set."""
        while not stopping.wait(ALERT_SECONDS):
            if not self._leadership.holds():
                continue
            try:
                self._sender.tick()
                for task in self._settings.tasks:
                    watch_retrainings(self._storage, self._settings.alerts, task, system_clock())
            except StorageUnavailable as error:
                log.warning("alerts_wait", detail=error.detail or str(error))
            except Exception:  # an unexpected error must not end the thread
                log.exception("alerts_not_sent")

    def _prune(self, now: datetime) -> None:
        if now < self._prune_at:
            return
        pruned = prune_runs(self._storage.database, CHECKS, now - KEEP_CHECKS)
        self._prune_at = now + PRUNE_EVERY
        log.info("runs_pruned", runs=pruned)

    def _lead(self) -> None:
        if self._schedule.started:
            return
        log.info("leading", holder=self._leadership.holder)
        self._storage.jobs.set_catalog(catalog(self._settings.schedule))
        for run_id in self._storage.jobs.close_gone(list(self._settings.tasks), system_clock()):
            log.warning("run_of_a_gone_task", run_id=run_id)
        self._schedule.start()

    def _stop_leading(self) -> None:
        self._leadership.stop()
        if self._schedule.started:
            log.info("not_leading", holder=self._leadership.holder)
            self._schedule.stop()


def rebuild_one(folder: Path, settings: Settings, storage: Storage) -> int:
    """Write the rows of a dataset version again and return the exit code."""
    # It imports Polars, which the process that schedules does not need.
    from tidemill_jobs.data.rebuild import rebuild

    try:
        task = folder.parent.name
        if task not in settings.tasks:
            raise TaskGone(task)
        rows = rebuild(
            folder,
            DatasetCopies.of(settings, storage.database.exclusive),
            settings.state_dir,
            storage.erasures,
            settings.tasks[task].labeling_functions,
            lambda done, message: _print(progress=done, message=message),
        )
        _print(rows=rows)
    except TidemillError as error:
        is_wrong = isinstance(error, ConfigurationError | DataError | NotFound)
        _print(reason=error.reason, error=str(error), is_wrong=is_wrong)
        return 1
    return 0


def _print(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def run_one(run_id: str, settings: Settings, storage: Storage, triton: TritonControl) -> int:
    """Do the work of a claimed run and return the exit code."""
    run = storage.jobs.get(run_id)
    if run.job in YIELDING:
        os.nice(_NICEST)
    return 0 if run_claimed(run, settings, storage, triton, system_clock) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tidemill_jobs.main", description=__doc__)
    parser.add_argument("--run", metavar="RUN_ID", help="do the work of one claimed run")
    parser.add_argument(
        "--rebuild", metavar="FOLDER", type=Path, help="write a dataset version's rows again"
    )
    parser.add_argument("--clock", metavar="FILE", type=Path, help="the clock of a replay")
    return parser.parse_args()


def main() -> int:
    """Run the process and return its exit code."""
    asked = _arguments()
    run_id: str | None = asked.run
    configure_logging("jobs" if run_id is None else "run")
    keep_files_private()
    keep_loopback_direct()
    stopping = threading.Event()
    try:
        # A rebuild names the missing task itself.
        settings = settings_with_tasks() if asked.rebuild is None else load_settings()
        url, create = settings.effective_database_url, not stack_runs(settings.state_dir)
        if asked.rebuild is not None:  # someone looks at it, and can try again
            return rebuild_one(asked.rebuild, settings, open_storage(url, create=create))
        if run_id is None:
            # The first process of a container ignores a signal without a handler.
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        storage = wait_for_storage(url, create=create)
        with TritonControl(settings.triton_target, control_key(settings)) as triton:
            if run_id is not None:
                return run_one(run_id, settings, storage, triton)
            if asked.clock is not None:  # a signal ends it, in the middle of a run too
                ReplayedJobs(settings, storage, triton, SimulatedClock(asked.clock)).run()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            JobsProcess(settings, storage, triton).run(stopping)
    except TidemillError as error:
        log.error("cannot_run_jobs", reason=error.reason, detail=error.detail or str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
