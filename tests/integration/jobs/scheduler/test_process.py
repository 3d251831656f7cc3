"""The process that schedules jobs."""

import resource
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import grpc
import psutil

from tests.integration.jobs.scheduler.conftest import TASK, Workspace, now
from tests.plugins.waiting import wait_until
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.storage.database import Page
from tidemill_core.storage.jobs import RunRequest
from tidemill_jobs.catalog import CATALOG

SUCCEEDED, FAILED, CANCELLED = JobRunState.SUCCEEDED, JobRunState.FAILED, JobRunState.CANCELLED


def test_sigterm_leaves_nothing_behind(workspace: Workspace) -> None:
    """SIGTERM cancels the runs, ends every process and releases the lease."""
    workspace.champion(TASK, "held")
    process = workspace.start()
    run = workspace.queue(task="held")
    wait_until(
        lambda: workspace.get(run).message == "reading the sources", "the run reads its sources"
    )
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 1
    catalog = {job.job for job in workspace.storage.jobs.catalog()}
    assert catalog == {known.job for known in CATALOG}
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert not children[0].is_running()
    assert workspace.get(run).state is CANCELLED
    assert workspace.leader() == ""


@dataclass
class _Deaf(grpc.GenericRpcHandler):
    """A Triton that accepts calls and answers none until it is released."""

    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    def service(self, _details: Any) -> Any:
        """Accept any call."""
        return grpc.unary_unary_rpc_method_handler(self._wait)

    def _wait(self, _request: bytes, _context: Any) -> bytes:
        self.asked.set()
        self.let_go.wait(60)
        return b""


def test_a_triton_that_does_not_answer_keeps_nobody_waiting(workspace: Workspace) -> None:
    """While the reconciler hangs, runs are started and SIGTERM ends the process."""
    workspace.champion(TASK, "held")
    deaf = _Deaf()
    triton = grpc.server(ThreadPoolExecutor(2), handlers=[deaf])
    port = triton.add_insecure_port("127.0.0.1:0")
    workspace.env = {**workspace.env, "TIDEMILL_TRITON_GRPC_PORT": str(port)}
    triton.start()
    process = workspace.start()
    assert deaf.asked.wait(60)
    workspace.wait(workspace.queue("check_feedback"), SUCCEEDED)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "not_served" not in workspace.said()  # it still waited for the answer
    deaf.let_go.set()
    triton.stop(None).wait()


def test_old_runs_of_checks_are_pruned(workspace: Workspace) -> None:
    """At its start the leading process deletes runs of checks that ended over a week ago."""
    workspace.champion(TASK, "held")
    long_ago = now() - timedelta(days=8)
    for job in ("check_drift", "check_drift", "retrain", "retrain"):
        workspace.storage.jobs.enqueue(RunRequest(job, TASK, "test"), long_ago)
        run = workspace.storage.jobs.claim(long_ago)
        assert run is not None
        workspace.storage.jobs.succeed(run.run_id, {}, long_ago)
    workspace.start()
    wait_until(lambda: "runs_pruned" in workspace.said(), "old runs are pruned")
    left = [run.job for run in workspace.storage.jobs.page("", "", Page())[0]]
    assert left == ["retrain", "retrain", "check_drift"]


def test_a_full_disk_is_survived(workspace: Workspace) -> None:
    """The process stays up on a full disk, and works again once there is room."""
    workspace.champion(TASK, "held")
    process = workspace.start()
    workspace.wait(workspace.queue(), SUCCEEDED)
    # The write-ahead log is longer than that, and the text that the process prints is not.
    hard = resource.RLIM_INFINITY
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (2**16, hard))
    run = workspace.queue()
    time.sleep(3)  # it looks for work several times meanwhile, and cannot write
    assert process.poll() is None
    assert workspace.get(run).state is JobRunState.QUEUED
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))
    assert workspace.wait(run, SUCCEEDED, FAILED).state is SUCCEEDED


def test_a_missed_night_is_caught_up(workspace: Workspace) -> None:
    """A process that starts after a fire time runs the job once."""
    workspace.champion(TASK, "held")
    hours_ago = now() - timedelta(hours=2)
    run = workspace.storage.jobs.enqueue(RunRequest("retrain", TASK, "test"), hours_ago)
    workspace.storage.jobs.cancel(run.run_id, hours_ago)
    workspace.write(f"check_feedback = '{(now() - timedelta(hours=1)).minute} * * * *'")
    for _ in range(2):
        process = workspace.start()
        wait_until(lambda: workspace.leader(), "a process leads", 90)
        wait_until(lambda: _caught_up(workspace), "the missed run is queued")
        wait_until(
            lambda: all(run.state.ended for run in _caught_up(workspace)),
            "the missed run has ended",
        )
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    (caught_up,) = _caught_up(workspace)
    assert (caught_up.state, caught_up.trigger) == (SUCCEEDED, "catch_up")


def test_runs_of_gone_tasks_are_closed(workspace: Workspace) -> None:
    """A process that starts closes the runs of tasks that its settings do not name."""
    workspace.champion(TASK, "held")
    gone, kept = workspace.queue(task="gone"), workspace.queue("check_feedback")
    workspace.start()
    assert workspace.wait(gone, FAILED).error.startswith("TASK_GONE: ")
    assert workspace.get(gone).start_time is None
    assert workspace.wait(kept, SUCCEEDED).trigger == "test"


def _caught_up(workspace: Workspace) -> list[JobRun]:
    return workspace.storage.jobs.page("check_feedback", TASK, Page())[0]


def test_a_wrong_crontab_is_refused(workspace: Workspace) -> None:
    """A process with a wrong crontab ends at once, names the setting and acquires no lease."""
    workspace.write("check_drift = 'at night'")
    assert workspace.start().wait(60) == 1
    assert "schedule.check_drift is 'at night': not a crontab" in workspace.said()
    assert workspace.leader() == ""
