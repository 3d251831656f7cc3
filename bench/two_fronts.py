"""How far Triton merges what two fronts ask, each for 32 callers.

    python -m bench.two_fronts [--seconds 4]

Starts a stack and a second front beside it. All callers, fronts and Triton share the machine's
cores, so the front that answers is busy too.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import grpc.aio
import uvloop
from rich.console import Console
from rich.table import Table

from bench.load import TASK, Measured, closed_loop, free_ports, stack, texts
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tidemill_core.triton.control import TritonControl, VersionStatistics

CALLERS = 32
MODEL = f"{TASK}-onnx"


async def ask(port: int, callers: int, seconds: float) -> Measured:
    """Let callers ask one front."""
    asked = texts()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = PredictionServiceStub(channel)

        def unary() -> Awaitable[object]:
            return stub.Predict(pb.PredictRequest(task=TASK, text=next(asked)))

        return await closed_loop(f"front at {port}", seconds, callers, 1, unary)


async def ask_both(ports: list[int], seconds: float) -> list[Measured]:
    """Let callers ask both fronts at a time."""
    return list(await asyncio.gather(*(ask(port, CALLERS, seconds) for port in ports)))


def measure(workspace: Path, ports: dict[str, int], seconds: float) -> None:
    """Measure and print."""
    (other,) = free_ports(1)
    env = os.environ | {f"TIDEMILL_{name}_PORT": str(port) for name, port in ports.items()}
    env["TIDEMILL_GRPC_PORT"] = str(other)
    command = [sys.executable, "-m", "tidemill_server.main"]
    front = subprocess.Popen(  # noqa: S603 -- our own words
        command, cwd=workspace, env=env, stderr=subprocess.DEVNULL
    )
    key = (workspace / "var" / "triton_control_key").read_text()
    try:
        time.sleep(4.0)
        with TritonControl(f"127.0.0.1:{ports['TRITON_GRPC']}", key) as triton:
            before = triton.statistics(MODEL)[1]
            answered = uvloop.run(ask_both([ports["GRPC"], other], seconds))
            after = triton.statistics(MODEL)[1]
        alone = uvloop.run(ask(ports["GRPC"], 1, seconds))
    finally:
        front.terminate()
        front.wait()
    show(before, after, answered, alone)


def show(
    before: VersionStatistics,
    after: VersionStatistics,
    answered: list[Measured],
    alone: Measured,
) -> None:
    """Print a table."""
    requests = after.success_count - before.success_count
    executions = after.execution_count - before.execution_count
    rows = after.row_count - before.row_count
    table = Table("what", "found")
    table.add_row("executions / requests that Triton got", f"{executions / requests:.2f}")
    table.add_row("texts / request that Triton got", f"{rows / requests:.1f}")
    table.add_row("answers a second", f"{sum(each.rows_per_second for each in answered):,.0f}")
    table.add_row("p50 of 64 callers", f"{max(each.p50_ms for each in answered):.1f} ms")
    table.add_row("p50 of one caller alone", f"{alone.p50_ms:.1f} ms")
    Console().print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=4.0, help="length of each measurement")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        with stack(workspace, rows=2000) as ports:
            measure(workspace, ports, options.seconds)


if __name__ == "__main__":
    main()
