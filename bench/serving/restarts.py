"""Restarts of the server's workers one at a time, and the calls that fail meanwhile.

    python -m bench.serving.restarts [--restarts 10]

Three kinds of callers call a stack of two workers meanwhile: plain callers, callers that retry
UNAVAILABLE by gRPC's own retry policy, and callers that keep streams open. A stream that ends
between two answers has not failed: its caller opens another one. Exits with 1 if a call failed. A
run of at least 10 restarts writes docs/benchmarks/restarts.md.
"""

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from bench import end_on_sigterm
from bench.serving.messages import example_texts
from bench.serving.pages import markdown, print_table, write_page
from bench.serving.workspace import TASK, Stack, make_workspace, running_stack
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub

CHANNELS, CALLERS, STREAMS = 4, 8, 8
_WORTH_A_PAGE = 10
_HEADER = ("callers", "OK", "other")
RETRY = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 4,
                "initialBackoff": "0.05s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ]
}


class Callers:
    """Callers of one kind, on their own connections."""

    def __init__(self, stack: Stack, service_config: str = "") -> None:
        options: list[tuple[str, str | int]] = [("grpc.use_local_subchannel_pool", 1)]
        if service_config:
            options.append(("grpc.service_config", service_config))
        address = stack.grpc_address
        self._channels = [grpc.aio.insecure_channel(address, options) for _ in range(CHANNELS)]
        self._metadata = stack.metadata
        self._texts = itertools.cycle(example_texts())
        self.outcomes: Counter[str] = Counter()

    async def ask(self, stopping: asyncio.Event) -> None:
        """Send one text after another on all connections until the end."""
        stubs = [PredictionServiceStub(each) for each in self._channels]
        callers = itertools.islice(itertools.cycle(stubs), CALLERS)
        await asyncio.gather(*(self._ask(stub, stopping) for stub in callers))
        await self.close()

    async def stream(self, stopping: asyncio.Event) -> None:
        """Keep streams open until the end, with one text under way in each."""
        stubs = [PredictionServiceStub(each) for each in self._channels]
        streams = itertools.islice(itertools.cycle(stubs), STREAMS)
        await asyncio.gather(*(self._stream(stub, stopping) for stub in streams))
        await self.close()

    def others(self) -> list[str]:
        """Return the outcomes other than OK, in words."""
        return [f"{count:,} {what}" for what, count in self.outcomes.items() if what != "OK"]

    async def close(self) -> None:
        """Close the connections."""
        for channel in self._channels:
            await channel.close()

    async def _ask(self, stub: Any, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            request = pb.PredictRequest(task=TASK, text=next(self._texts))
            try:
                await stub.Predict(request, timeout=10, metadata=self._metadata)
                self.outcomes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                self.outcomes[f"{error.code().name}: {error.details()}"] += 1

    async def _stream(self, stub: Any, stopping: asyncio.Event) -> None:
        answered = asyncio.Semaphore(1)

        async def requests() -> AsyncIterator[pb.StreamPredictRequest]:
            while not stopping.is_set():
                await answered.acquire()
                await asyncio.sleep(0.02)
                yield pb.StreamPredictRequest(task=TASK, text=next(self._texts))

        while not stopping.is_set():
            try:
                async for answer in stub.StreamPredict(requests(), metadata=self._metadata):
                    kind = "OK" if answer.HasField("prediction") else answer.error.message
                    self.outcomes[kind] += 1
                    answered.release()
            except grpc.aio.AioRpcError as error:
                self.outcomes[f"ended, {error.code().name}: {error.details()}"] += 1
                answered = asyncio.Semaphore(1)


async def measure(stack: Stack, workspace: Path, restarts: int) -> bool:
    """Restart under load and print the outcomes; return whether every call was answered."""
    kinds = {
        "plain": Callers(stack),
        "with retries": Callers(stack, json.dumps(RETRY)),
        "streams": Callers(stack),
    }
    stopping = asyncio.Event()
    load = [
        asyncio.create_task(each.stream(stopping) if name == "streams" else each.ask(stopping))
        for name, each in kinds.items()
    ]
    await asyncio.sleep(2.0)
    begin = time.monotonic()
    command = [sys.executable, "-m", "tidemill_cli.main", "restart"]
    for _ in range(restarts):
        # In a thread: the event loop would fork while gRPC's threads run.
        await asyncio.to_thread(subprocess.run, command, cwd=workspace, check=True)
    seconds = (time.monotonic() - begin) / restarts
    stopping.set()
    await asyncio.gather(*load)
    rows = [
        (name, f"{each.outcomes['OK']:,}", "; ".join(each.others()) or "0")
        for name, each in kinds.items()
    ]
    summary = f"{restarts} restarts of two workers, {seconds:.1f} s each."
    print_table(_HEADER, rows)
    print(summary)
    if restarts >= _WORTH_A_PAGE:
        write_page(
            "restarts",
            "bench.serving.restarts",
            callers=str(CALLERS),
            streams=str(STREAMS),
            outcomes=markdown(_HEADER, rows),
            summary=summary,
        )
    return all(set(kinds[name].outcomes) == {"OK"} for name in ("plain", "with retries"))


def main() -> int:
    """Run the benchmark; return 1 if a call failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--restarts", type=int, default=10, help="number of restarts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_stack(make_workspace(folder), 2) as stack:
            answered = uvloop.run(measure(stack, folder, options.restarts))
    return 0 if answered else 1


if __name__ == "__main__":
    end_on_sigterm()
    sys.exit(main())
