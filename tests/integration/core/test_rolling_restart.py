"""Rolling restarts of small real processes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.core.test_supervisor import runs
from tests.plugins.waiting import wait_until
from tidemill_core.supervisor import (
    ProcessSpec,
    ProcessState,
    RestartReport,
    StepState,
    Supervisor,
    read_processes,
    read_report,
)

# Reports that it is ready; ends when it is retired, or after the seconds of its argument.
WORKER = """
import signal, sys, time
from tidemill_core.supervisor.readiness import report_ready
signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
report_ready()
time.sleep(600)
"""
STAYS = WORKER.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN")
# The first process of its name works, every later one fails.
FAILS_LATER = (
    """
import os, sys
if os.path.exists(sys.argv[1]):
    sys.exit("no such column")
open(sys.argv[1], "w").close()
"""
    + WORKER
)
NAMES = ["server-1", "server-2"]


def worker(name: str, script: str, *arguments: str) -> ProcessSpec:
    """Return a worker that can be replaced."""
    argv = (sys.executable, "-c", script, *arguments)
    return ProcessSpec(name, argv, grace_seconds=0.3, retire_seconds=0.3)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """Starts a supervisor whose workers are ready, and stops it after the test."""
    started: list[Supervisor] = []

    def start(*specs: ProcessSpec) -> Supervisor:
        supervisor = Supervisor(specs, tmp_path)
        started.append(supervisor)
        supervisor.start()
        until(supervisor, lambda: states(tmp_path) == {ProcessState.RUNNING}, "all are ready")
        return supervisor

    yield start
    for supervisor in started:
        supervisor.hurry()
        supervisor.stop()


def until(supervisor: Supervisor, condition: Callable[[], object], what: str) -> None:
    """Poll until a condition holds."""

    def polled() -> object:
        supervisor.poll()
        return condition()

    wait_until(polled, what)


def states(state_dir: Path) -> set[ProcessState]:
    """Return the content of the processes' file."""
    return {process.state for process in read_processes(state_dir)}


def restarted(supervisor: Supervisor, state_dir: Path) -> RestartReport:
    """Restart the workers and return the report."""
    assert supervisor.restart()
    until(
        supervisor,
        lambda: (found := read_report(state_dir)) is not None and found.ended,
        "the restart is over",
    )
    report = read_report(state_dir)
    assert report is not None
    return report


def test_every_worker_is_replaced_and_there_are_never_fewer(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """At all times there are as many ready workers as before; at the end all are new."""
    other = ProcessSpec("jobs", (sys.executable, "-c", "import time; time.sleep(600)"))
    supervisor = start(other, *(worker(name, WORKER) for name in NAMES))
    before = supervisor.pids()
    assert supervisor.restart()
    assert not supervisor.restart()

    def is_over() -> bool:
        known = [pid for name, pid in supervisor.pids().items() if name in NAMES]
        assert len(known) == len(NAMES)
        assert all(runs(pid) for pid in known)
        return bool((report := read_report(tmp_path)) and report.ended)

    until(supervisor, is_over, "the restart is over")
    report, after = read_report(tmp_path), supervisor.pids()
    assert report is not None
    assert report.succeeded
    assert [(step.old_pid, step.new_pid) for step in report.steps] == [
        (before[name], after[name]) for name in NAMES
    ]
    assert not any(runs(before[name]) for name in NAMES)
    assert after["jobs"] == before["jobs"]


def test_a_worker_that_cannot_start_leaves_the_old_ones_alone(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """The restart fails at the first worker, names the log, and every old worker goes on."""
    supervisor = start(*(worker(name, FAILS_LATER, str(tmp_path / name)) for name in NAMES))
    before = supervisor.pids()
    report = restarted(supervisor, tmp_path)
    assert not report.succeeded
    assert [step.state for step in report.steps] == [StepState.FAILED, StepState.WAITING]
    assert str(tmp_path / "logs" / "server-1.log") in report.steps[0].error
    assert supervisor.pids() == before
    assert all(runs(pid) for pid in before.values())


def test_a_worker_whose_callers_stay_is_killed_in_the_end(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """A worker that ignores its retirement is killed after its time and its grace."""
    supervisor = start(worker("server-1", STAYS))
    old = supervisor.pids()["server-1"]
    assert restarted(supervisor, tmp_path).succeeded
    assert not runs(old)


def test_stopping_in_the_middle_leaves_nothing_behind(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """A stop during a replacement ends both the old and the new worker."""
    supervisor = start(worker("server-1", STAYS))
    old = supervisor.pids()["server-1"]
    assert supervisor.restart()
    until(supervisor, lambda: supervisor.pids()["server-1"] != old, "another one is started")
    both = [old, supervisor.pids()["server-1"]]
    assert all(runs(pid) for pid in both)
    supervisor.stop()
    assert not any(runs(pid) for pid in both)
    assert read_processes(tmp_path) == []


def test_a_killed_worker_is_seen_to_start_and_to_answer_again(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """After kill -9 of one of two workers, the other goes on and both answer within seconds."""
    supervisor = start(*(worker(name, WORKER) for name in NAMES))
    before = supervisor.pids()
    os.kill(before["server-1"], signal.SIGKILL)
    until(supervisor, lambda: ProcessState.STARTING in states(tmp_path), "one is started again")
    until(supervisor, lambda: states(tmp_path) == {ProcessState.RUNNING}, "all are ready")
    after = {process.name: process for process in read_processes(tmp_path)}
    assert after["server-1"].deaths == 1
    assert after["server-1"].pid != before["server-1"]
    assert after["server-2"].pid == before["server-2"]


def test_folders_of_an_earlier_stack_are_emptied(tmp_path: Path) -> None:
    """The metrics of an earlier stack's processes are not counted again."""
    folder = tmp_path / "metrics"
    folder.mkdir()
    (folder / "counter_1.db").touch()
    supervisor = Supervisor([], tmp_path, scratch=[folder])
    supervisor.start()
    supervisor.stop()
    assert list(folder.iterdir()) == []
