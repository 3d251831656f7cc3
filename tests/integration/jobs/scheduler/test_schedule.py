"""The schedule, on real databases."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import event, inspect, text

from tests.integration.jobs.scheduler.conftest import TASK, Workspace, now, until
from tests.plugins.postgres import Postgres
from tidemill_core.domain.job import JobRun
from tidemill_core.errors import StorageUnavailable
from tidemill_core.settings import ScheduleSettings
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.jobs import MAX_QUEUED, RunRequest
from tidemill_core.storage.storage import Storage, open_storage
from tidemill_jobs.schedule import RETRY_AFTER, Schedule

NIGHT = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
SILENT = dict.fromkeys(ScheduleSettings.model_fields, "")
NIGHTLY = ScheduleSettings(**{**SILENT, "check_drift": "0 2 * * *"})


class Clock:
    """A clock that a test sets."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        """The moment."""
        return self.moment


def _runs(storage: Storage, job: str = "check_drift") -> list[JobRun]:
    return storage.jobs.page(job, TASK, Page())[0]


def _stored(storage: Storage) -> list[str]:
    with storage.database.read() as connection:
        query = "SELECT id FROM apscheduler_jobs ORDER BY id"
        return list(connection.execute(text(query)).scalars())


def _make_due(schedule: Schedule, seconds: float) -> BackgroundScheduler:
    """Let the nightly job's moment be near; the scheduler that is to notice it."""
    scheduler = schedule._scheduler
    assert scheduler is not None
    scheduler.modify_job(f"check_drift:{TASK}", next_run_time=now() + timedelta(seconds=seconds))
    return scheduler


def _next(storage: Storage) -> datetime:
    with storage.database.read() as connection:
        query = text("SELECT next_run_time FROM apscheduler_jobs")
        return datetime.fromtimestamp(connection.execute(query).scalar_one(), UTC)


@contextmanager
def _started(
    storage: Storage, settings: ScheduleSettings, clock: Clock, *tasks: str
) -> Iterator[Schedule]:
    schedule = Schedule(settings, list(tasks or (TASK,)), storage, clock)
    schedule.start()
    try:
        yield schedule
    finally:
        schedule.stop()


@pytest.mark.parametrize("nights", [1, 10])
def test_missed_nights_are_caught_up_once(any_workspace: Workspace, nights: int) -> None:
    """However many nights were missed, one run is queued, for the last of them."""
    storage = any_workspace.storage
    storage.jobs.enqueue(RunRequest("retrain", TASK, "test"), NIGHT - timedelta(days=nights))
    clock = Clock(NIGHT + timedelta(hours=1))
    for _ in range(2):
        with _started(storage, NIGHTLY, clock):
            pass
    (run,) = _runs(storage)
    assert (run.trigger, run.fire_time) == ("catch_up", NIGHT)
    assert inspect(storage.database.engine).has_table("apscheduler_jobs")


def test_a_night_that_was_seen_is_not_repeated(workspace: Workspace) -> None:
    """A moment that has a run, whatever became of it, is not caught up."""
    workspace.storage.jobs.enqueue(RunRequest("check_drift", TASK, "schedule", NIGHT), NIGHT)
    with _started(workspace.storage, NIGHTLY, Clock(NIGHT + timedelta(hours=23))):
        assert len(_runs(workspace.storage)) == 1
    with _started(workspace.storage, NIGHTLY, Clock(NIGHT + timedelta(hours=25))):
        assert len(_runs(workspace.storage)) == 2


def test_nothing_before_the_task_was_known(workspace: Workspace) -> None:
    """A task has missed no night before its first run of any job was queued."""
    storage = workspace.storage
    clock = Clock(NIGHT + timedelta(hours=1))
    with _started(storage, NIGHTLY, clock):
        assert _runs(storage) == []
    storage.jobs.enqueue(RunRequest("retrain", TASK, "test"), NIGHT + timedelta(seconds=1))
    with _started(storage, NIGHTLY, clock):
        assert _runs(storage) == []


def test_two_schedules_queue_one_run(any_workspace: Workspace) -> None:
    """Two schedules that fire for the same moment, over connections of their own, queue it once."""
    second = open_storage(any_workspace.database_url)
    clock = Clock(NIGHT)
    schedules = [Schedule(NIGHTLY, [TASK], s, clock) for s in (any_workspace.storage, second)]
    for schedule in schedules:
        schedule.queue("check_drift", TASK, "schedule")
        schedule.catch_up()
    assert len(_runs(second)) == 1
    second.database.close()


