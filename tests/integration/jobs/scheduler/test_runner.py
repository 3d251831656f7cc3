"""The runner: a process for each run, and how runs end."""

import signal
import sqlite3
import subprocess
import sys
import time
from datetime import datetime, timedelta

import psutil
import pytest

from tests.integration.jobs.scheduler.conftest import Workspace, now
from tests.plugins.waiting import wait_until
from tidemill_core.domain.job import JobRunState
from tidemill_core.storage.database import Page
from tidemill_core.storage.engine import BUSY_TIMEOUT_SECONDS
from tidemill_jobs.execute import execute
from tidemill_jobs.runner import (
    CANCEL_GRACE,
    MAX_CONCURRENT_RUNS,
    ORPHANED_AFTER,
    Runner,
)

FAILED, CANCELLED = JobRunState.FAILED, JobRunState.CANCELLED
RUNNING, SUCCEEDED = JobRunState.RUNNING, JobRunState.SUCCEEDED


class Clock:
    """A clock that a test sets forward."""

    ahead = timedelta()

    def __call__(self) -> datetime:
        """Return the time."""
        return now() + self.ahead


def _sleeper(_run_id: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "60"])


def _tick(runner: Runner) -> None:
    runner.watch()
    runner.start_queued()


def test_a_run_that_succeeds(workspace: Workspace) -> None:
    """A run's process does the job and records its result."""
    runner = Runner(workspace.storage.jobs, now, workspace.start_run)
    run = workspace.queue()
    _tick(runner)
    done = workspace.wait(run, SUCCEEDED, FAILED)
    assert done.state is SUCCEEDED, workspace.said()
    assert (done.progress, done.message, done.error) == (1.0, "done", "")
    assert done.result["rows_kept"] == 20
    assert done.create_time <= (done.start_time or now()) <= (done.end_time or now())
    runner.stop()
    assert workspace.get(run) == done


def test_a_run_whose_version_was_rejected_says_so(workspace: Workspace) -> None:
    """The run SUCCEEDED, and its message names the rejected version and the reason."""
    run = workspace.queue("retrain")
    claimed = workspace.storage.jobs.claim(now())
    assert claimed is not None
    judged = {"model_version": 3, "state": "REJECTED", "reason": "gate accuracy: 0.51"}
    assert execute(claimed, lambda _progress: judged, workspace.storage.jobs, now)
    done = workspace.get(run)
    assert (done.state, done.message) == (
        SUCCEEDED,
        "version 3 was rejected: gate accuracy: 0.51",
    )


@pytest.mark.parametrize(
    ("job", "task", "error"),
    [
        ("build_dataset", "broken", "SOURCE_MISSING: "),
        ("build_dataset", "unknown", "TASK_GONE: tidemill.toml has no task 'unknown'"),
        ("dance", "support", "JOB_NOT_FOUND: there is no job 'dance'"),
    ],
)
def test_a_run_that_fails(workspace: Workspace, job: str, task: str, error: str) -> None:
    """A run that cannot do its work is FAILED with `REASON: message`, whatever was raised."""
    with (workspace.folder / "tidemill.toml").open("a") as file:
        file.write("\n[tasks.broken]\nsources = [{ path = 'nowhere.csv' }]\n")
    run = workspace.queue(job, task)
    claimed = workspace.storage.jobs.claim(now())
    assert claimed is not None
    assert workspace.start_run(run.run_id).wait(60) == 1
    failed = workspace.get(run)
    assert failed.state is FAILED
    assert failed.error.startswith(error)
    assert failed.end_time is not None


def test_a_process_that_dies(workspace: Workspace) -> None:
    """A run whose process was killed, or ended without closing it, is FAILED with its exit code."""
    codes = iter(["import time; time.sleep(60)", "raise SystemExit(3)"])
    children: list[subprocess.Popen[bytes]] = []

    def start(_run_id: str) -> "subprocess.Popen[bytes]":
        children.append(subprocess.Popen([sys.executable, "-S", "-c", next(codes)]))
        return children[-1]

    runner = Runner(workspace.storage.jobs, now, start)
    killed, silent = workspace.queue(), workspace.queue("check_latency")
    _tick(runner)
    children[0].kill()

    def ended() -> bool:
        runner.watch()
        return all(workspace.get(run).state is FAILED for run in (killed, silent))

    wait_until(ended, "both runs are FAILED")
    assert workspace.get(killed).error == "DIED: its process ended with exit code -9"
    log = "the log of jobs says why"
    assert workspace.get(silent).error == f"DIED: its process ended with exit code 3; {log}"


def test_so_many_and_no_more(workspace: Workspace) -> None:
    """The runner starts the allowed number of runs, and another one when one ends."""
    started: list[str] = []

    def start(run_id: str) -> "subprocess.Popen[bytes]":
        started.append(run_id)
        return _sleeper(run_id)

    runner = Runner(workspace.storage.jobs, now, start)
    runs = [workspace.queue(f"job{n}") for n in range(MAX_CONCURRENT_RUNS + 1)]
    _tick(runner)
    _tick(runner)
    assert started == [run.run_id for run in runs[:MAX_CONCURRENT_RUNS]]
    runner.stop()
    assert [workspace.get(run).state for run in runs] == [
        *[CANCELLED] * MAX_CONCURRENT_RUNS,
        JobRunState.QUEUED,
    ]
    assert not [child for child in psutil.Process().children() if "sleep" in child.cmdline()]


