"""A well-behaved caller beside an attack."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc.aio
import psutil

from tests.integration.server.front import Front
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub

_PAUSE_SECONDS = 0.02
_REQUEST = pb.PredictRequest(task="support", text="lost my card")


@dataclass
class Neighbor:
    """What the caller and the front came to.

    Attributes:
        codes: of the calls.
        slowest: seconds of the longest call.
        megabytes: the front's largest resident size.
    """

    codes: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    megabytes: float = 0.0


@contextlib.asynccontextmanager
async def calling(front: Front) -> AsyncIterator[Neighbor]:
    """Call Predict again and again, and watch the front's memory."""
    found, stopping = Neighbor(), asyncio.Event()
    process = psutil.Process(front.process.pid)

    async def call(stub: object) -> None:
        while not stopping.is_set():
            start = time.monotonic()
            try:
                await stub.Predict(_REQUEST, timeout=30)
                found.codes["OK"] += 1
            except grpc.aio.AioRpcError as error:
                found.codes[f"{error.code().name}: {error.details()}"] += 1
            found.slowest = max(found.slowest, time.monotonic() - start)
            found.megabytes = max(found.megabytes, process.memory_info().rss / 1e6)
            await asyncio.sleep(_PAUSE_SECONDS)

    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(front.address, options) as channel:
        task = asyncio.create_task(call(PredictionServiceStub(channel)))
        try:
            yield found
        finally:
            stopping.set()
            await task
