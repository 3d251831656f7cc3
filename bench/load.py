"""What the benchmarks of the front share: a stack of their own, and callers for it."""

import asyncio
import contextlib
import csv
import itertools
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EXAMPLE = Path(__file__).parents[1] / "examples" / "support" / "train.csv"
PORTS = ("GRPC", "TRITON_GRPC", "TRITON_HTTP", "TRITON_METRICS")
TASK = "support"


@dataclass(frozen=True)
class Measured:
    """One way of asking.

    Attributes:
        name: what was asked how.
        rows_per_second: texts answered.
        p50_ms: median latency of a call, in milliseconds.
        p99_ms: its 99th percentile.
    """

    name: str
    rows_per_second: float
    p50_ms: float
    p99_ms: float


async def closed_loop(
    name: str, seconds: float, callers: int, rows: int, call: Callable[[], Awaitable[object]]
) -> Measured:
    """Let callers ask one after another, each again as soon as it is answered."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def caller() -> None:
        while (start := time.perf_counter()) < end:
            await call()
            latencies.append(time.perf_counter() - start)

    begin = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    rate = len(latencies) * rows / (time.perf_counter() - begin)
    return Measured(name, rate, float(p50), float(p99))


def texts() -> Iterator[str]:
    """The shipped example's texts, round and round."""
    with EXAMPLE.open(encoding="utf-8", newline="") as file:
        return itertools.cycle([row["text"] for row in csv.DictReader(file)])


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


@contextlib.contextmanager
def stack(workspace: Path, rows: int) -> Iterator[dict[str, int]]:
    """A stack on free ports, ready; yields its ports by name."""
    with EXAMPLE.open(encoding="utf-8", newline="") as source:
        chosen = list(itertools.islice(csv.reader(source), rows + 1))
    with (workspace / "train.csv").open("w", encoding="utf-8", newline="") as target:
        csv.writer(target).writerows(chosen)
    source_line = 'sources = [{ path = "train.csv", label_column = "category" }]'
    (workspace / "tidemill.toml").write_text(f"[tasks.{TASK}]\n{source_line}\n")
    ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
    env = os.environ | {f"TIDEMILL_{name}_PORT": str(port) for name, port in ports.items()}
    command = [sys.executable, "-m", "tidemill_cli.main", "up"]
    process = subprocess.Popen(  # noqa: S603 -- our own words
        command, cwd=workspace, env=env, stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None or not any(re.match("ready", line) for line in process.stdout):
            raise RuntimeError(f"the stack did not get ready; see {workspace}/var/logs")
        yield ports
    finally:
        process.send_signal(signal.SIGINT)
        process.wait()
