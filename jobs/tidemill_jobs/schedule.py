"""The schedule of jobs: APScheduler queues one run for each fire time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim

from tidemill_core.clock import Clock
from tidemill_core.domain.job import Trigger
from tidemill_core.errors import StorageUnavailable, TidemillError
from tidemill_core.settings import ScheduleSettings
from tidemill_core.storage.jobs import JobStore, RunRequest
from tidemill_jobs.catalog import CATALOG, crontab

RETRY_AFTER = timedelta(seconds=10)
"""How long after a failure to queue a run the schedule tries again."""

log = structlog.get_logger()


class CrontabTrigger(BaseTrigger):  # type: ignore[misc]  # it has no types
    """The fire times of a crontab expression, in UTC, as Debian's cron reads it."""

    def __init__(self, expression: str) -> None:
        self._expression = expression

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime | None:
        """Return the first fire time after `previous`, or after `now` if that is None."""
        return next(CronSim(self._expression, previous or now), None)

    def last_fire_time(self, now: datetime) -> datetime | None:
        """Return the last fire time up to `now`; None if there was none for 50 years."""
        next_second = now.replace(microsecond=0) + timedelta(seconds=1)
        return next(CronSim(self._expression, next_second, reverse=True), None)


class Schedule:
    """The schedule of all tasks. Only the process that holds the lease may start it."""

    def __init__(
        self, settings: ScheduleSettings, tasks: Sequence[str], store: JobStore, clock: Clock
    ) -> None:
        self._store = store
        self._clock = clock
        self._tasks = tasks
        expressions = ((known.job, crontab(known.job, settings)) for known in CATALOG)
        self._triggers = {job: CrontabTrigger(each) for job, each in expressions if each}
        self._scheduler: BackgroundScheduler | None = None
        self._retry_at: datetime | None = None

    @property
    def started(self) -> bool:
        """Whether the schedule fires."""
        return self._scheduler is not None

    def start(self) -> None:
        """Start to fire, and queue the runs that were missed.

        Raises:
            StorageUnavailable: the database is away; the schedule is not started.
        """
        self._scheduler = BackgroundScheduler(timezone=UTC)
        for job, trigger in self._triggers.items():
            for task in self._tasks:
                self._scheduler.add_job(
                    self.queue,
                    trigger,
                    args=(job, task, Trigger.SCHEDULE),
                    coalesce=True,
                    misfire_grace_time=None,
                )
        self._scheduler.start()
        try:
            self.catch_up()
        except StorageUnavailable:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop firing."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
        self._scheduler = None

    def tick(self) -> None:
        """Queue the runs that could not be queued at their fire time.

        Raises:
            StorageUnavailable: the database is still away; a later tick tries again.
        """
        now = self._clock()
        if self._retry_at is None or now < self._retry_at:
            return
        self._retry_at = None
        try:
            self.catch_up()
        except StorageUnavailable:
            self._retry_at = now + RETRY_AFTER
            raise

    def catch_up(self) -> None:
        """Queue one run for each job whose last fire time has none, however many it missed."""
        now = self._clock()
        for job, trigger in self._triggers.items():
            due = trigger.last_fire_time(now)
            for task in self._tasks:
                known_since = self._store.first_create_time(task)
                if due is None or known_since is None or due < known_since:
                    continue
                seen = self._store.latest_fire_time(job, task)
                if seen is None or seen < due:
                    self.queue(job, task, Trigger.CATCH_UP)

    def queue(self, job: str, task: str, trigger: Trigger) -> None:
        """Queue the run for a job's last fire time, unless it is queued already."""
        now = self._clock()
        fire_time = self._triggers[job].last_fire_time(now)
        try:
            self._store.enqueue(RunRequest(job, task, trigger, fire_time), now)
        except TidemillError as error:
            self._retry_at = now + RETRY_AFTER
            log.error(
                "run_not_queued",
                job=job,
                task=task,
                reason=error.reason,
                detail=error.detail or str(error),
            )
