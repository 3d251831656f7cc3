"""The processes of running servers, and their CPU time."""

import contextlib
from collections import defaultdict
from collections.abc import Sequence

import psutil

FRONT = "front"
Processes = Sequence[psutil.Process]
_MARKS = (
    ("tidemill_server.main", FRONT),
    ("tidemill_jobs.main", "jobs"),
    ("triton_python_backend_stub", "Triton's backend"),
    ("tritonserver", "Triton"),
)


def named(pid: int) -> dict[str, list[psutil.Process]]:
    """Return the long-lived descendants of `tidemill up`, without the jobs' runs."""
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            words = process.cmdline()
            # The command or the module of `python -m`, without later arguments.
            start = " ".join(words[:4])
            name = next((name for mark, name in _MARKS if mark in start), None)
            # A fork that has not yet executed another program does not count.
            forked = words == psutil.Process(process.ppid()).cmdline()
            if name is not None and not forked and "--run" not in words:
                found[name].append(process)
    return found


def runs(pid: int) -> list[psutil.Process]:
    """Return the processes of the jobs that run now below `tidemill up`."""
    found: list[psutil.Process] = []
    for process in named(pid)["jobs"]:
        with contextlib.suppress(psutil.NoSuchProcess):
            found += process.children(recursive=True)
    return found


def family(pid: int) -> list[psutil.Process]:
    """Return a process and all its descendants."""
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def cpu_seconds(processes: Processes) -> float:
    """Return the CPU seconds that processes have used so far, without those that have ended."""
    spent = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent
