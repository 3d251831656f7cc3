"""The runner: starts each queued run in a process of its own, and watches it."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from tidemill_core.clock import Clock
from tidemill_core.domain.job import JobRun, JobRunState
from tidemill_core.storage.jobs import JobStore
from tidemill_core.supervisor import exec_with_parent

MAX_CONCURRENT_RUNS = 2
ORPHANED_AFTER = timedelta(seconds=20)
"""A run without a heartbeat for this long has lost its process."""
CANCEL_GRACE = timedelta(seconds=10)
"""How long a canceled run has to end before it is killed."""
_STOP_SECONDS = 5.0

log = structlog.get_logger()

StartProcess = Callable[[str], "subprocess.Popen[bytes]"]


@dataclass
class _RunProcess:
    run_id: str
    process: "subprocess.Popen[bytes]"
    canceled_at: datetime | None = None


def start_process(run_id: str) -> "subprocess.Popen[bytes]":
    """Start the process of a run; it ends when this process ends."""
    bound = [sys.executable, "-I", "-S", exec_with_parent.__file__, str(os.getpid())]
    command = [*bound, sys.executable, "-P", "-m", "tidemill_jobs.main", "--run", run_id]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 -- no outside input


class Runner:
    """The processes of the runs. Neither `watch` nor `start_queued` waits for a run."""

    def __init__(self, store: JobStore, clock: Clock, start: StartProcess = start_process) -> None:
        self._store = store
        self._clock = clock
        self._start = start
        self._children: list[_RunProcess] = []

    def watch(self) -> None:
        """Close the runs that have ended and kill those that ignore a cancellation.

        Raises:
            StorageUnavailable: the database is away; call it again later.
        """
        now = self._clock()
        for child in list(self._children):
            if child.process.poll() is not None:
                self._close(child)
            else:
                self._cancel_if_asked(child, now)

    def start_queued(self) -> None:
        """Close the runs that lost their process, on any machine, and start queued runs.

        The runs of this runner that are alive stay open: they could not send heartbeats while the
        database was away.

        Raises:
            StorageUnavailable: the database is away; call it again later.
        """
        now = self._clock()
        alive = [child.run_id for child in self._children]
        for run_id in self._store.close_orphans(now - ORPHANED_AFTER, now, alive):
            log.warning("run_orphaned", run_id=run_id)
        while len(self._children) < MAX_CONCURRENT_RUNS:
            run = self._store.claim(self._clock())
            if run is None:
                return
            log.info("run_started", job=run.job, task=run.task, run_id=run.run_id)
            self._children.append(_RunProcess(run.run_id, self._start(run.run_id)))

    def stop(self) -> None:
        """End all runs and record them as canceled."""
        for child in self._children:
            self._store.cancel(child.run_id, self._clock())
            child.process.terminate()
        for child in list(self._children):
            try:
                child.process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
            self._close(child)

    def _close(self, child: _RunProcess) -> None:
        """Record the end of a run whose process has ended, unless the process did."""
        run = self._store.get(child.run_id)
        if not run.state.ended:
            self._record_death(run, child.process.returncode)
        self._children.remove(child)
        log.info("run_ended", run_id=child.run_id, exit_code=child.process.returncode)

    def _record_death(self, run: JobRun, exit_code: int) -> None:
        if run.cancel_requested:
            self._store.mark_canceled(run.run_id, self._clock())
        else:
            # A signal's code is negative; a process that it ends logs nothing.
            why = "; the log of jobs says why" if exit_code > 0 else ""
            error = f"DIED: its process ended with exit code {exit_code}{why}"
            self._store.fail(run.run_id, error, self._clock())

    def _cancel_if_asked(self, child: _RunProcess, now: datetime) -> None:
        """Kill a run that was asked to stop and did not stop within CANCEL_GRACE."""
        run = self._store.get(child.run_id)
        if run.state is JobRunState.RUNNING and run.cancel_requested:
            child.canceled_at = child.canceled_at or now
            if now - child.canceled_at > CANCEL_GRACE:
                child.process.kill()
