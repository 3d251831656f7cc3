"""A profile of a unary request's CPU time.

    python -m bench.serving.profile [--seconds 15]

It loads one front as `python -m bench.serving` does, and measures the CPU time of each process per
request and the front's activities by py-spy's samples. A bare grpc.aio server shows the lower limit
for any front. Writes docs/benchmarks/profile.md.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench.serving import messages
from bench.serving.echo import measured
from bench.serving.load import h2load, require_programs
from bench.serving.machine import machine
from bench.serving.measure import PROCESSES
from bench.serving.processes import FRONT, named
from bench.serving.report import DOCS, Rows, markdown
from bench.serving.workspace import Stack, make_workspace, running_stack

_SAMPLES_PER_SECOND = 200
_WARM_UP_SECONDS = 2
# A sample counts for the area of its deepest frame that matches one of these.
_AREAS = (
    ("tidemill_server/prediction_log", "prediction log"),
    ("tidemill_core/storage", "prediction log"),
    ("tidemill_server/security", "authentication and limits"),
    ("tidemill_server/telemetry", "metrics, traces, access log"),
    ("tidemill_server/rpc", "pipeline around every call"),
    ("tidemill_server/transports", "transport: gRPC over ASGI"),
    ("tidemill_core/text", "tokenizing"),
    ("tidemill_core/triton", "calling Triton"),
    ("tidemill_core/prediction_id", "signing the prediction id"),
    ("tidemill_server/inference", "routing, admission, coalescing"),
    ("tidemill_server/handlers", "servicer and messages"),
    ("tidemill_server/services", "servicer and messages"),
    ("tidemill_server/convert", "servicer and messages"),
)
_BENEATH = "event loop and gRPC, compiled"


def main() -> None:
    """Profile and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=15, help="duration")
    options = parser.parse_args()
    require_programs()
    with tempfile.TemporaryDirectory() as folder:
        workspace = make_workspace(Path(folder))
        with running_stack(workspace, 1) as stack:
            processes = cpu_by_process(stack, options.seconds)
            doing = front_by_area(stack, options.seconds)
    floor: Rows = [
        (str(processes), f"{echo.per_second:,.0f}", f"{echo.cpu_us:.0f}")
        for processes in PROCESSES
        for echo in [measured(processes, options.seconds)]
    ]
    command = " ".join(["python -m bench.serving.profile", *sys.argv[1:]])
    _write(command, processes, doing, floor)


def cpu_by_process(stack: Stack, seconds: int) -> Rows:
    """Return (process, CPU microseconds per request, share of the machine) under full load."""
    load = _Load(stack)
    load.run(_WARM_UP_SECONDS)
    before = _cpu_seconds(stack)
    rate = load.run(seconds)
    spent: dict[str, float] = defaultdict(float)
    for (name, pid), after in _cpu_seconds(stack).items():
        if (name, pid) in before:  # a process that came or went meanwhile is a job's
            spent[name] += after - before[name, pid]
    available = seconds * (psutil.cpu_count() or 1)
    return [
        (name, f"{cpu / (rate * seconds) * 1e6:.0f}", f"{cpu / available:.0%}")
        for name, cpu in sorted(spent.items(), key=lambda each: -each[1])
    ]


def front_by_area(stack: Stack, seconds: int) -> Rows:
    """Return (activity of the front, share of its samples) under full load.

    Raises:
        RuntimeError: py-spy failed.
    """
    (front,) = named(stack.pid)[FRONT]
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "stacks"
        command = [str(Path(sys.executable).with_name("py-spy")), "record", f"--pid={front.pid}"]
        command += [f"--rate={_SAMPLES_PER_SECOND}", "--format=raw", f"--output={output}"]
        command += [f"--duration={seconds}", "--gil"]
        with subprocess.Popen(  # noqa: S603 -- our own words
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as spy:
            _Load(stack).run(seconds + _WARM_UP_SECONDS)
            said = spy.communicate()[0]
        if spy.returncode:
            raise RuntimeError(f"py-spy failed; it may need to run as root:\n{said}")
        counts = _counted(output.read_text())
    total = counts.total()
    return [(area, f"{count / total:.0%}") for area, count in counts.most_common()]


class _Load:
    """Calls of Predict, 64 in flight."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._unary = messages.unary(stack)

    def run(self, seconds: int) -> float:
        """Return answers per second."""
        stack = self._stack
        found = h2load(stack.grpc_address, self._unary, seconds, stack.metadata, 4, 4)
        return found.rows_per_second


def _cpu_seconds(stack: Stack) -> dict[tuple[str, int], float]:
    """Return the CPU seconds of each process so far, by its kind and id."""
    spent: dict[tuple[str, int], float] = {}
    for name, processes in named(stack.pid).items():
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                spent[name, process.pid] = times.user + times.system
    mine = psutil.Process().cpu_times()
    spent["load generator", 0] = mine.children_user + mine.children_system
    return spent


def _counted(stacks: str) -> Counter[str]:
    """Return samples by area, from collapsed stacks with a line `root;…;leaf count` each."""
    counts: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        counts[_area(frames.split(";"))] += int(count)
    return counts


def _area(frames: list[str]) -> str:
    for frame in reversed(frames):
        for part, area in _AREAS:
            if part in frame:
                return area
    return _BENEATH


def _write(command: str, processes: Rows, doing: Rows, floor: Rows) -> None:
    headers = (
        ("process", "CPU µs per request", "share of the machine"),
        ("activity of the front", "share of its time"),
        ("processes", "calls/s", "CPU µs per call"),
    )
    for header, rows in zip(headers, (processes, doing, floor), strict=True):
        table = Table(*header)
        for row in rows:
            table.add_row(*row)
        Console().print(table)
    page = f"""\
# The CPU time of a unary request

Written by `{command}`. Machine: {machine()}.

The load is 64 calls of Predict in flight, with one worker and everything switched on. Load
generator, front and Triton share the cores, so their CPU time per request bounds the rate.

{markdown(headers[0], processes)}

The next table shows the front's activities. py-spy samples the thread that holds the interpreter's
lock, which is the front's bottleneck. A sample counts for the deepest frame of our code on its
stack. A sample without our code belongs to the event loop or gRPC, which are compiled.

{markdown(headers[1], doing)}

The lower limit is a bare grpc.aio server that sends the same request back, under the same load
(`python -m bench.serving.echo`). It checks no caller, calls no model and stores nothing.

{markdown(headers[2], floor)}
"""
    DOCS.mkdir(parents=True, exist_ok=True)
    (DOCS / "profile.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
