"""Memory over time, under a mixed load with a new model version each minute.

    python -m bench.serving.memory [--minutes 20]

Each minute a version is trained, tested, loaded and promoted, and an older one is unloaded, while
callers use Predict, BatchPredict and StreamPredict. A run of at least 20 minutes writes
docs/benchmarks/memory.md. Exits with 1 if a slope misses its target.
"""

import argparse
import asyncio
import contextlib
import csv
import itertools
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import grpc.aio
import numpy as np
import psutil
import uvloop
from google.rpc import code_pb2

from bench import end_on_sigterm
from bench.serving.messages import example_texts
from bench.serving.pages import Rows, markdown, print_table, write_page
from bench.serving.processes import named
from bench.serving.targets import Target
from bench.serving.workspace import EXAMPLE, TASK, Stack, Workspace, running_stack
from tidemill.v1 import job_service_pb2, job_service_pb2_grpc
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub

_ROWS = 2000
_CALLERS = 8
_PAUSE_SECONDS = 0.02
_BATCH = 64
_STREAM_MESSAGES = 500
_SAMPLE_SECONDS = 5.0
_SWAP_SECONDS = 60.0
_SETTLING = 0.25  # share of the time in which caches and the allocator grow
_MOST_MB_PER_MINUTE = 1.0
_WORTH_A_PAGE_MINUTES = 20
_HEADER = ("process", "number", "first MB", "last MB", "target of the slope", "measured", "")
# Every version passes its gates, because the benchmark is about the swap.
_SETTINGS = f"""\
[tasks.{TASK}]
sources = [{{ path = "train.csv", label_column = "category" }}]
[auth]
required = true
[gate]
max_accuracy_drop = 1.0
max_class_drop = 1.0
max_calibration_error = 1.0
max_slowdown = 1000
[monitoring]
max_p99_latency_ms = 10000
"""


