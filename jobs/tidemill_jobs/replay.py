"""The jobs of a replay: one process does what is due when the replay asks."""

import time
from typing import NoReturn

import structlog

from tidemill_core.model_repository import ModelRepository
from tidemill_core.settings import Settings
from tidemill_core.simulated_clock import SimulatedClock
from tidemill_core.storage.storage import Storage
from tidemill_core.triton.control import TritonControl
from tidemill_jobs.catalog import catalog
from tidemill_jobs.execute import run_claimed
from tidemill_jobs.first_model import queue_first_models
from tidemill_jobs.monitoring.alerts.retrainings import watch_retrainings
from tidemill_jobs.monitoring.alerts.sender import Sender
from tidemill_jobs.release.rollout.queueing import queue_rollouts
from tidemill_jobs.release.serving import Reconciler
from tidemill_jobs.schedule import Schedule

_POLL_SECONDS = 0.002

log = structlog.get_logger()


class ReplayedJobs:
    """The process that schedules and runs the jobs of a replay.

    It does what `JobsProcess` and the processes of its runs do, in one process, because a replay
    has thousands of runs. The replay waits for it: the clock stands still meanwhile.
    """

    def __init__(
        self, settings: Settings, storage: Storage, triton: TritonControl, clock: SimulatedClock
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._triton = triton
        self._clock = clock
        self._started = clock()
        repository = ModelRepository.of(settings)
        self._reconciler = Reconciler(storage, repository, clock, lambda: True)
        self._sender = Sender(storage.alert_outbox, settings.alerts, clock)
        self._schedule = Schedule(settings.schedule, list(settings.tasks), storage.jobs, clock)

    def run(self) -> NoReturn:
        """Do what is due whenever the replay asks, until the process is ended."""
        self._storage.jobs.set_catalog(catalog(self._settings.schedule))
        while True:
            time.sleep(_POLL_SECONDS)
            if self._clock.asked:
                self._do_what_is_due()
                self._clock.settle()

    def _do_what_is_due(self) -> None:
        tasks, now = list(self._settings.tasks), self._clock()
        self._schedule.catch_up()
        queue_first_models(self._storage, tasks, self._started, now)
        queue_rollouts(self._storage, tasks, now)
        while (run := self._storage.jobs.claim(now)) is not None:
            log.info("run_started", job=run.job, task=run.task, run_id=run.run_id)
            run_claimed(run, self._settings, self._storage, self._triton, self._clock)
        for task in tasks:
            watch_retrainings(self._storage, self._settings.alerts, task, now)
        self._sender.tick()
        for server in self._triton.servers():
            self._reconciler.tick(server, tasks)
