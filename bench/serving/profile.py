"""A profile of a unary request's CPU time.

    python -m bench.serving.profile [--seconds 15]

It loads one front with 64 calls of Predict in flight. It measures the CPU time per request of each
process and of each thread of the front, and the activities of the front by py-spy samples. Servers
that only echo show the lower limit of each transport. Writes docs/benchmarks/profile.md.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from bench import end_on_sigterm
from bench.serving import kinds, messages
from bench.serving.callers import closed_loop
from bench.serving.echo import TRANSPORTS, echoed, running_echo
from bench.serving.measure import PROCESSES
from bench.serving.pages import Rows, markdown, print_table, write_page
from bench.serving.processes import FRONT, cpu_seconds, named
from bench.serving.workspace import Stack, make_workspace, running_stack

_SAMPLES_PER_SECOND = 200
_WARM_UP_SECONDS = 2
# A sample counts for the area of its deepest frame that matches one of these.
_AREAS = (
    ("tidemill_server/prediction_log", "prediction log"),
    ("tidemill_core/storage", "prediction log"),
    ("tidemill_server/security", "authentication and limits"),
    ("tidemill_server/telemetry", "metrics, traces, access log"),
    ("tidemill_server/transports", "transport"),
    ("tidemill_server/rpc", "pipeline around every call"),
    ("tidemill_core/text", "tokenizing"),
    ("tidemill_core/triton", "calling Triton"),
    ("tidemill_core/prediction_id", "signing the prediction id"),
    ("tidemill_server/inference", "routing, admission, coalescing"),
    ("tidemill_server/handlers", "service and messages"),
    ("tidemill_server/services", "service and messages"),
    ("tidemill_server/convert", "service and messages"),
    ("tidemill_server/wire", "service and messages"),
)
_BENEATH = "event loop and other libraries"
# Where threads wait for work. py-spy takes some of them for running.
_WAITING = ("_worker (concurrent/futures/", "wait (threading.py", "select (selectors.py")


def main() -> None:
    """Profile and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=15, help="duration")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder))
        with running_stack(workspace, 1) as stack:
            load = _Load(stack)
            load.run(_WARM_UP_SECONDS)
            processes, threads, front_us = cpu(stack, load, options.seconds)
            doing = front_by_area(stack, load, options.seconds, front_us)
    _show((processes, threads, doing, echoes(options.seconds)))


def cpu(stack: Stack, load: "_Load", seconds: int) -> tuple[Rows, Rows, float]:
    """Measure the CPU time per request under full load.

    Returns:
        (process, microseconds per request, share of the machine); (thread of the front,
        microseconds per request); microseconds of the front per request.
    """
    (front,) = named(stack.pid)[FRONT]
    before, threads_before = _cpu_seconds(stack), _thread_seconds(front)
    requests = load.run(seconds) * seconds
    spent = _grown(before, _cpu_seconds(stack))
    threads = _grown(threads_before, _thread_seconds(front))
    available = seconds * (psutil.cpu_count() or 1)
    by_process = [
        (name, f"{used / requests * 1e6:.0f}", f"{used / available:.0%}")
        for name, used in spent.most_common()
    ]
    by_thread = [(name, f"{used / requests * 1e6:.0f}") for name, used in threads.most_common()]
    return by_process, by_thread, spent[FRONT] / requests * 1e6


def _grown(
    before: Mapping[tuple[str, int], float], after: Mapping[tuple[str, int], float]
) -> Counter[str]:
    """Return the growth by name; what came or went meanwhile does not count."""
    grown: Counter[str] = Counter()
    for (name, number), value in after.items():
        if (name, number) in before:
            grown[name] += value - before[name, number]
    return grown


