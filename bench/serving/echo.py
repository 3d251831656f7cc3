"""The base cost of a gRPC call in Python: a bare grpc.aio server that echoes.

    python -m bench.serving.echo [--seconds 5]

It is called as in `python -m bench.serving`, with 64 calls in flight, and runs as one and two
processes with each of gRPC's two listeners. No front that is built on grpc.aio can be faster.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import grpc
import psutil  # type: ignore[import-untyped]  # it has no types
import uvloop
from rich.console import Console
from rich.table import Table

from bench.serving.load import h2load, require_programs
from bench.serving.messages import GENERATORS, Prepared, chosen_texts, framed
from bench.serving.workspace import TASK
from tests.plugins.triton import free_ports
from tidemill.v1 import prediction_service_pb2 as pb

OLD_LISTENER = "-event_engine_listener"
"""GRPC_EXPERIMENTS, as the front sets it."""
_PATH = "/bench.Echo/Echo"
_WARM_UP_SECONDS = 1


@dataclass(frozen=True)
class Echo:
    """The result of a measurement.

    Attributes:
        per_second: calls answered.
        cpu_us: CPU time of the servers per call, in microseconds.
    """

    per_second: float
    cpu_us: float


def measured(processes: int, seconds: int, experiments: str = OLD_LISTENER) -> Echo:
    """Measure echoing processes that share one port."""
    request = pb.PredictRequest(task=TASK, text=chosen_texts()[0])
    body = framed(request)
    prepared = [Prepared(_PATH, body, len(body), 1)] * GENERATORS
    with _servers(processes, experiments) as (address, servers):
        h2load(address, prepared, _WARM_UP_SECONDS, (), 4, 4)
        before = _cpu_seconds(servers)
        found = h2load(address, prepared, seconds, (), 4, 4)
        spent = _cpu_seconds(servers) - before
    return Echo(found.rows_per_second, spent / (found.rows_per_second * seconds) * 1e6)


@contextmanager
def _servers(processes: int, experiments: str) -> Iterator[tuple[str, list[psutil.Process]]]:
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "bench.serving.echo", "--serve", str(port)]
    environment = {**os.environ, "GRPC_EXPERIMENTS": experiments}
    running = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)  # noqa: S603
        for _ in range(processes)
    ]
    try:
        for each in running:
            if each.stdout is None or not each.stdout.readline():
                raise RuntimeError("an echoing server did not start")
        yield f"127.0.0.1:{port}", [psutil.Process(each.pid) for each in running]
    finally:
        for each in running:
            each.kill()
            each.communicate()


def _cpu_seconds(servers: list[psutil.Process]) -> float:
    times = [server.cpu_times() for server in servers]
    return float(sum(each.user + each.system for each in times))


async def _serve(port: int) -> None:
    async def echo(request: bytes, _context: object) -> bytes:
        return request

    server = grpc.aio.server(options=[("grpc.so_reuseport", 1)])
    handlers: dict[str, Any] = {"Echo": grpc.unary_unary_rpc_method_handler(echo)}
    server.add_registered_method_handlers("bench.Echo", handlers)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print("listening", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Measure and print, or serve."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=int, default=5, help="length of each measurement")
    parser.add_argument("--serve", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(_serve(options.serve))
        return
    require_programs()
    table = Table("listener", "processes", "calls/s", "CPU us per call")
    for name, experiments in (("older", OLD_LISTENER), ("newer", "")):
        for processes in (1, 2):
            found = measured(processes, options.seconds, experiments)
            table.add_row(name, str(processes), f"{found.per_second:,.0f}", f"{found.cpu_us:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
