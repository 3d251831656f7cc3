"""Memory over many version changes under load, and what callers notice of them.

    python -m bench.release.changes [--changes 200] [--restart-above-mb 1024]

Two versions of a small model are trained. Then the second is promoted, which loads it in Triton,
and rolled back, which unloads it, again and again, while callers use Predict, BatchPredict and
StreamPredict. It prints the memory after every tenth of the changes, and the failed calls, and
exits with 1 if a call has failed. With a low `--restart-above-mb`, Triton is restarted meanwhile.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import grpc.aio
import psutil
import uvloop

from bench import end_on_sigterm
from bench.serving.memory import Mixed, Observed, small_workspace
from bench.serving.processes import named
from bench.serving.workspace import TASK, Stack, running_stack
from tidemill.v1 import job_service_pb2, job_service_pb2_grpc
from tidemill.v1 import model_service_pb2 as pb
from tidemill.v1.model_service_pb2_grpc import ModelServiceStub

_PARTS = 10
_WIDTH = 20
_LOADED_SECONDS = 1.0
_UNLOADED_SECONDS = 7.5
"""The time after which a version without traffic is unloaded: `tidemill_jobs.release.serving`."""
_TRAINED_SECONDS = 900.0
_CHAMPION = pb.MODEL_STATE_CHAMPION
_KINDS = ("front", "Triton", "Triton's backend", "jobs")


async def change(stack: Stack, changes: int) -> Observed:
    """Train the versions, and change between them under load; print the table's rows."""
    observed = Observed()
    async with grpc.aio.insecure_channel(stack.grpc_address) as channel:
        await _train(stack, channel)
        load = asyncio.create_task(Mixed(stack, observed).run(None, swaps=False))
        models, begin = ModelServiceStub(channel), time.monotonic()
        for number in range(changes):
            if number % max(1, changes // _PARTS) == 0:
                _print(_row(stack, observed, number, begin))
            await _change(models, stack, is_back=number % 2 == 0)
        _print(_row(stack, observed, changes, begin))
        load.cancel()
        await asyncio.wait([load])
    return observed


def _print(row: Iterable[str]) -> None:
    """Print a row at once: a run takes most of an hour."""
    print("".join(cell.rjust(_WIDTH) for cell in row), flush=True)


async def _change(models: ModelServiceStub, stack: Stack, is_back: bool) -> None:
    """Go back to the first version, or promote the second."""
    if is_back:
        back = pb.RollbackModelRequest(task=TASK)
        await models.RollbackModel(back, metadata=stack.metadata)
        await asyncio.sleep(_UNLOADED_SECONDS)
    else:
        request = pb.PromoteModelVersionRequest(task=TASK, model_version=2)
        await models.PromoteModelVersion(request, metadata=stack.metadata)
        await asyncio.sleep(_LOADED_SECONDS)


async def _train(stack: Stack, channel: grpc.aio.Channel) -> None:
    """Train the second version; the stack has trained the first."""
    jobs = job_service_pb2_grpc.JobServiceStub(channel)
    request = job_service_pb2.RunJobRequest(job="retrain", task=TASK)
    await jobs.RunJob(request, metadata=stack.metadata)
    models, asked = ModelServiceStub(channel), pb.ListModelVersionsRequest(task=TASK)
    deadline = time.monotonic() + _TRAINED_SECONDS
    while True:
        listed = await models.ListModelVersions(asked, metadata=stack.metadata)
        if {each.model_version: each.state for each in listed.model_versions}.get(2) == _CHAMPION:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"the second version is no champion after {_TRAINED_SECONDS:g} s")
        await asyncio.sleep(1)


def _row(stack: Stack, observed: Observed, number: int, begin: float) -> tuple[str, ...]:
    sizes = []
    processes = named(stack.pid)
    for kind in _KINDS:
        size = 0.0
        for process in processes.get(kind, ()):
            with contextlib.suppress(psutil.NoSuchProcess):
                size += process.memory_info().rss / 1e6
        sizes.append(f"{size:.0f}")
    minutes = f"{(time.monotonic() - begin) / 60:.1f}"
    return (str(number), minutes, *sizes, f"{observed.rows:,}", str(_failed(observed)))


def _failed(observed: Observed) -> int:
    return sum(observed.failures.values())


@contextlib.contextmanager
def _stack(restart_above_mb: float) -> Iterator[Stack]:
    variables = {
        "TIDEMILL_TRITON__RESTART_ABOVE_MB": str(restart_above_mb),
        "TIDEMILL_TRACKING__TRACKERS": "[]",
        # The benchmark is about changes: an overloaded machine must not refuse its calls.
        "TIDEMILL_SERVER__MAX_QUEUE_DELAY_MS": "5000",
    }
    with (
        tempfile.TemporaryDirectory() as name,
        running_stack(small_workspace(Path(name)), 2, variables) as stack,
    ):
        yield stack


def main() -> int:
    """Measure and print; return 1 if a call failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--restart-above-mb", type=float, default=1024.0)
    given = parser.parse_args()
    with _stack(given.restart_above_mb) as stack:
        _print(("changes", "minutes", *(f"{kind} MB" for kind in _KINDS), "texts", "failed"))
        observed = uvloop.run(change(stack, given.changes))
    print(observed.summary())
    return 1 if _failed(observed) else 0


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
