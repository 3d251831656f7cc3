"""Rows of the table of runs as values."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Update, select, update

from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.domain.job_parameters import parameters_of
from tidemill_core.errors import NotFound
from tidemill_core.storage.schema import job_runs

_INTERNAL = ("sequence", "request_id", "heartbeat_time")


def find_run(connection: Connection, condition: ColumnElement[bool]) -> JobRun | None:
    """Return the newest run that meets a condition; None if there is none."""
    query = select(job_runs).where(condition).order_by(job_runs.c.sequence.desc()).limit(1)
    row = connection.execute(query).mappings().first()
    return None if row is None else run_of_row(row)


def find_runs(connection: Connection, condition: ColumnElement[bool]) -> list[JobRun]:
    """Return the runs that meet a condition, newest first."""
    query = select(job_runs).where(condition).order_by(job_runs.c.sequence.desc())
    return [run_of_row(row) for row in connection.execute(query).mappings()]


def get_run(connection: Connection, run_id: str) -> JobRun:
    """Return one run.

    Raises:
        NotFound: no run has that id.
    """
    found = find_run(connection, job_runs.c.run_id == run_id)
    if found is None:
        raise NotFound("job run", run_id)
    return found


def run_in(state: JobRunState, run_id: str) -> Update:
    """Return an update of a run that applies only in a state."""
    return update(job_runs).where(job_runs.c.run_id == run_id, job_runs.c.state == state)


def run_of_row(row: Mapping[Any, Any]) -> JobRun:
    """Return a row as a value."""
    values = {name: value for name, value in row.items() if name not in _INTERNAL}
    parameters = parameters_of(values["job"], values["parameters"])
    return JobRun(**{**values, "state": JobRunState(values["state"]), "parameters": parameters})
