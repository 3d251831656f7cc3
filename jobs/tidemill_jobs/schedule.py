"""When jobs run by themselves: APScheduler queues runs, unique by the moment they stand for."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.cron import CronTrigger
from sqlalchemy.exc import SQLAlchemyError

from tidemill_core.clock import Clock
from tidemill_core.domain.job import Trigger
from tidemill_core.errors import ConfigurationError, StorageUnavailable, TidemillError
from tidemill_core.settings import ScheduleSettings
from tidemill_core.storage.jobs import RunRequest
from tidemill_core.storage.storage import Storage
from tidemill_jobs.catalogue import CATALOGUE, crontab

# Growing spans to look back over: a trigger tells only the next time after a given one.
_LOOK_BACK = tuple(
    timedelta(seconds=s) for s in (61, 3_660, 90_000, 700_000, 2_800_000, 32_000_000)
)
RETRY_AFTER = timedelta(seconds=10)
"""How long the database is left alone after it could not take a run."""
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NUMBERED_DAYS = re.compile(r"(?P<first>\*|[0-7])(?:-(?P<last>[0-7]))?(?:/(?P<step>[1-9]))?")
_ANY_TIME = datetime(2000, 1, 1, tzinfo=UTC)

log = structlog.get_logger()

_running: "Schedule | None" = None


def fire(job: str, task: str) -> None:
    """What APScheduler calls; it keeps calls by name, so it cannot be a method."""
    if _running is not None:
        _running.queue(job, task, Trigger.SCHEDULE)


def previous_fire_time(trigger: CronTrigger, now: datetime) -> datetime | None:
    """The last moment up to `now` at which a trigger fires; None if over a year ago."""
    for span in _LOOK_BACK:
        found = None
        for moment in _fire_times(trigger, now - span, now):
            found = moment
        if found is not None:
            return found.astimezone(UTC)
    return None


def _fire_times(trigger: CronTrigger, start: datetime, end: datetime) -> Iterator[datetime]:
    moment = trigger.get_next_fire_time(None, start)
    while moment is not None and moment <= end:
        yield moment
        moment = trigger.get_next_fire_time(moment, moment + timedelta(microseconds=1))


class _Scheduler(BackgroundScheduler):  # type: ignore[misc]  # it has no types
    """Outlives a database that is away: APScheduler's thread would end for good.

    What it could not note stays due, and is fired for the same moment again.
    """

    def _process_jobs(self) -> float | None:
        try:
            wait_seconds: float | None = super()._process_jobs()
        except SQLAlchemyError as error:
            log.warning("schedule_waits", detail=str(error))
            return RETRY_AFTER.total_seconds()
        return wait_seconds


class Schedule:
    """The schedule of all tasks. At most one process may have it started: the lease's holder.

    Raises:
        ConfigurationError: a crontab expression is wrong; names it.
    """

    def __init__(
        self, settings: ScheduleSettings, tasks: list[str], storage: Storage, clock: Clock
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._tasks = tasks
        self._triggers = dict(_triggers(settings))
        self._scheduler: _Scheduler | None = None
        self._retry_at: datetime | None = None

    @property
    def started(self) -> bool:
        """Whether it fires."""
        return self._scheduler is not None

    def start(self) -> None:
        """Catch up what was missed, then fire on time.

        Raises:
            StorageUnavailable: the database is away; nothing was started.
        """
        global _running
        _running = self
        self.catch_up()
        store = SQLAlchemyJobStore(engine=self._storage.database.engine)
        self._scheduler = _Scheduler(jobstores={"default": store}, timezone=UTC)
        try:
            self._scheduler.start(paused=True)
            self._fill(self._scheduler)
        except SQLAlchemyError as error:
            self.stop()
            raise StorageUnavailable(str(error)) from error
        self._scheduler.resume()

    def _fill(self, scheduler: _Scheduler) -> None:
        wanted = {f"{job}:{task}": (job, task) for job in self._triggers for task in self._tasks}
        for stored in scheduler.get_jobs():
            if stored.id not in wanted:
                stored.remove()
        for job_id, (job, task) in wanted.items():
            scheduler.add_job(
                fire,
                self._triggers[job],
                args=(job, task),
                id=job_id,
                replace_existing=True,
                coalesce=True,
                misfire_grace_time=None,
            )

    def stop(self) -> None:
        """Fire no more."""
        global _running
        _running = None
        if self._scheduler is not None and self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        self._scheduler = None

    def tick(self) -> None:
        """Queue what could not be queued at its time.

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
        """Queue one run for each job whose last moment passed unseen, however many did."""
        now = self._clock()
        for job, trigger in self._triggers.items():
            due = previous_fire_time(trigger, now)
            for task in self._tasks:
                known_since = self._storage.jobs.first_create_time(task)
                seen = self._storage.jobs.latest_fire_time(job, task)
                if due is None or known_since is None or due < known_since:
                    continue
                if seen is None or seen < due:
                    self.queue(job, task, Trigger.CATCH_UP)

    def queue(self, job: str, task: str, trigger: Trigger) -> None:
        """Queue the run that stands for the job's last moment; once, whoever asks again."""
        now = self._clock()
        fire_time = previous_fire_time(self._triggers[job], now)
        try:
            self._storage.jobs.enqueue(RunRequest(job, task, trigger, fire_time), now)
        except TidemillError as error:
            self._retry_at = now + RETRY_AFTER
            log.error(
                "run_not_queued",
                job=job,
                task=task,
                reason=error.reason,
                detail=error.detail or str(error),
            )


def _triggers(settings: ScheduleSettings) -> Iterator[tuple[str, CronTrigger]]:
    for known in CATALOGUE:
        expression = crontab(known.job, settings)
        if not expression:
            continue
        try:
            yield known.job, trigger_of(expression)
        except ValueError as error:
            message = f"schedule.{known.job}: {expression!r} is not a crontab expression: {error}"
            raise ConfigurationError(message) from error


def trigger_of(expression: str) -> CronTrigger:
    """What fires as a crontab expression says, in UTC; its days of the week count from Sunday.

    Raises:
        ValueError: it is none, or never fires.
    """
    fields = expression.split()
    fields[4:5] = [",".join(map(_named_days, day.split(","))) for day in fields[4:5]]
    trigger = CronTrigger.from_crontab(" ".join(fields), timezone=UTC)
    if trigger.get_next_fire_time(None, _ANY_TIME) is None:
        raise ValueError("there is no such day")
    return trigger


def _named_days(item: str) -> str:
    """Crontab counts days from Sunday, APScheduler from Monday; both know their names."""
    found = _NUMBERED_DAYS.fullmatch(item)
    if item == "*" or found is None:
        return item
    first, last, step = found.groups()
    start = 0 if first == "*" else int(first)
    end = int(last) if last else 6 if step else start
    return ",".join(_DAYS[day % 7] for day in range(start, end + 1, int(step or 1))) or item
