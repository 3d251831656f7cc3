"""A client that opens 5,000 streams, sends texts on each, and reads nothing."""

import asyncio
import contextlib
import re
import time
import urllib.request
from typing import Any

import grpc.aio
import psutil

from bench.serving.messages import example_texts
from bench.serving.processes import FRONT, named
from bench.serving.survival.found import Found
from bench.serving.survival.steady import client_callers
from bench.serving.workspace import TASK, Stack
from tidemill.v1 import prediction_service_pb2 as pb
from tidemill.v1.prediction_service_pb2_grpc import PredictionServiceStub

STREAMS = 5000
_CONNECTIONS = 10  # a connection may have 512
_MESSAGES = 20
_BEFORE_SECONDS = 3.0
_HELD_SECONDS = 20.0
_AFTER_SECONDS = 5.0
_MOST_MB = 500.0


async def unread_streams(stack: Stack) -> Found:
    """Check that other calls are answered meanwhile and the front's memory is bounded."""
    before = _megabytes(stack)
    async with client_callers(stack) as others:
        await asyncio.sleep(_BEFORE_SECONDS)
        begin = time.monotonic()
        channels, calls, writing = await _open(stack)
        opened = time.monotonic()
        most, streams = 0.0, 0
        while time.monotonic() - opened < _HELD_SECONDS:
            most = max(most, _megabytes(stack))
            streams = max(streams, await asyncio.to_thread(_open_streams, stack))
            await asyncio.sleep(0.5)
        end = time.monotonic()
        for call in calls:
            call.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        for channel in channels:
            await channel.close()
        await asyncio.sleep(_AFTER_SECONDS)
        left = await asyncio.to_thread(_open_streams, stack)
        recovered = time.monotonic()
        await asyncio.sleep(_BEFORE_SECONDS)
    return Found(
        f"{STREAMS:,} streams that send {_MESSAGES} texts each and read nothing, "
        f"for {_HELD_SECONDS:g} s",
        f"no other caller's call fails; the fronts grow by less than {_MOST_MB:g} MB; no stream is "
        f"left {_AFTER_SECONDS:g} s after the client ended",
        f"{streams:,} streams open at once; failed: {others.failures()} calls of others; their p99 "
        f"{others.p99_ms(until=begin):.0f} ms before, {others.p99_ms(opened, end):.0f} ms "
        f"meanwhile, {others.p99_ms(since=recovered):.0f} ms afterwards; the fronts' memory "
        f"{before:.0f} MB before, {most:.0f} MB at most, {_megabytes(stack):.0f} MB afterwards; "
        f"{left:,} streams left",
        streams == STREAMS and others.failed() == 0 and most - before < _MOST_MB and left == 0,
    )


async def _open(
    stack: Stack,
) -> tuple[list[grpc.aio.Channel], list[Any], list["asyncio.Task[None]"]]:
    channels = [
        grpc.aio.insecure_channel(stack.grpc_address, [("grpc.use_local_subchannel_pool", 1)])
        for _ in range(_CONNECTIONS)
    ]
    texts, calls, writing = example_texts(), [], []
    for number in range(STREAMS):
        stub = PredictionServiceStub(channels[number % _CONNECTIONS])
        calls.append(stub.StreamPredict(metadata=stack.metadata))
        writing.append(asyncio.create_task(_write(calls[-1], texts[number % len(texts)])))
        if number % 100 == 0:
            await asyncio.sleep(0)
    # Writes that flow control holds back go on waiting: canceling one would cancel its stream.
    await asyncio.wait(writing, timeout=_HELD_SECONDS)
    return channels, calls, writing


async def _write(call: Any, text: str) -> None:
    with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
        for number in range(_MESSAGES):
            await call.write(pb.StreamPredictRequest(id=str(number), task=TASK, text=text))


def _megabytes(stack: Stack) -> float:
    fronts: list[psutil.Process] = named(stack.pid)[FRONT]
    return float(sum(process.memory_info().rss for process in fronts)) / 1e6


def _open_streams(stack: Stack) -> int:
    """Return the number of open streams by the fronts' metrics."""
    with urllib.request.urlopen(stack.metrics_url) as answer:  # noqa: S310 -- our own stack's
        said = answer.read().decode()
    pattern = r"^tidemill_in_flight_requests\{[^}]*/StreamPredict\"\} (\S+)$"
    found = re.search(pattern, said, re.MULTILINE)
    return int(float(found[1])) if found else 0