def test_stopping_kills_what_does_not_end(workspace: Workspace) -> None:
    """A process that ignores SIGTERM is killed when the runner stops."""
    deaf = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print(); time.sleep(60)"
    children: list[subprocess.Popen[bytes]] = []

    def start(_run_id: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-S", "-u", "-c", deaf]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()  # it is deaf now
        child.stdout.close()
        children.append(child)
        return child

    runner = Runner(workspace.storage.jobs, now, start)
    run = workspace.queue()
    _tick(runner)
    runner.stop()
    assert children[0].returncode == -signal.SIGKILL
    assert workspace.get(run).state is CANCELLED


def test_a_stubborn_run_is_killed_after_the_grace(workspace: Workspace) -> None:
    """A run that ignores a cancellation is killed after its grace period."""
    clock = Clock()
    runner = Runner(workspace.storage.jobs, clock, workspace.start_run)
    run = workspace.queue(task="held")
    _tick(runner)
    wait_until(
        lambda: workspace.get(run).message == "reading the sources", "the run reads its sources"
    )
    workspace.storage.jobs.cancel(run.run_id, now())
    runner.watch()
    time.sleep(0.2)  # nothing happens before its grace is over
    assert workspace.processes[0].poll() is None
    clock.ahead = CANCEL_GRACE + timedelta(seconds=1)
    runner.watch()
    assert workspace.processes[0].wait(60) == -signal.SIGKILL
    runner.watch()
    assert workspace.get(run).state is CANCELLED


def test_a_run_stops_when_asked(workspace: Workspace) -> None:
    """A run shows its progress, and ends soon after it is canceled."""
    runner = Runner(workspace.storage.jobs, now, workspace.start_run)
    run = workspace.queue(task="held")
    _tick(runner)
    wait_until(
        lambda: workspace.get(run).message == "reading the sources", "the run reads its sources"
    )
    assert workspace.get(run).state is RUNNING
    workspace.storage.jobs.cancel(run.run_id, now())
    workspace.until_heard(run)
    workspace.let_go()
    assert workspace.wait(run, CANCELLED, FAILED, SUCCEEDED).state is CANCELLED
    assert workspace.storage.datasets.page("held", Page())[0] == []


def test_a_locked_database_ends_no_run(workspace: Workspace) -> None:
    """A run survives a database that stays locked, and then shows its progress again."""
    runner = Runner(workspace.storage.jobs, now, workspace.start_run)
    run = workspace.queue(task="held")
    _tick(runner)
    wait_until(
        lambda: workspace.get(run).message == "reading the sources", "the run reads its sources"
    )
    writer = sqlite3.connect(workspace.folder / "tidemill.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    time.sleep(BUSY_TIMEOUT_SECONDS + 2)  # longer than a statement waits for the lock
    writer.execute("ROLLBACK")
    writer.close()
    _tick(runner)
    assert workspace.get(run).state is RUNNING
    workspace.let_go()
    assert workspace.wait(run, SUCCEEDED, FAILED).state is SUCCEEDED


def test_a_silent_run_with_a_process_is_no_orphan(workspace: Workspace) -> None:
    """A runner does not close its own living run, however long it has sent no heartbeat."""
    clock = Clock()
    runner = Runner(workspace.storage.jobs, clock, _sleeper)
    run = workspace.queue()
    _tick(runner)
    clock.ahead = 10 * ORPHANED_AFTER
    _tick(runner)
    assert workspace.get(run).state is RUNNING
    runner.stop()


def test_an_orphan_is_closed_and_ends_itself(workspace: Workspace) -> None:
    """Another runner closes a run without a heartbeat; its process ends when it resumes."""
    clock = Clock()
    run = workspace.queue(task="held")
    assert workspace.storage.jobs.claim(now()) is not None
    late = workspace.start_run(run.run_id)
    wait_until(
        lambda: workspace.get(run).message == "reading the sources", "the run reads its sources"
    )
    late.send_signal(signal.SIGSTOP)
    other = Runner(workspace.storage.jobs, clock, _sleeper)
    clock.ahead = ORPHANED_AFTER - timedelta(seconds=5)
    _tick(other)
    assert workspace.get(run).state is RUNNING
    clock.ahead = ORPHANED_AFTER + timedelta(seconds=2)
    waiting = workspace.queue(task="held")
    _tick(other)
    assert workspace.get(run).error.startswith("ORPHANED: ")
    assert workspace.get(waiting).state is RUNNING
    late.send_signal(signal.SIGCONT)
    assert late.wait(60) == 1
    assert workspace.get(run).error.startswith("ORPHANED: ")
    other.stop()


def test_a_run_dies_with_its_runner(workspace: Workspace) -> None:
    """A run's process ends when the process that started it is killed."""
    code = (
        "import time\n"
        "from tidemill_jobs.runner import start_process\n"
        f"print(start_process({workspace.queue(task='held').run_id!r}).pid, flush=True)\n"
        "time.sleep(60)"
    )
    assert workspace.storage.jobs.claim(now()) is not None
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=workspace.folder,
        env=workspace.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    workspace.processes.append(parent)
    assert parent.stdout is not None
    run = psutil.Process(int(parent.stdout.readline()))
    parent.stdout.close()
    wait_until(
        lambda: "--run" in run.cmdline() and "exec_with_parent" not in " ".join(run.cmdline()),
        "the run's own program runs",
    )
    parent.kill()
    parent.wait()
    run.wait(60)
