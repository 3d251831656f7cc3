"""A database outage of minutes, and whether all predictions survive it.

    python -m bench.serving.outage [--seconds 300] [--rate 500]

It starts a PostgreSQL and a stack on it, sends calls at a steady rate, stops the PostgreSQL for the
given time, starts it again, and compares the ids of all answers with those in the database. Exits
with 1 if one is missing or there twice. A run of at least 300 seconds writes
docs/benchmarks/outage.md.
"""

import argparse
import asyncio
import contextlib
import itertools
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import grpc.aio
import numpy as np
import psutil
import psycopg
import uvloop

from bench import end_on_sigterm
from bench.serving.messages import distinct_texts
from bench.serving.pages import Rows, markdown, print_table, write_page
from bench.serving.workspace import EXAMPLE, TASK, Stack, Workspace, running_stack
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub

if TYPE_CHECKING:
    from pgserver.postgres_server import PostgresServer

    from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceAsyncStub

_BEFORE_SECONDS = 3.0
_AFTER_SECONDS = 3.0
_TICK_SECONDS = 0.02
_REPLAY_SECONDS = 600.0
_WORTH_A_PAGE_SECONDS = 300


@dataclass
class Answers:
    """The outcomes of the calls.

    Attributes:
        ids: ids of the predictions.
        latencies: latencies of the answered calls, in seconds.
        failures: status codes of the other calls.
    """

    ids: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """The result of a measurement.

    Attributes:
        answers: the outcomes of the calls.
        spool_bytes: size of the spool at the end of the outage.
        replay_seconds: time from the database's return until it had the last prediction.
        stored: ids in the database.
    """

    answers: Answers
    spool_bytes: int
    replay_seconds: float
    stored: list[str]

    @property
    def lost(self) -> int:
        """The number of answered predictions that are not stored."""
        return len(set(self.answers.ids) - set(self.stored))

    @property
    def stored_twice(self) -> int:
        """The number of rows beyond one per prediction."""
        return len(self.stored) - len(set(self.stored))


@contextlib.contextmanager
def postgres() -> Iterator["PostgresServer"]:
    """Run a PostgreSQL with its default durability."""
    from pgserver.postgres_server import get_server

    server = get_server(tempfile.mkdtemp(prefix="tidemill-pg-"), cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()


def settings(url: str) -> str:
    """Return the settings of a workspace on a database."""
    return f"""\
database_url = "{url}"
[tasks.{TASK}]
sources = [{{ path = "{EXAMPLE}", label_column = "category" }}]
[auth]
required = true
# A busy machine must not keep the first model from serving.
[monitoring]
max_p99_latency_ms = 10000
"""


async def ask(
    stub: "PredictionServiceAsyncStub", text: str, stack: Stack, answers: Answers
) -> None:
    """Send one call and record its outcome."""
    request, start = pb.PredictRequest(task=TASK, text=text), time.perf_counter()
    try:
        answer = await stub.Predict(request, timeout=5, metadata=stack.metadata)
    except grpc.aio.AioRpcError as error:
        answers.failures.append(error.code().name)
    else:
        answers.latencies.append(time.perf_counter() - start)
        answers.ids.append(answer.prediction.prediction_id)


async def ask_steadily(stack: Stack, rate: int, seconds: float, answers: Answers) -> None:
    """Send calls at a rate without waiting for answers; return when all calls have ended."""
    channel = grpc.aio.insecure_channel(stack.grpc_address)
    async with channel, asyncio.TaskGroup() as calls:
        stub = PredictionServiceStub(channel)
        start, asked = time.perf_counter(), 0
        texts = itertools.cycle(distinct_texts())
        while (passed := time.perf_counter() - start) < seconds:
            for _ in range(int(passed * rate) - asked):
                calls.create_task(ask(stub, next(texts), stack, answers))
                asked += 1
            await asyncio.sleep(_TICK_SECONDS)


async def outage(server: "PostgresServer", seconds: float) -> None:
    """Stop the PostgreSQL, as an operator would, and wait for the length of the outage."""
    process = psutil.Process(server.get_pid())
    process.send_signal(signal.SIGINT)
    await asyncio.to_thread(process.wait, 30)
    await asyncio.sleep(seconds)


async def measure(
    server: "PostgresServer", stack: Stack, spool: Path, rate: int, seconds: float
) -> Outcome:
    """Send calls before, during and after an outage, and wait until all answers are stored."""
    answers = Answers()
    length = _BEFORE_SECONDS + seconds + _AFTER_SECONDS
    asking = asyncio.create_task(ask_steadily(stack, rate, length, answers))
    await asyncio.sleep(_BEFORE_SECONDS)
    await outage(server, seconds)
    spool_bytes = sum(path.stat().st_size for path in spool.iterdir())
    await asyncio.to_thread(server.ensure_postgres_running)
    back = time.perf_counter()
    await asking
    stored: list[str] = []
    while time.perf_counter() - back < _REPLAY_SECONDS:
        stored = await asyncio.to_thread(stored_ids, server)
        if set(answers.ids) <= set(stored):
            break
        await asyncio.sleep(0.5)
    return Outcome(answers, spool_bytes, time.perf_counter() - back, stored)


def stored_ids(server: "PostgresServer") -> list[str]:
    """Return the ids of all predictions in the database."""
    with psycopg.connect(server.get_uri()) as connection:
        return [row[0] for row in connection.execute("SELECT prediction_id FROM predictions")]


def rows_of(outcome: Outcome) -> Rows:
    """Return the result in rows."""
    p50, p99 = np.percentile(outcome.answers.latencies, [50, 99]) * 1000
    failures = Counter(outcome.answers.failures)
    failed = ", ".join(f"{count:,} {code}" for code, count in failures.most_common())
    return [
        ("answered", f"{len(outcome.answers.ids):,}"),
        ("refused or failed", failed or "0"),
        ("latency p50 / p99", f"{p50:.1f} / {p99:.1f} ms"),
        ("spool at the end of the outage", f"{outcome.spool_bytes / 1e6:.1f} MB"),
        ("all stored after", f"{outcome.replay_seconds:.1f} s"),
        ("lost", f"{outcome.lost:,}"),
        ("stored twice", f"{outcome.stored_twice:,}"),
    ]


def main() -> int:
    """Measure, print and write the page; return 1 if a prediction was lost or stored twice."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=300.0, help="length of the outage")
    parser.add_argument("--rate", type=int, default=500, help="calls per second")
    options = parser.parse_args()
    with postgres() as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        (folder / "tidemill.toml").write_text(settings(url))
        with running_stack(Workspace(folder), 1) as stack:
            spool = folder / "var" / "spool"
            measuring = measure(server, stack, spool, options.rate, options.seconds)
            outcome = uvloop.run(measuring)
    header = ("", f"database gone for {options.seconds:g} s at {options.rate} texts/s")
    print_table(header, rows_of(outcome))
    if options.seconds >= _WORTH_A_PAGE_SECONDS:
        write_page(
            "outage",
            "bench.serving.outage",
            rate=str(options.rate),
            seconds=f"{options.seconds:g}",
            outcome=markdown(header, rows_of(outcome)),
        )
    return 1 if outcome.lost or outcome.stored_twice else 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
