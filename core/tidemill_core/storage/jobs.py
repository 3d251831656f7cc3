"""Job runs: the queue between callers and the jobs process."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from tidemill_core.domain.job import ASKED_BY_PEOPLE, PUBLISHING_JOBS, Job, JobRun, JobRunState
from tidemill_core.domain.job_parameters import JobParameters, parameters_of
from tidemill_core.errors import TaskGone
from tidemill_core.storage.database import Database, Page, row_by_id
from tidemill_core.storage.job_rows import find_run, find_runs, get_run, run_in, run_of_row
from tidemill_core.storage.schema import job_runs, jobs, joined_requests


@dataclass(frozen=True)
class RunRequest:
    """A request for a run.

    Attributes:
        job: the job to run.
        task: the task to run it for.
        trigger: what asks for it; a `Trigger`.
        fire_time: the scheduled time that it covers; a job's runs for a task have distinct ones.
        request_id: a repeated id returns the same run; empty makes each request a new one.
        parameters: what the run is to do; None for the job's defaults.
        reason: why it is started, in a sentence; may be empty.
    """

    job: str
    task: str
    trigger: str
    fire_time: datetime | None = None
    request_id: str = ""
    parameters: JobParameters | None = None
    reason: str = ""


class JobStore:
    """The tables of jobs and their runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_catalog(self, catalog: Sequence[Job]) -> None:
        """Replace the catalog of jobs."""
        with self._database.write(alone_on=jobs) as connection:
            connection.execute(delete(jobs))
            if catalog:
                connection.execute(jobs.insert(), [asdict(job) for job in catalog])

    def catalog(self) -> list[Job]:
        """Return the jobs, ordered by name."""
        with self._database.read() as connection:
            rows = connection.execute(select(jobs).order_by(jobs.c.job)).mappings()
            return [Job(**row) for row in rows]

    def enqueue(self, request: RunRequest, now: datetime) -> JobRun:
        """Queue a run, or join the queued run of that job and task with the same parameters.

        A joined run also covers the request's scheduled time; if a person asks, it takes their
        trigger. A repeated request id or scheduled time returns the run of the first request.
        """
        waiting = _is_of(request.job, request.task) & (job_runs.c.state == JobRunState.QUEUED)
        parameters = request.parameters or parameters_of(request.job, {})
        with self._database.write(alone_on=job_runs) as connection:
            if (repeated := _repeated(connection, request)) is not None:
                return repeated
            for queued in find_runs(connection, waiting):
                if queued.parameters == parameters:
                    return _join(connection, queued, request)
            run_id = uuid.uuid4().hex
            values = {
                **asdict(request),
                "request_id": request.request_id or None,
                "parameters": {} if parameters is None else asdict(parameters),
                "run_id": run_id,
                "state": JobRunState.QUEUED,
                "progress": 0.0,
                "message": "waiting for its turn",
                "result": {},
                "error": "",
                "cancel_requested": False,
                "create_time": now,
            }
            connection.execute(job_runs.insert(), values)
            return get_run(connection, run_id)

    def claim(self, now: datetime) -> JobRun | None:
        """Start a queued run whose job is not running for its task; None if there is none.

        No two `PUBLISHING_JOBS` run for a task at a time.
        Runs that people asked for come first, then the oldest. Concurrent calls get different
        runs.
        """
        running = job_runs.alias("running")
        busy = select(running.c.run_id).where(
            running.c.state == JobRunState.RUNNING,
            running.c.task == job_runs.c.task,
            (running.c.job == job_runs.c.job)
            | (running.c.job.in_(PUBLISHING_JOBS) & job_runs.c.job.in_(PUBLISHING_JOBS)),
        )
        queued = select(job_runs.c.run_id).where(
            job_runs.c.state == JobRunState.QUEUED, ~busy.exists()
        )
        people_first = job_runs.c.trigger.in_(ASKED_BY_PEOPLE).desc()
        following = queued.order_by(people_first, job_runs.c.sequence).limit(1)
        start = {"start_time": now, "heartbeat_time": now, "message": "starting"}
        with self._database.write(alone_on=job_runs) as connection:
            run_id = connection.execute(following).scalar_one_or_none()
            if run_id is None:
                return None
            begun = run_in(JobRunState.QUEUED, run_id).values(state=JobRunState.RUNNING, **start)
            connection.execute(begun)
            return get_run(connection, run_id)

    def beat(self, run_id: str, progress: float, message: str, now: datetime) -> JobRun | None:
        """Record a heartbeat and the progress of a run; None if it was closed meanwhile."""
        change = run_in(JobRunState.RUNNING, run_id)
        values = {"progress": progress, "message": message, "heartbeat_time": now}
        with self._database.write() as connection:
            alive = connection.execute(change.values(**values)).rowcount
            return get_run(connection, run_id) if alive else None

    def succeed(
        self, run_id: str, result: Mapping[str, Any], now: datetime, ending: str = "done"
    ) -> None:
        """Close a run that succeeded; `ending` says in a sentence how."""
        values = {"progress": 1.0, "message": ending, "result": dict(result)}
        self._close(run_id, JobRunState.SUCCEEDED, values, now)

    def fail(self, run_id: str, error: str, now: datetime) -> None:
        """Close a run that failed; `error` is `REASON: message`."""
        self._close(run_id, JobRunState.FAILED, {"message": "failed", "error": error}, now)

    def mark_canceled(self, run_id: str, now: datetime) -> None:
        """Close a run that was canceled."""
        self._close(run_id, JobRunState.CANCELLED, {"message": "canceled"}, now)

    def _close(
        self, run_id: str, state: JobRunState, values: dict[str, Any], now: datetime
    ) -> None:
        change = run_in(JobRunState.RUNNING, run_id).values(state=state, end_time=now, **values)
        with self._database.write() as connection:
            connection.execute(change)

    def cancel(self, run_id: str, now: datetime) -> tuple[JobRun, bool]:
        """Ask a run to stop, and return it and whether that changed it.

        A queued run is canceled immediately; one that ended or was asked before does not change.

        Raises:
            NotFound: there is no such run.
        """
        queued = run_in(JobRunState.QUEUED, run_id)
        canceled = {"state": JobRunState.CANCELLED, "message": "canceled", "end_time": now}
        running = run_in(JobRunState.RUNNING, run_id).where(~job_runs.c.cancel_requested)
        changes = queued.values(**canceled), running
        with self._database.write() as connection:
            done = [connection.execute(each.values(cancel_requested=True)) for each in changes]
            return get_run(connection, run_id), any(each.rowcount for each in done)

    def close_orphans(
        self, silent_since: datetime, now: datetime, alive: Sequence[str] = ()
    ) -> list[str]:
        """Close runs without a heartbeat since a time, except `alive`, and return their ids."""
        silent = (
            (job_runs.c.state == JobRunState.RUNNING)
            & (job_runs.c.heartbeat_time < silent_since)
            & job_runs.c.run_id.not_in(alive)
        )
        error = "ORPHANED: the process that ran it ended without reporting a result"
        return self._fail_all(silent, error, now)

    def close_gone(self, tasks: Collection[str], now: datetime) -> list[str]:
        """Close the queued runs of all tasks except `tasks`, and return their ids."""
        queued = job_runs.c.state == JobRunState.QUEUED
        gone = select(job_runs.c.task).where(queued, job_runs.c.task.not_in(tasks)).distinct()
        with self._database.read() as connection:
            errors = [TaskGone(task) for task in connection.execute(gone).scalars()]
        closed = []
        for error in errors:
            its = queued & (job_runs.c.task == error.task)
            closed += self._fail_all(its, f"{error.reason}: {error}", now)
        return closed

    def _fail_all(self, which: ColumnElement[bool], error: str, now: datetime) -> list[str]:
        values = {"state": JobRunState.FAILED, "message": "failed", "error": error}
        with self._database.write(alone_on=job_runs) as connection:
            found = connection.execute(select(job_runs.c.run_id).where(which)).scalars().all()
            connection.execute(update(job_runs).where(which).values(end_time=now, **values))
        return list(found)

    def get(self, run_id: str) -> JobRun:
        """Return the run with an id, or the only one whose id starts so. Raises as `row_by_id`."""
        with self._database.read() as connection:
            return run_of_row(row_by_id(connection, job_runs.c.run_id, run_id, "job run"))

    def page(self, job: str, task: str, page: Page) -> tuple[list[JobRun], str]:
        """Return a page of runs, newest first, and the next page's token."""
        return self._database.page(run_of_row, job_runs, page, job=job, task=task)

    def latest(self, job: str, task: str, states: Sequence[JobRunState]) -> JobRun | None:
        """Return the newest run of a job for a task that is in one of some states."""
        with self._database.read() as connection:
            return find_run(connection, _is_of(job, task) & job_runs.c.state.in_(states))

    def latest_fire_time(self, job: str, task: str) -> datetime | None:
        """Return the last scheduled time that a run of a job covers."""
        query = select(func.max(job_runs.c.fire_time, type_=job_runs.c.fire_time.type))
        with self._database.read() as connection:
            found: datetime | None = connection.scalar(query.where(_is_of(job, task)))
        return found

    def first_create_time(self, task: str) -> datetime | None:
        """Return when the first run of any job for a task was queued."""
        query = select(func.min(job_runs.c.create_time, type_=job_runs.c.create_time.type))
        with self._database.read() as connection:
            found: datetime | None = connection.scalar(query.where(job_runs.c.task == task))
        return found