def test_the_job_store_follows_the_settings(any_workspace: Workspace) -> None:
    """Jobs and tasks that left the settings leave the job store, and a new crontab holds."""
    storage, clock = any_workspace.storage, Clock(now())
    both = ScheduleSettings(**{**SILENT, "check_drift": "0 2 * * *", "check_latency": "* * * * *"})
    with _started(storage, both, clock, TASK, "other"):
        assert len(_stored(storage)) == 4
    with _started(storage, NIGHTLY, clock):
        assert _stored(storage) == [f"check_drift:{TASK}"]
        assert _next(storage).hour == 2
    with _started(storage, ScheduleSettings(**{**SILENT, "check_drift": "0 5 * * *"}), clock):
        assert _stored(storage) == [f"check_drift:{TASK}"]
        assert _next(storage).hour == 5


def test_a_due_job_fires(any_workspace: Workspace) -> None:
    """APScheduler calls what is due: a run is queued, and the next moment noted."""
    storage = any_workspace.storage
    with _started(storage, NIGHTLY, Clock(NIGHT)) as schedule:
        _make_due(schedule, 0)
        until(lambda: _runs(storage))
        until(lambda: _next(storage) > now())
    (run,) = _runs(storage)
    assert (run.trigger, run.fire_time) == ("schedule", NIGHT)


def _fill_up(database: Database) -> None:
    """Let SQLite's file not grow any more: no page is left for a longer row."""
    database.engine.dispose()
    event.listen(database.engine, "connect", _no_more_pages)


def _no_more_pages(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA max_page_count = 1")


def _use_free_space(storage: Storage) -> None:
    for _ in range(MAX_QUEUED):
        storage.jobs.enqueue(RunRequest("fill", TASK, "x" * 200), NIGHT)


def test_a_full_database_costs_no_moment(workspace: Workspace) -> None:
    """A trigger that fires while the database is full is logged; its run comes when it is not."""
    storage, clock = workspace.storage, Clock(NIGHT)
    with _started(storage, NIGHTLY, clock) as schedule:
        storage.jobs.enqueue(RunRequest("retrain", TASK, "test"), NIGHT)
        _fill_up(storage.database)
        with pytest.raises(StorageUnavailable, match="full"):
            _use_free_space(storage)
        schedule.queue("check_drift", TASK, "schedule")
        assert _runs(storage) == []
        event.remove(storage.database.engine, "connect", _no_more_pages)
        storage.database.engine.dispose()
        schedule.tick()
        assert _runs(storage) == []  # not again at once
        clock.moment += RETRY_AFTER
        schedule.tick()
        assert [run.fire_time for run in _runs(storage)] == [NIGHT]


def test_a_full_queue_costs_no_moment(workspace: Workspace) -> None:
    """A moment for which the queue has no room is caught up once it has."""
    storage, clock = workspace.storage, Clock(NIGHT)
    waiting = [
        storage.jobs.enqueue(RunRequest("retrain", TASK, "test"), NIGHT) for _ in range(MAX_QUEUED)
    ]
    with _started(storage, NIGHTLY, clock) as schedule:
        assert _runs(storage) == []
        clock.moment += RETRY_AFTER
        schedule.tick()
        assert _runs(storage) == []
        storage.jobs.cancel(waiting[0].run_id, NIGHT)
        clock.moment += RETRY_AFTER
        schedule.tick()
        assert [run.fire_time for run in _runs(storage)] == [NIGHT]


def test_the_scheduler_outlives_its_database(postgres: Postgres) -> None:
    """A moment that comes while the database is away is kept, and fires when it is back."""
    storage = open_storage(postgres.url(postgres.new_database()))
    with _started(storage, NIGHTLY, Clock(NIGHT)) as schedule:
        scheduler = _make_due(schedule, 0.5)
        postgres.stop()
        with pytest.raises(StorageUnavailable):
            schedule.catch_up()
        time.sleep(0.6)
        postgres.start()
        scheduler.wakeup()  # it would look again after ten seconds
        until(lambda: _runs(storage))
    storage.database.close()


def test_no_start_without_a_database(workspace: Workspace) -> None:
    """A schedule that cannot write its jobs has not started, and starts when it can."""
    schedule = Schedule(NIGHTLY, [TASK], workspace.storage, Clock(NIGHT))
    writer = sqlite3.connect(workspace.folder / "tidemill.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable):
        schedule.start()
    assert not schedule.started
    writer.execute("ROLLBACK")
    writer.close()
    schedule.start()
    assert schedule.started
    schedule.stop()


def test_the_scheduler_outlives_a_write_that_fails(workspace: Workspace) -> None:
    """A moment that could be neither queued nor noted fires again; once is enough."""
    storage = workspace.storage
    with _started(storage, NIGHTLY, Clock(NIGHT)) as schedule:
        scheduler = _make_due(schedule, 0.5)
        writer = sqlite3.connect(workspace.folder / "tidemill.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")
        time.sleep(6.5)  # it gives up after five
        assert _runs(storage) == []
        writer.execute("ROLLBACK")
        writer.close()
        scheduler.wakeup()
        until(lambda: _runs(storage))
        until(lambda: _next(storage) > now())
        assert len(_runs(storage)) == 1
