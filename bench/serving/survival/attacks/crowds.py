"""Callers that hold something open: streams, connections, messages that never end."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bench.serving.connection import frame
from bench.serving.survival.attacks.wire import (
    CONTINUATION,
    DATA,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    SETTINGS,
    Victim,
    Wire,
    prefixed,
    setting,
)

_DRIBBLE_SECONDS = 1.0
_PART = 16_000


@dataclass(frozen=True)
class Held:
    """What came of callers that hold something open.

    Attributes:
        opened: callers or calls.
        ended: how many of them the front ended in time.
        seconds: when the last of these ended.
    """

    opened: int
    ended: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.opened:,} opened, {self.ended:,} ended by the front within {self.seconds:.0f} s"
        )


Begin = Callable[[Wire, Victim], Awaitable[None]]
"""Begins something on a connection on which nothing was sent, and never ends it."""


async def _dribble(wire: Wire, content: bytes) -> None:
    """Send one byte a second, and then nothing more."""
    for byte in content:
        if not await wire.send(bytes((byte,))):
            return
        await asyncio.sleep(_DRIBBLE_SECONDS)


async def silent(_wire: Wire, _victim: Victim) -> None:
    """Connect and send nothing."""


async def slow_preface(wire: Wire, _victim: Victim) -> None:
    """Send the preface a byte a second."""
    await _dribble(wire, PREFACE + frame(SETTINGS, 0, 0, b""))


async def slow_headers(wire: Wire, victim: Victim) -> None:
    """Send a call's headers a byte a second."""
    await wire.settle()
    await _dribble(wire, victim.opening(1))


async def slow_continuation(wire: Wire, victim: Victim) -> None:
    """Send a call's headers in frames of one byte, one a second."""
    await wire.settle()
    block = victim.headers()
    await wire.send(frame(HEADERS, 0, 1, block[:1]))
    for byte in block[1:]:
        await asyncio.sleep(_DRIBBLE_SECONDS)
        if not await wire.send(frame(CONTINUATION, 0, 1, bytes((byte,)))):
            return


async def no_body(wire: Wire, victim: Victim) -> None:
    """Open a call and never send its message."""
    await wire.settle()
    await wire.send(victim.opening(1))


async def slow_body(wire: Wire, victim: Victim) -> None:
    """Send a call's message a byte a second."""
    await wire.settle()
    await wire.send(victim.opening(1))
    for byte in victim.body():
        await asyncio.sleep(_DRIBBLE_SECONDS)
        if not await wire.send(frame(DATA, 0, 1, bytes((byte,)))):
            return