def echoes(seconds: int) -> Rows:
    """Return (transport, processes, calls per second, CPU microseconds per call)."""
    rows: Rows = []
    for transport in TRANSPORTS:
        for number in PROCESSES:
            with running_echo(transport, number) as (address, servers):
                crew = echoed(address, kinds.IN_FLIGHT)
                closed_loop([crew], kinds.WARM_UP_SECONDS)
                before = cpu_seconds(servers)
                (found,) = closed_loop([crew], seconds)
                spent = (cpu_seconds(servers) - before) / (found.rows_per_second * seconds)
            rows.append(
                (transport, str(number), f"{found.rows_per_second:,.0f}", f"{spent * 1e6:.0f}")
            )
    return rows


def front_by_area(stack: Stack, load: "_Load", seconds: int, front_us: float) -> Rows:
    """Return (activity of the front, its CPU microseconds per request, its share).

    Args:
        stack: that runs.
        load: the calls.
        seconds: duration.
        front_us: CPU microseconds of the front per request.

    Raises:
        RuntimeError: py-spy failed.
    """
    (front,) = named(stack.pid)[FRONT]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "stacks"
        command = [str(Path(sys.executable).with_name("py-spy")), "record", f"--pid={front.pid}"]
        command += [f"--rate={_SAMPLES_PER_SECOND}", "--format=raw", f"--output={output}"]
        command += [f"--duration={seconds}"]
        with subprocess.Popen(  # noqa: S603 -- our own words
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as spy:
            load.run(seconds + _WARM_UP_SECONDS)
            said = spy.communicate()[0]
        if spy.returncode:
            raise RuntimeError(f"py-spy failed; it may need to run as root:\n{said}")
        counts = _counted(output.read_text())
    total = counts.total()
    return [
        (area, f"{count / total * front_us:.0f}", f"{count / total:.0%}")
        for area, count in counts.most_common()
    ]


class _Load:
    """Calls of Predict, 64 in flight."""

    def __init__(self, stack: Stack) -> None:
        self._crew = messages.of_tidemill(stack).predict(kinds.IN_FLIGHT)

    def run(self, seconds: int) -> float:
        """Return answers per second."""
        return closed_loop([self._crew], seconds)[0].rows_per_second


def _cpu_seconds(stack: Stack) -> dict[tuple[str, int], float]:
    """Return the CPU seconds of each process so far, by its kind and id."""
    spent: dict[tuple[str, int], float] = {}
    for name, processes in named(stack.pid).items():
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent[name, process.pid] = times.user + times.system
    spent["load generator", 0] = time.process_time()
    return spent


def _thread_seconds(process: psutil.Process) -> dict[tuple[str, int], float]:
    """Return the CPU seconds of each thread of a process so far, by its name and id."""
    spent: dict[tuple[str, int], float] = {}
    for thread in process.threads():
        with contextlib.suppress(FileNotFoundError):
            name = Path(f"/proc/{process.pid}/task/{thread.id}/comm").read_text().strip()
            kind = "event loop" if thread.id == process.pid else name.rstrip("0123456789-_ ")
            spent[kind, thread.id] = thread.user_time + thread.system_time
    return spent


def _counted(stacks: str) -> Counter[str]:
    """Return samples by area, from collapsed stacks with a line `root;…;leaf count` each."""
    counts: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if not any(place in frames[-1] for place in _WAITING):
            counts[_area(frames)] += int(count)
    return counts


def _area(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, area in _AREAS:
            if part in frame:
                return area
    return _BENEATH


def _show(tables: Sequence[Rows]) -> None:
    headers = (
        ("process", "CPU µs per request", "share of the machine"),
        ("thread of the front", "CPU µs per request"),
        ("activity of the front", "CPU µs per request", "share of its time"),
        ("echo on", "processes", "calls/s", "CPU µs per call"),
    )
    for header, rows in zip(headers, tables, strict=True):
        print_table(header, rows)
    processes, threads, doing, floor = map(markdown, headers, tables)
    write_page(
        "profile",
        "bench.serving.profile",
        processes=processes,
        threads=threads,
        doing=doing,
        floor=floor,
    )


if __name__ == "__main__":
    end_on_sigterm()
    main()
