"""The supervisor with real child processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.plugins.waiting import wait_until
from tidemill_core.errors import AlreadyRunning
from tidemill_core.supervisor import Ended, ListeningPort, ProcessSpec, Supervisor

SLEEPER = "import time; time.sleep(600)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(600)
"""
LISTENER = """
import socket, sys, time
with socket.create_server(("127.0.0.1", 0)) as listener:
    print(listener.getsockname()[1], flush=True)
    time.sleep(600)
"""
# Writes its name to a file on SIGTERM.
ORDERLY = """
import signal, sys, time
def end(*_):
    with open(sys.argv[1], "a") as order:
        order.write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(600)
"""
# Starts another process in its own session.
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""
# A supervisor in its own process, which a test can kill.
SUPERVISOR = """
import sys, time
from pathlib import Path
from tidemill_core.supervisor import ProcessSpec, Supervisor
script = "import time; time.sleep(600)"
specs = [ProcessSpec(name, (sys.executable, "-c", script)) for name in ("a", "b")]
supervisor = Supervisor(specs, Path(sys.argv[1]))
supervisor.start()
print(*supervisor.pids().values(), flush=True)
while True:
    supervisor.poll()
    time.sleep(0.05)
"""


def python(name: str, script: str, *arguments: str, grace_seconds: float = 5.0) -> ProcessSpec:
    """Return a child that runs a script."""
    return ProcessSpec(name, (sys.executable, "-c", script, *arguments), {}, grace_seconds)


def runs(pid: int) -> bool:
    """Return whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def is_ready(state_dir: Path, name: str) -> bool:
    """Whether a process has said so."""
    return "ready" in (state_dir / "logs" / f"{name}.log").read_text()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Supervisor]]:
    """Starts supervisors over tmp_path, and stops them after the test."""
    started: list[Supervisor] = []

    def start(*specs: ProcessSpec) -> Supervisor:
        supervisor = Supervisor(specs, tmp_path)
        started.append(supervisor)
        supervisor.start()
        return supervisor

    yield start
    for supervisor in started:
        supervisor.hurry()
        supervisor.stop()


def deaths(supervisor: Supervisor, seconds: float) -> list[Ended]:
    """Poll for a while and collect the deaths."""
    deadline, found = time.monotonic() + seconds, []
    while time.monotonic() < deadline:
        found += supervisor.poll()
        time.sleep(0.02)
    return found


def test_a_killed_process_is_restarted_at_once(start: Callable[..., Supervisor]) -> None:
    """A killed process runs again within a second, with another id."""
    supervisor = start(python("server", SLEEPER))
    before = supervisor.pids()["server"]
    os.kill(before, signal.SIGKILL)
    (ended,) = deaths(supervisor, 1.0)
    assert (ended.name, ended.exit_code, ended.restart_seconds) == ("server", -signal.SIGKILL, 0)
    after = supervisor.pids()["server"]
    assert after != before
    assert runs(after)


def test_a_process_that_cannot_start_is_tried_ever_more_rarely(
    start: Callable[..., Supervisor],
) -> None:
    """Repeated deaths are reported with growing delays, and the log has the output of each run."""
    supervisor = start(python("jobs", "print('no database', flush=True); raise SystemExit(3)"))
    found = deaths(supervisor, 2.0)
    delays = [ended.restart_seconds for ended in found]
    assert delays[:3] == pytest.approx([0, 0.2, 0.4])
    assert all(ended.exit_code == 3 for ended in found)
    assert found[0].log.read_text().count("no database") >= len(found)


def test_what_a_dead_process_left_behind_is_killed(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """When a process dies, the processes of its session are killed before its restart."""
    supervisor = start(python("jobs", PARENT))
    log = tmp_path / "logs" / "jobs.log"
    wait_until(
        lambda: log.exists() and log.read_text().endswith("\n"),
        "the process has said its child's id",
        10,
    )
    grandchild = int(log.read_text())
    os.kill(supervisor.pids()["jobs"], signal.SIGKILL)
    assert len(deaths(supervisor, 0.5)) == 1
    wait_until(lambda: not runs(grandchild), "the grandchild has ended", 10)


def test_processes_end_one_after_another_last_started_first(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """Each process ends before the supervisor asks the process that started before it."""
    order = tmp_path / "order"
    names = ("triton", "jobs", "server")
    supervisor = start(*(python(name, ORDERLY, str(order), name) for name in names))
    wait_until(
        lambda: all(is_ready(tmp_path, name) for name in names), "all processes are ready", 10
    )
    supervisor.stop()
    assert order.read_text().split() == ["server", "jobs", "triton"]
    assert supervisor.pids() == {}


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """Stopping takes no longer than the grace period."""
    supervisor = start(python("server", STUBBORN, grace_seconds=0.5))
    pid = supervisor.pids()["server"]
    wait_until(lambda: is_ready(tmp_path, "server"), "the process ignores SIGTERM", 10)
    began = time.monotonic()
    supervisor.stop()
    assert 0.4 < time.monotonic() - began < 3
    assert not runs(pid)


def test_hurrying_does_not_wait_for_the_grace(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """A second Ctrl-C kills the remaining processes at once."""
    supervisor = start(python("server", STUBBORN, grace_seconds=60))
    wait_until(lambda: is_ready(tmp_path, "server"), "the process ignores SIGTERM", 10)
    began = time.monotonic()
    supervisor.hurry()
    supervisor.stop()
    assert time.monotonic() - began < 2


def test_a_killed_supervisor_leaves_nothing_behind(tmp_path: Path) -> None:
    """After SIGKILL of the supervisor, its children end and its state directory is free."""
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        children = [int(pid) for pid in process.stdout.readline().split()]
        assert len(children) == 2
        assert all(runs(pid) for pid in children)
        process.kill()
    wait_until(lambda: not any(runs(pid) for pid in children), "all children have ended", 10)
    next_one = Supervisor([], tmp_path)
    next_one.start()
    next_one.stop()


def test_children_do_not_get_the_terminals_signals(start: Callable[..., Supervisor]) -> None:
    """Each child has its own session."""
    supervisor = start(python("a", SLEEPER), python("b", SLEEPER))
    pids = set(supervisor.pids().values())
    wait_until(lambda: {os.getsid(pid) for pid in pids} == pids, "each child leads a session", 10)


def test_a_second_stack_on_a_state_directory_is_refused(
    start: Callable[..., Supervisor], tmp_path: Path
) -> None:
    """The error names the directory and the holder, and nothing is started."""
    start(python("server", SLEEPER))
    second = Supervisor([python("server", SLEEPER)], tmp_path)
    with pytest.raises(AlreadyRunning, match=f"{tmp_path} \\(process {os.getpid()}\\)"):
        second.start()
    assert second.pids() == {}


def test_a_taken_port_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """With a port in use nothing is started and the state directory is free again."""
    command = [sys.executable, "-c", LISTENER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as listener:
        assert listener.stdout is not None
        port = ListeningPort("grpc_port", "127.0.0.1", int(listener.stdout.readline()))
        refused = Supervisor([python("server", SLEEPER)], tmp_path, [port])
        with pytest.raises(AlreadyRunning, match="TIDEMILL_GRPC_PORT"):
            refused.start()
        assert refused.pids() == {}
        listener.kill()
    retried = Supervisor([], tmp_path, [port])
    retried.start()
    retried.stop()