async def half_message(wire: Wire, victim: Victim) -> None:
    """Send half of a call's message, and never the rest."""
    await wire.settle()
    body = victim.body()
    await wire.send(victim.opening(1) + frame(DATA, 0, 1, body[: len(body) // 2]))


async def no_window(wire: Wire, victim: Victim) -> None:
    """Send a whole call, and never allow a byte of its answer."""
    await wire.greet(setting(INITIAL_WINDOW_SIZE, 0))
    await wire.send(victim.call(1))


SLOW: dict[str, Begin] = {
    "silent after the connection": silent,
    "the preface a byte a second": slow_preface,
    "no message": no_body,
    "a message a byte a second": slow_body,
    "half a message": half_message,
}
"""Slow callers by the phase in which they linger, which the front ends."""
SLOW_HEADERS: dict[str, Begin] = {
    "headers a byte a second": slow_headers,
    "headers in frames of a byte a second": slow_continuation,
}
"""Slow callers that are ended only when they pause: h2corn's limit starts again with each byte."""


async def hold(victim: Victim, begin: Begin, callers: int, seconds: float) -> Held:
    """Let callers linger, each on its own connection, and see whether the front ends them.

    Args:
        victim: the front.
        begin: what each caller does.
        callers: their number.
        seconds: how long the front may take to end them.
    """
    loop = asyncio.get_running_loop()
    wires = [await Wire.connected(victim.address) for _ in range(callers)]
    start = loop.time()
    doing = [asyncio.ensure_future(begin(wire, victim)) for wire in wires]
    ended = await asyncio.gather(*(wire.until_ended(1, seconds) for wire in wires))
    took = loop.time() - start
    for task, wire in zip(doing, wires, strict=True):
        task.cancel()
        await wire.close()
    await asyncio.gather(*doing, return_exceptions=True)
    return Held(callers, sum(ended), took)


async def many_streams(victim: Victim, streams: int, per_connection: int, seconds: float) -> Held:
    """Open streams without a message, and hold them.

    Args:
        victim: the front.
        streams: their number.
        per_connection: streams on each connection.
        seconds: how long they are held.
    """
    wires: list[Wire] = []
    for begin in range(0, streams, per_connection):
        wire = await Wire.opened(victim.address)
        wires.append(wire)
        numbers = range(1, 2 * min(per_connection, streams - begin), 2)
        await wire.send(b"".join(map(victim.opening, numbers)))
    await asyncio.sleep(seconds)
    ended = sum(per_connection if wire.closed.is_set() else len(wire.ended) for wire in wires)
    for wire in wires:
        await wire.close()
    return Held(streams, ended, seconds)


async def bombs(victim: Victim, count: int, message: bytes) -> Held:
    """Send calls at once whose compressed messages are small and grow by decompression.

    Args:
        victim: the front.
        count: number of calls, on as many connections.
        message: the message before it is compressed.
    """
    loop = asyncio.get_running_loop()
    parts = _parts(prefixed(message, compressed=True))
    frames = [
        frame(DATA, int(number == len(parts) - 1), 1, part) for number, part in enumerate(parts)
    ]
    call = victim.opening(1, ("grpc-encoding", "gzip")) + b"".join(frames)
    wires = [await Wire.opened(victim.address) for _ in range(count)]
    start = loop.time()
    await asyncio.gather(*(wire.send(call) for wire in wires))
    ended = await asyncio.gather(*(wire.until_ended(1, 30.0) for wire in wires))
    for wire in wires:
        await wire.close()
    return Held(count, sum(ended), loop.time() - start)


async def large_halves(victim: Victim, count: int, megabytes: int, seconds: float) -> Held:
    """Send most of a large message in each of many calls, and hold them.

    Args:
        victim: the front.
        count: number of calls, on as many connections.
        megabytes: size of each message.
        seconds: how long they are held.
    """
    size = megabytes << 20
    frames = [frame(DATA, 0, 1, part) for part in _parts(prefixed(bytes(size))[: size * 9 // 10])]
    wires = [await Wire.opened(victim.address) for _ in range(count)]

    async def send(wire: Wire) -> None:
        await wire.send(victim.opening(1))
        for each in frames:
            if 1 in wire.ended or not await wire.send(each):
                return

    await asyncio.gather(*map(send, wires))
    await asyncio.sleep(seconds)
    ended = sum(1 in wire.ended or wire.closed.is_set() for wire in wires)
    for wire in wires:
        await wire.close()
    return Held(count, ended, seconds)


def _parts(body: bytes) -> list[bytes]:
    return [body[begin : begin + _PART] for begin in range(0, len(body), _PART)]


async def never_read(victim: Victim, connections: int, calls: int) -> Held:
    """Send whole calls on connections, and read nothing from the socket.

    Args:
        victim: the front.
        connections: their number.
        calls: calls on each connection.
    """
    loop = asyncio.get_running_loop()
    wires = [await Wire.opened(victim.address, reads=False) for _ in range(connections)]
    start = loop.time()
    for begin in range(0, calls, 50):
        numbers = itertools.islice(itertools.count(2 * begin + 1, 2), 50)
        content = b"".join(map(victim.call, numbers))
        if not any(await _sent(wires, content)):
            break
    for wire in wires:
        await wire.close()
    return Held(connections, 0, loop.time() - start)


async def _sent(wires: Sequence[Wire], content: bytes) -> list[bool]:
    return list(await asyncio.gather(*(wire.send(content) for wire in wires)))
