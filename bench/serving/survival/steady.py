"""Callers that call all the time and record the outcome of every call."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc.aio
import numpy as np

from bench.serving.messages import example_texts
from bench.serving.workspace import TASK, Stack
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub
from tidemill_client import AsyncTidemillClient, TidemillError

_CALLERS = 8
_PAUSE_SECONDS = 0.005
"""The pause between two calls of a caller: this is about failures, not about load."""


@dataclass
class Calls:
    """The outcomes of calls.

    Attributes:
        ended: (start, end, code) of each call, by time.monotonic.
    """

    ended: list[tuple[float, float, str]] = field(default_factory=list)

    def codes(self, since: float = 0.0) -> Counter[str]:
        """Return the number of calls by code, of those that began since a moment."""
        return Counter(code for begin, _, code in self.ended if begin >= since)

    def failures(self, since: float = 0.0) -> str:
        """Return the failures among them, in words."""
        codes = self.codes(since)
        failed = ", ".join(f"{n:,} {code}" for code, n in codes.most_common() if code != "OK")
        return f"{failed or '0'} of {codes.total():,}"

    def failed(self) -> int:
        """Return the number of calls that were not answered."""
        return sum(code != "OK" for _, _, code in self.ended)

    def last_failure(self) -> float | None:
        """Return when the last failed call ended; None if none failed."""
        return max((end for _, end, code in self.ended if code != "OK"), default=None)

    def p99_ms(self, since: float = 0.0, until: float = float("inf")) -> float:
        """Return the p99 of answered calls that began between two moments, in milliseconds."""
        seconds = [e - b for b, e, code in self.ended if code == "OK" and since <= b < until]
        return float(np.percentile(seconds, 99) * 1000) if seconds else float("nan")


@asynccontextmanager
async def plain_callers(stack: Stack, timeout: float = 5.0) -> AsyncIterator[Calls]:
    """Run callers with plain stubs, each on its own connection, without retries."""
    calls, texts = Calls(), itertools.cycle(example_texts())
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 200)]
    channels = [grpc.aio.insecure_channel(stack.grpc_address, options) for _ in range(_CALLERS)]
    stubs = [PredictionServiceStub(channel) for channel in channels]

    async def ask(number: int) -> str:
        request = pb.PredictRequest(task=TASK, text=next(texts))
        try:
            await stubs[number].Predict(request, timeout=timeout, metadata=stack.metadata)
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    async with _running(ask, calls):
        yield calls
    for channel in channels:
        await channel.close()


@asynccontextmanager
async def client_callers(stack: Stack) -> AsyncIterator[Calls]:
    """Run callers with Tidemill's own client, which retries."""
    calls, texts = Calls(), itertools.cycle(example_texts())
    key = stack.metadata[0][1].removeprefix("Bearer ")
    async with AsyncTidemillClient(stack.grpc_address, api_key=key) as client:

        async def ask(_number: int) -> str:
            try:
                await client.predict(TASK, next(texts))
            except TidemillError as error:
                return error.code.name
            return "OK"

        async with _running(ask, calls):
            yield calls


@asynccontextmanager
async def _running(ask: Callable[[int], Awaitable[str]], calls: Calls) -> AsyncIterator[None]:
    stopping = asyncio.Event()

    async def caller(number: int) -> None:
        while not stopping.is_set():
            begin = time.monotonic()
            code = await ask(number)
            calls.ended.append((begin, time.monotonic(), code))
            await asyncio.sleep(_PAUSE_SECONDS)

    callers = [asyncio.create_task(caller(number)) for number in range(_CALLERS)]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*callers)