def _is_of(job: str, task: str) -> ColumnElement[bool]:
    return (job_runs.c.job == job) & (job_runs.c.task == task)


def _repeated(connection: Connection, request: RunRequest) -> JobRun | None:
    # An empty request id is stored as NULL, and NULL equals nothing.
    name = request.request_id
    joined = select(joined_requests.c.run_id).where(joined_requests.c.request_id == name)
    same_request = (job_runs.c.request_id == name) | job_runs.c.run_id.in_(joined)
    if (found := find_run(connection, same_request)) is not None or request.fire_time is None:
        return found
    same_time = _is_of(request.job, request.task) & (job_runs.c.fire_time == request.fire_time)
    return find_run(connection, same_time)


def _join(connection: Connection, run: JobRun, request: RunRequest) -> JobRun:
    times = [time for time in (run.fire_time, request.fire_time) if time is not None]
    trigger = request.trigger if request.trigger in ASKED_BY_PEOPLE else run.trigger
    change = run_in(JobRunState.QUEUED, run.run_id)
    values = {"trigger": trigger, "reason": run.reason or request.reason}
    connection.execute(change.values(**values, fire_time=max(times, default=None)))
    if request.request_id:
        joined = {"request_id": request.request_id, "run_id": run.run_id}
        connection.execute(joined_requests.insert(), joined)
    return get_run(connection, run.run_id)
