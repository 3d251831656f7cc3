"""Callers of gRPC servers: closed loops that obey RetryInfo, and open loops that never wait.

They are Python on one core. `Load.generator` shows how much of the core they took, and so whether
they or the server set the limit.
"""

import asyncio
import itertools
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import uvloop

from bench.serving.connection import Connection, header_block
from bench.serving.load import Load

_MOST_CONNECTIONS = 16
_TICK_SECONDS = 0.001
_PATIENCE_SECONDS = 2.0
_SEED = 1


def _one(_answer: bytes) -> int:
    return 1


@dataclass(frozen=True)
class Crew:
    """Callers of one method.

    Attributes:
        address: host:port.
        path: the method, `/package.Service/Method`.
        metadata: the metadata of each call.
        bodies: length-prefixed messages of one call after the other.
        callers: number of the callers of a closed loop.
        rows_asked: texts in a call.
        rows: returns the number of texts that an answer, or the first part of one, answers.
        obeys: whether a refusal's RetryInfo is read, which costs as much as two calls.
    """

    address: str
    path: str
    metadata: Sequence[tuple[str, str]]
    bodies: Iterator[bytes]
    callers: int
    rows_asked: int = 1
    rows: Callable[[bytes], int] = _one
    obeys: bool = True


@dataclass
class _Tally:
    in_time: float = math.inf
    asked: int = 0
    answered: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    late: int = 0
    answers: list[bytes] = field(default_factory=list)
    rows: int = 0

    def note(self, start: float, answer: bytes, retry_after: float | None) -> None:
        """Count one outcome."""
        latency = time.perf_counter() - start
        if retry_after is not None:
            self.refused.append(latency)
        elif latency > self.in_time:
            self.late += 1
        else:
            self.answered.append(latency)
            self.answers.append(answer)

    @property
    def open(self) -> int:
        """The number of calls without an outcome."""
        return self.asked - len(self.answered) - len(self.refused) - self.late


def closed_loop(crews: Sequence[Crew], seconds: float) -> list[Load]:
    """Run callers that call again after each answer, or after a refusal's delay.

    Returns:
        A result for each crew.

    Raises:
        ConnectionError: a server closed a connection.
    """
    return uvloop.run(_measured([(crew, _Tally(), _again(crew)) for crew in crews], seconds))


def open_loop(crew: Crew, rate: float, seconds: float, in_time: float) -> Load:
    """Send calls by a Poisson process, without waiting for answers.

    Args:
        crew: the callers; their number does not matter.
        rate: calls per second.
        seconds: duration.
        in_time: the deadline of each call in seconds; a later answer does not count.

    Raises:
        ConnectionError: the server closed a connection.
    """
    timeout = ("grpc-timeout", f"{in_time * 1000:.0f}m")
    metadata = (*crew.metadata, timeout)
    hurried = replace(crew, metadata=metadata, callers=_MOST_CONNECTIONS, obeys=False)
    (found,) = uvloop.run(
        _measured([(hurried, _Tally(in_time), _without_waiting(hurried, rate))], seconds)
    )
    return found


_Ask = Callable[[list[Connection], _Tally, float], Awaitable[None]]
"""Calls on connections until a number of seconds have passed."""


def _again(crew: Crew) -> _Ask:
    headers = header_block(crew.address, crew.path, crew.metadata)

    async def ask(connections: list[Connection], tally: _Tally, seconds: float) -> None:
        loop, end = asyncio.get_running_loop(), time.perf_counter() + seconds

        def start(connection: Connection) -> None:
            begin = time.perf_counter()
            if begin >= end:
                return
            tally.asked += 1

            def done(answer: bytes, retry_after: float | None) -> None:
                tally.note(begin, answer, retry_after)
                if retry_after:
                    loop.call_later(retry_after, start, connection)
                else:
                    start(connection)

            connection.call(headers, next(crew.bodies), done)

        for _, connection in zip(range(crew.callers), itertools.cycle(connections), strict=False):
            start(connection)
        await asyncio.sleep(seconds)

    return ask


def _without_waiting(crew: Crew, rate: float) -> _Ask:
    headers = header_block(crew.address, crew.path, crew.metadata)

    async def ask(connections: list[Connection], tally: _Tally, seconds: float) -> None:
        due = np.cumsum(np.random.default_rng(_SEED).exponential(1 / rate, int(rate * seconds)))
        targets, begin = itertools.cycle(connections), time.perf_counter()
        for arrival in (begin + due).tolist():
            while time.perf_counter() < arrival:
                await asyncio.sleep(_TICK_SECONDS)
            tally.asked += 1
            # Latency counts from the due time, so a late generator does not flatter the server.
            next(targets).call(headers, next(crew.bodies), partial(tally.note, arrival))

    return ask


async def _measured(asking: Sequence[tuple[Crew, _Tally, _Ask]], seconds: float) -> list[Load]:
    connections = [await _connected(crew) for crew, _, _ in asking]
    cpu = time.process_time()
    await asyncio.gather(
        *(
            ask(each, tally, seconds)
            for each, (_, tally, ask) in zip(connections, asking, strict=True)
        )
    )
    busy = (time.process_time() - cpu) / seconds
    for each, (crew, tally, _) in zip(connections, asking, strict=True):
        parts = [part for connection in each for part in connection.parts()]
        tally.rows = sum(map(crew.rows, tally.answers + parts))
    end = time.perf_counter() + _PATIENCE_SECONDS
    while any(tally.open for _, tally, _ in asking) and time.perf_counter() < end:
        await asyncio.sleep(0.01)
    if any(connection.lost for each in connections for connection in each):
        raise ConnectionError("the server closed a connection")
    for connection in itertools.chain(*connections):
        connection.close()
    return [_load(crew, tally, seconds, busy) for crew, tally, _ in asking]


async def _connected(crew: Crew) -> list[Connection]:
    loop = asyncio.get_running_loop()
    host, _, port = crew.address.partition(":")
    count = min(crew.callers, _MOST_CONNECTIONS)
    make = partial(Connection, crew.obeys)
    return [(await loop.create_connection(make, host, int(port)))[1] for _ in range(count)]


def _load(crew: Crew, tally: _Tally, seconds: float, busy: float) -> Load:
    p50, p99 = _percentiles(tally.answered)
    return Load(
        asked_per_second=tally.asked * crew.rows_asked / seconds,
        rows_per_second=tally.rows / seconds,
        p50_ms=p50,
        p99_ms=p99,
        refused_p99_ms=_percentiles(tally.refused)[1],
        refused=len(tally.refused) / max(tally.asked, 1),
        unanswered=tally.open + tally.late,
        generator=busy,
    )


def _percentiles(seconds: list[float]) -> tuple[float, float]:
    """Return median and 99th percentile in milliseconds; NaN without values."""
    if not seconds:
        return math.nan, math.nan
    p50, p99 = np.percentile(seconds, [50, 99]) * 1000
    return float(p50), float(p99)
