"""The schedule, on real databases."""

import os
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import event

from tests.integration.jobs.scheduler.conftest import TASK, Workspace, now
from tests.plugins.postgres import Postgres
from tests.plugins.waiting import wait_until
from tidemill_core.domain.job import JobRun, Trigger
from tidemill_core.errors import StorageUnavailable
from tidemill_core.settings import ScheduleSettings
from tidemill_core.storage.database import Database, Page
from tidemill_core.storage.jobs import RunRequest
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
        """Return the time."""
        return self.moment


def _runs(storage: Storage, job: str = "check_drift") -> list[JobRun]:
    return storage.jobs.page(job, TASK, Page())[0]


def _make_due(schedule: Schedule) -> None:
    """Make the nightly job due now."""
    assert schedule._scheduler is not None
    (job,) = schedule._scheduler.get_jobs()
    job.modify(next_run_time=now())


@contextmanager
def _started(
    storage: Storage, settings: ScheduleSettings, clock: Clock, *tasks: str
) -> Iterator[Schedule]:
    schedule = Schedule(settings, tasks or (TASK,), storage.jobs, clock)
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


def test_a_night_that_was_seen_is_not_repeated(workspace: Workspace) -> None:
    """A fire time that has a run in any state is not caught up."""
    run = workspace.storage.jobs.enqueue(RunRequest("check_drift", TASK, "schedule", NIGHT), NIGHT)
    workspace.storage.jobs.cancel(run.run_id, NIGHT)
    with _started(workspace.storage, NIGHTLY, Clock(NIGHT + timedelta(hours=23))):
        assert len(_runs(workspace.storage)) == 1
    with _started(workspace.storage, NIGHTLY, Clock(NIGHT + timedelta(hours=25))):
        assert len(_runs(workspace.storage)) == 2


def test_nothing_before_the_task_was_known(workspace: Workspace) -> None:
    """A task misses no night before its first run of any job is queued."""
    storage = workspace.storage
    clock = Clock(NIGHT + timedelta(hours=1))
    with _started(storage, NIGHTLY, clock):
        assert _runs(storage) == []
    storage.jobs.enqueue(RunRequest("retrain", TASK, "test"), NIGHT + timedelta(seconds=1))
    with _started(storage, NIGHTLY, clock):
        assert _runs(storage) == []


def test_two_schedules_queue_one_run(any_workspace: Workspace) -> None:
    """Two schedules with their own connections queue one run for the same fire time."""
    second = open_storage(any_workspace.database_url)
    clock = Clock(NIGHT)
    stores = (any_workspace.storage.jobs, second.jobs)
    schedules = [Schedule(NIGHTLY, [TASK], store, clock) for store in stores]
    for schedule in schedules:
        schedule.queue("check_drift", TASK, Trigger.SCHEDULE)
        schedule.catch_up()
    assert len(_runs(second)) == 1
    second.database.close()


def test_a_due_job_fires(any_workspace: Workspace) -> None:
    """APScheduler fires a due job, and a run is queued."""
    storage = any_workspace.storage
    with _started(storage, NIGHTLY, Clock(NIGHT)) as schedule:
        _make_due(schedule)
        wait_until(lambda: _runs(storage), "a run is queued")
    (run,) = _runs(storage)
    assert (run.trigger, run.fire_time) == ("schedule", NIGHT)


class _Bomb:
    """An object that makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self._folder),)


def test_nothing_in_the_database_is_unpickled(any_workspace: Workspace, tmp_path: Path) -> None:
    """The table that earlier releases unpickled is not read."""
    storage, folder = any_workspace.storage, tmp_path / "unpickled"
    kept = sqlalchemy.Table(
        "apscheduler_jobs",
        sqlalchemy.MetaData(),
        sqlalchemy.Column("id", sqlalchemy.Unicode(191), primary_key=True),
        sqlalchemy.Column("next_run_time", sqlalchemy.Float(25), index=True),
        sqlalchemy.Column("job_state", sqlalchemy.LargeBinary, nullable=False),
    )
    values = {
        "id": f"check_drift:{TASK}",
        "next_run_time": 1.0,
        "job_state": pickle.dumps(_Bomb(folder)),
    }
    with storage.database.write() as connection:
        kept.create(connection)
        connection.execute(kept.insert(), values)
    with _started(storage, NIGHTLY, Clock(NIGHT)) as schedule:
        _make_due(schedule)
        wait_until(lambda: _runs(storage), "a run is queued")
    assert not folder.exists()


def _fill_up(database: Database) -> None:
    """Stop SQLite's file from growing, so no page is left for a longer row."""
    database.engine.dispose()
    event.listen(database.engine, "connect", _no_more_pages)


def _no_more_pages(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA max_page_count = 1")


def _use_free_space(storage: Storage, longest: int) -> None:
    """Add rows, whose triggers have this many letters, until the database is full."""
    for number in range(100):
        storage.jobs.enqueue(RunRequest(f"fill{longest}{number}", TASK, "x" * longest), NIGHT)


def test_a_full_database_costs_no_moment(workspace: Workspace) -> None:
    """A job that fires while the database is full is logged, and queued once there is room."""
    storage, clock = workspace.storage, Clock(NIGHT)
    with _started(storage, NIGHTLY, clock) as schedule:
        storage.jobs.enqueue(RunRequest("retrain", TASK, "test"), NIGHT)
        _fill_up(storage.database)
        for longest in (200, 1):
            with pytest.raises(StorageUnavailable, match="full"):
                _use_free_space(storage, longest)
        schedule.queue("check_drift", TASK, Trigger.SCHEDULE)
        assert _runs(storage) == []
        event.remove(storage.database.engine, "connect", _no_more_pages)
        storage.database.engine.dispose()
        schedule.tick()
        assert _runs(storage) == []  # not again at once
        clock.moment += RETRY_AFTER
        schedule.tick()
        assert [run.fire_time for run in _runs(storage)] == [NIGHT]


def test_the_schedule_outlives_its_database(postgres: Postgres) -> None:
    """It does not start while the database is away; a fire time meanwhile is caught up."""
    storage, clock = open_storage(postgres.url(postgres.new_database())), Clock(NIGHT)
    storage.jobs.enqueue(RunRequest("retrain", TASK, "test"), NIGHT - timedelta(hours=1))
    schedule = Schedule(NIGHTLY, [TASK], storage.jobs, clock)
    postgres.stop()
    try:
        with pytest.raises(StorageUnavailable):
            schedule.start()
        assert not schedule.started
        schedule.queue("check_drift", TASK, Trigger.SCHEDULE)
    finally:
        postgres.start()
    clock.moment += RETRY_AFTER
    schedule.tick()
    (run,) = _runs(storage)
    assert (run.trigger, run.fire_time) == ("catch_up", NIGHT)
    storage.database.close()
