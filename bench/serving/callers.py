"""Callers that h2load cannot imitate: they obey RetryInfo, or send without waiting for answers.

They are Python on one core. `busy` shows how much of the core they took, and so whether they or the
server set the limit.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import uvloop

from bench.serving.connection import Connection
from bench.serving.messages import Prepared
from bench.serving.workspace import Stack

_CONNECTIONS = 16
_TICK_SECONDS = 0.001
_PATIENCE_SECONDS = 2.0
_SEED = 1


@dataclass(frozen=True)
class Called:
    """The results of callers.

    Attributes:
        asked_per_second: calls sent.
        answered_per_second: calls answered.
        p50_ms: median latency of answered calls, in milliseconds.
        p99_ms: its 99th percentile.
        refused_p99_ms: 99th percentile of the latency of refusals; NaN without any.
        unanswered: calls without an answer or refusal 2 s after the end.
        busy: CPU seconds of the generator per second.
    """

    asked_per_second: float
    answered_per_second: float
    p50_ms: float
    p99_ms: float
    refused_p99_ms: float
    unanswered: int
    busy: float


@dataclass
class _Tally:
    asked: int = 0
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def note(self, start: float, retry_after: float | None) -> None:
        """Count one outcome."""
        latencies = self.answered if retry_after is None else self.refused
        latencies.append(time.perf_counter() - start)


def closed_loop(stack: Stack, prepared: Sequence[Prepared], callers: int, seconds: float) -> Called:
    """Run callers that call again after each answer, or after a refusal's delay."""

    async def ask(connections: list[Connection], tally: _Tally) -> None:
        loop, end = asyncio.get_running_loop(), time.perf_counter() + seconds
        bodies = itertools.cycle([each.body for each in prepared])

        def start(connection: Connection) -> None:
            begin = time.perf_counter()
            if begin >= end:
                return
            tally.asked += 1

            def done(retry_after: float | None) -> None:
                tally.note(begin, retry_after)
                if retry_after:
                    loop.call_later(retry_after, start, connection)
                else:
                    start(connection)

            connection.call(next(bodies), done)

        for _, connection in zip(range(callers), itertools.cycle(connections), strict=False):
            start(connection)
        await asyncio.sleep(seconds)

    return uvloop.run(_measured(stack, prepared[0].path, seconds, ask))


def open_loop(stack: Stack, prepared: Sequence[Prepared], rate: float, seconds: float) -> Called:
    """Send calls by a Poisson process, without waiting for answers."""

    async def ask(connections: list[Connection], tally: _Tally) -> None:
        due = np.cumsum(np.random.default_rng(_SEED).exponential(1 / rate, int(rate * seconds)))
        bodies = itertools.cycle([each.body for each in prepared])
        targets = itertools.cycle(connections)
        begin = time.perf_counter()
        for arrival in (begin + due).tolist():
            while time.perf_counter() < arrival:
                await asyncio.sleep(_TICK_SECONDS)
            tally.asked += 1
            # Latency counts from the due time, so a late generator does not flatter the server.
            next(targets).call(next(bodies), partial(tally.note, arrival))

    return uvloop.run(_measured(stack, prepared[0].path, seconds, ask))


async def _measured(
    stack: Stack,
    path: str,
    seconds: float,
    ask: Callable[[list[Connection], _Tally], Awaitable[None]],
) -> Called:
    loop, tally = asyncio.get_running_loop(), _Tally()
    host, _, port = stack.grpc_address.partition(":")
    connections = []
    for _ in range(_CONNECTIONS):
        _, connection = await loop.create_connection(
            lambda: Connection(stack.grpc_address, path, stack.metadata), host, int(port)
        )
        connections.append(connection)
    cpu = time.process_time()
    await ask(connections, tally)
    busy = (time.process_time() - cpu) / seconds
    answered = len(tally.answered)
    end = time.perf_counter() + _PATIENCE_SECONDS
    while len(tally.answered) + len(tally.refused) < tally.asked and time.perf_counter() < end:
        await asyncio.sleep(0.01)
    for connection in connections:
        connection.close()
    p50, p99 = _percentiles(tally.answered)
    unanswered = tally.asked - len(tally.answered) - len(tally.refused)
    refused_p99 = _percentiles(tally.refused)[1]
    rate = answered / seconds
    return Called(tally.asked / seconds, rate, p50, p99, refused_p99, unanswered, busy)


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return median and 99th percentile in milliseconds; NaN without values."""
    if not seconds:
        return math.nan, math.nan
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return float(p50), float(p99)
