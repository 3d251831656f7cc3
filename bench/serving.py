"""Requests a second through the front, against Triton asked directly with ready token ids.

    python -m bench.serving [--seconds 5] [--rows 2000] [--json]

Starts a stack of its own in a temporary folder, trained on the first rows of the shipped
example, and asks it from this process with grpc.aio. Load generator, front and Triton share the
machine's cores, so look at the ratios of one run, not at its absolute figures.
"""

import argparse
import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import asdict
from pathlib import Path

import grpc.aio
import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

from bench.load import TASK, Measured, closed_loop, stack, texts
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tidemill_core.model_repository import TOKENIZER_FILE, ModelRepository
from tidemill_core.text import TextEncoder
from tidemill_core.triton.client import TritonClient

IN_FLIGHT = 64
BATCH = 64


async def streamed(stub: PredictionServiceStub, chosen: Iterator[str], seconds: float) -> Measured:
    """Keep one stream full; the latency is a text's own, from its sending to its answer."""
    sent: dict[str, float] = {}
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def requests() -> AsyncIterator[pb.StreamPredictRequest]:
        for number, text in enumerate(chosen):
            if time.perf_counter() > end:
                return
            while len(sent) - len(latencies) >= IN_FLIGHT:
                await asyncio.sleep(0)
            sent[str(number)] = time.perf_counter()
            yield pb.StreamPredictRequest(id=str(number), task=TASK, text=text)

    begin = time.perf_counter()
    async for answer in stub.StreamPredict(requests()):
        latencies.append(time.perf_counter() - sent[answer.id])  # noqa: PERF401 -- `requests` reads it
    p50, p99 = np.percentile(latencies, [50, 99]) * 1000
    rate = len(latencies) / (time.perf_counter() - begin)
    return Measured(
        f"StreamPredict, one stream, {IN_FLIGHT} in flight", rate, float(p50), float(p99)
    )


async def measure(workspace: Path, ports: dict[str, int], seconds: float) -> list[Measured]:
    """Ask a running stack in every way, one after another."""
    asked = texts()
    repository = ModelRepository(workspace / "model_repository")
    manifest = repository.manifest(TASK, "onnx", 1)
    tokenizer = repository.folder(TASK, "onnx", 1) / TOKENIZER_FILE
    encoder = TextEncoder(tokenizer, manifest.sequence_length)
    ids = itertools.cycle([encoder.encode([next(asked)]) for _ in range(1000)])
    triton = TritonClient(f"127.0.0.1:{ports['TRITON_GRPC']}")
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{ports['GRPC']}")
    stub = PredictionServiceStub(channel)

    def directly() -> Awaitable[object]:
        return triton.infer(f"{TASK}-onnx", 1, next(ids), 10.0)

    def unary() -> Awaitable[object]:
        return stub.Predict(pb.PredictRequest(task=TASK, text=next(asked)))

    def batch() -> Awaitable[object]:
        chosen = list(itertools.islice(asked, BATCH))
        return stub.BatchPredict(pb.BatchPredictRequest(task=TASK, texts=chosen))

    await closed_loop("warm-up", 1.0, IN_FLIGHT, 1, unary)
    results = [
        await closed_loop(
            f"Triton directly, {IN_FLIGHT} in flight", seconds, IN_FLIGHT, 1, directly
        ),
        await closed_loop(f"Predict, {IN_FLIGHT} in flight", seconds, IN_FLIGHT, 1, unary),
        await streamed(stub, asked, seconds),
        await closed_loop(f"BatchPredict of {BATCH}, 4 in flight", seconds, 4, BATCH, batch),
        await closed_loop("Triton directly, one caller", seconds, 1, 1, directly),
        await closed_loop("Predict, one caller", seconds, 1, 1, unary),
    ]
    await channel.close()
    await triton.close()
    return results


def show(results: list[Measured]) -> None:
    """Print a table; the ratio is to Triton asked directly by as many."""
    table = Table("asked", "rows/s", "of Triton directly", "p50 ms", "p99 ms")
    many, one = results[0].rows_per_second, results[4].rows_per_second
    for result in results:
        base = one if "one caller" in result.name else many
        ratio = f"{result.rows_per_second / base:.2f}"
        rate = f"{result.rows_per_second:,.0f}"
        table.add_row(result.name, rate, ratio, f"{result.p50_ms:.2f}", f"{result.p99_ms:.2f}")
    Console().print(table)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each measurement")
    parser.add_argument("--rows", type=int, default=2000, help="rows of the example to train on")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        with stack(workspace, options.rows) as ports:
            results = uvloop.run(measure(workspace, ports, options.seconds))
    if options.json:
        print(json.dumps([asdict(result) for result in results], indent=2))
    else:
        show(results)


if __name__ == "__main__":
    main()