@dataclass
class Observed:
    """The observations.

    Attributes:
        rows: texts answered.
        failures: failed calls and failed texts of streams and batches, by their codes.
        versions: model versions that answered.
        megabytes: (minutes since the start, mean resident size) by kind of process.
        numbers: of the processes of a kind at the same time.
    """

    rows: int = 0
    failures: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    versions: set[int] = field(default_factory=set)
    megabytes: dict[str, list[tuple[float, float]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    numbers: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def count(self, answer: pb.StreamPredictResponse | pb.BatchPredictResult) -> None:
        """Count the answer to one text."""
        if answer.HasField("error"):
            self.failures[code_pb2.Code.Name(answer.error.code)] += 1
        else:
            self.rows += 1
            self.versions.add(answer.prediction.model_version)

    def summary(self) -> str:
        """Return what the callers got."""
        failed = "; ".join(f"{n:,} {code}" for code, n in self.failures.items()) or "none"
        versions = len(self.versions)
        return f"{self.rows:,} texts were answered by {versions} versions. Failures: {failed}."


class Mixed:
    """The callers.

    Args:
        stack: the stack that they call.
        observed: collects the outcomes.
    """

    def __init__(self, stack: Stack, observed: Observed) -> None:
        self._channel = grpc.aio.insecure_channel(stack.grpc_address)
        self._stub = PredictionServiceStub(self._channel)
        self._jobs = job_service_pb2_grpc.JobServiceStub(self._channel)
        self._metadata = stack.metadata
        self._observed = observed
        self._texts = itertools.cycle(example_texts())

    async def run(self, seconds: float | None, swaps: bool = True) -> None:
        """Call for a number of seconds, or until canceled; with a new version each minute."""
        callers = [self._forever(self._unary) for _ in range(_CALLERS)]
        callers += [self._forever(self._batch), self._forever(self._stream)]
        callers += [self._swap()] if swaps else []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(*callers)
        await self._channel.close()

    async def _forever(self, call: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await call()
            except grpc.aio.AioRpcError as error:
                self._observed.failures[error.code().name] += 1
            await asyncio.sleep(_PAUSE_SECONDS)

    async def _unary(self) -> None:
        request = pb.PredictRequest(task=TASK, text=next(self._texts))
        answer = await self._stub.Predict(request, metadata=self._metadata)
        self._observed.rows += 1
        self._observed.versions.add(answer.prediction.model_version)

    async def _batch(self) -> None:
        texts = list(itertools.islice(self._texts, _BATCH))
        request = pb.BatchPredictRequest(task=TASK, texts=texts)
        answer = await self._stub.BatchPredict(request, metadata=self._metadata)
        for result in answer.results:
            self._observed.count(result)
        await asyncio.sleep(10 * _PAUSE_SECONDS)

    async def _stream(self) -> None:
        async for answer in self._stub.StreamPredict(self._messages(), metadata=self._metadata):
            self._observed.count(answer)

    async def _messages(self) -> AsyncIterator[pb.StreamPredictRequest]:
        for number in range(_STREAM_MESSAGES):
            yield pb.StreamPredictRequest(id=str(number), task=TASK, text=next(self._texts))
            await asyncio.sleep(_PAUSE_SECONDS / 2)

    async def _swap(self) -> None:
        while True:
            await asyncio.sleep(_SWAP_SECONDS)
            request = job_service_pb2.RunJobRequest(job="retrain", task=TASK)
            await self._jobs.RunJob(request, metadata=self._metadata)


async def observe(stack: Stack, minutes: float) -> Observed:
    """Load a stack and record its memory."""
    observed, begin = Observed(), time.monotonic()
    mixed = asyncio.create_task(Mixed(stack, observed).run(minutes * 60))
    while not mixed.done():
        for name, processes in named(stack.pid).items():
            with contextlib.suppress(psutil.NoSuchProcess):
                size = fmean(process.memory_info().rss for process in processes) / 1e6
                observed.megabytes[name].append(((time.monotonic() - begin) / 60, size))
                observed.numbers[name].add(len(processes))
        await asyncio.wait([mixed], timeout=_SAMPLE_SECONDS)
    await mixed
    return observed


def rows_of(observed: Observed, minutes: float) -> Rows:
    """Return a row per kind of process, with the slope of a least-squares line after the start."""
    rows: Rows = []
    for name, samples in observed.megabytes.items():
        settled = np.array([each for each in samples if each[0] >= minutes * _SETTLING])
        slope = float(np.polyfit(settled[:, 0], settled[:, 1], 1)[0])
        target = Target(name, _MOST_MB_PER_MINUTE, False, " MB/min", slope)
        first, last = f"{settled[0, 1]:.0f}", f"{settled[-1, 1]:.0f}"
        number = " or ".join(map(str, sorted(observed.numbers[name])))
        rows.append((name, number, first, last, target.wanted, target.shown, target.verdict))
    return rows


@contextlib.contextmanager
def _small_stack() -> Iterator[Stack]:
    with (
        tempfile.TemporaryDirectory() as name,
        running_stack(small_workspace(Path(name)), 2) as stack,
    ):
        yield stack


def small_workspace(folder: Path) -> Workspace:
    """Write a workspace that trains in seconds, and whose versions pass their gates."""
    (folder / "tidemill.toml").write_text(_SETTINGS)
    _from_example(folder / "train.csv")
    return Workspace(folder)


def _from_example(target: Path) -> None:
    """Write the first rows of the example, so that a training fits into a minute."""
    with EXAMPLE.open(encoding="utf-8", newline="") as source:
        chosen = list(itertools.islice(csv.reader(source), _ROWS + 1))
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(chosen)


def main() -> int:
    """Measure, print and write the page; return 1 if a slope misses its target."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=20.0, help="duration")
    minutes = parser.parse_args().minutes
    with _small_stack() as stack:
        observed = uvloop.run(observe(stack, minutes))
    rows = rows_of(observed, minutes)
    print_table(_HEADER, rows)
    print(observed.summary())
    if minutes >= _WORTH_A_PAGE_MINUTES:
        write_page(
            "memory",
            "bench.serving.memory",
            batch=str(_BATCH),
            processes=markdown(_HEADER, rows),
            summary=observed.summary(),
        )
    return 1 if any("SHORT" in row for row in rows) else 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
