"""Two processes that schedule jobs over one database, as several machines share it."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import select

from tests.integration.jobs.scheduler.conftest import TASK, Workspace
from tests.plugins.waiting import wait_until
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.storage.schema import job_runs
from tidemill_jobs.leadership import LEASE_LENGTH
from tidemill_jobs.runner import ORPHANED_AFTER

RUNNING, SUCCEEDED, FAILED = JobRunState.RUNNING, JobRunState.SUCCEEDED, JobRunState.FAILED


@pytest.fixture
def workspace(postgres_url: str, tmp_path: Path) -> Iterator[Workspace]:
    """A workspace over PostgreSQL."""
    made = Workspace(tmp_path, postgres_url)
    yield made
    made.end()


def _running(workspace: Workspace) -> Counter[tuple[str, str]]:
    query = select(job_runs.c.job, job_runs.c.task).where(job_runs.c.state == RUNNING)
    with workspace.storage.database.read() as connection:
        return Counter((job, task) for job, task in connection.execute(query))


def _ask_again(workspace: Workspace, runs: dict[str, JobRun]) -> list[JobRun]:
    """Queue runs and return those that have ended; no job runs twice at once for a task."""
    for job in ("build_dataset", "check_feedback"):
        run = workspace.queue(job)
        runs[run.run_id] = run
    assert max(_running(workspace).values(), default=0) <= 1
    return [run for run in map(workspace.get, runs.values()) if run.state.ended]


def test_one_leads_and_another_takes_over(workspace: Workspace) -> None:
    """Of two processes one works; if it is killed, its runs die and the other takes over."""
    workspace.champion(TASK, "held")
    first = workspace.start()
    wait_until(lambda: workspace.leader(), "a process leads", 90)
    leader = workspace.leader()
    second = workspace.start()
    held = workspace.queue(task="held")
    runs: dict[str, JobRun] = {}
    wait_until(lambda: len(_ask_again(workspace, runs)) >= 3, "three runs have ended", 120)
    assert psutil.Process(second.pid).children() == []
    assert workspace.leader() == leader
    children = psutil.Process(first.pid).children()
    assert children
    first.kill()
    killed = time.monotonic()
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert (len(gone), alive) == (len(children), [])
    wait_until(
        lambda: workspace.leader() != leader,
        "another process leads",
        LEASE_LENGTH.total_seconds() + 2,
    )
    workspace.wait(held, FAILED, seconds=ORPHANED_AFTER.total_seconds() + 5)
    assert time.monotonic() - killed < ORPHANED_AFTER.total_seconds() + 5
    assert workspace.get(held).error.startswith("ORPHANED: ")
    wait_until(lambda: len(_ask_again(workspace, runs)) >= 7, "seven runs have ended", 120)
    wait_until(
        lambda: all(workspace.get(run).state.ended for run in runs.values()),
        "all runs have ended",
        60,
    )
    states = Counter(workspace.get(run).state for run in runs.values())
    assert states[FAILED] <= 1  # the one that ran when its process was killed
    assert states[SUCCEEDED] >= len(runs) - 1
