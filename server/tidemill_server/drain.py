"""The end of a server process.

`retire` hands the work over to another process and loses no call. grpcio alone cannot do this:
`server.stop` answers CANCELLED to calls that are arriving, even if another process could serve
them. So the process stops accepting *connections* and keeps answering calls. gRPC sends each
connection a graceful GOAWAY, which loses nothing, when it is `CONNECTION_AGE_SECONDS` old. When no
connection is left, the process can end.

`drain` ends the process. It refuses new calls, ends streams after the answers in flight, and
finishes all calls that have begun.

docs/decisions/drain-protocol.md has the measurements.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar, cast

import grpc.aio
import psutil  # type: ignore[import-untyped]
import structlog

from tidemill_core.errors import TidemillError, Unavailable

CONNECTION_AGE_SECONDS = 10.0
"""Age at which a connection gets its GOAWAY; gRPC varies it by 10 % either way."""
RETIRE_SECONDS = 1.1 * CONNECTION_AGE_SECONDS + 1.0
"""Time after which every connection has had its GOAWAY; those left have long streams."""
GRACE_SECONDS = 10.0
"""Time that calls get to finish."""
_LOOK_SECONDS = 0.2
_QUIET_SECONDS = 0.05
_LONGEST_REFUSING_SECONDS = 1.0

log = structlog.get_logger()

_Item = TypeVar("_Item")


class ShuttingDown(Unavailable):
    """The server accepts no new calls."""

    reason = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("the server is shutting down")


class _Wait:
    """A block in which a task waits, and which `end` ends with an error.

    It works like `asyncio.timeout` at a quarter of the cost, because every message pays it.
    """

    __slots__ = ("_cancelling", "_error", "_others", "_task")

    def __init__(self, others: "set[_Wait]") -> None:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._error: type[TidemillError] | None = None
        self._others = others

    def end(self, error: type[TidemillError]) -> None:
        """End the wait; the first error counts."""
        if self._error is None:
            self._error = error
            self._task.cancel()

    def __enter__(self) -> "_Wait":
        self._others.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._others.discard(self)
        if self._error is None:
            return
        # If the task was also canceled from outside, the cancellation counts.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error from None


class Drain:
    """A switch for one event loop that admits calls until `drain` and refuses them afterwards.

    Args:
        port: the port that the process listens on.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._refused = 0
        self._waits: set[_Wait] = set()
        self.draining = False
        """Whether new calls are refused."""

    def check(self) -> None:
        """Admit a call.

        Raises:
            ShuttingDown: the drain has begun.
        """
        if self.draining:
            self._refused += 1
            raise ShuttingDown

    async def until_drained(self, items: AsyncIterator[_Item]) -> AsyncIterator[_Item]:
        """Yield the messages of a stream.

        Raises:
            ShuttingDown: the drain has begun; raised instead of waiting for the next message.
        """
        waiting = aiter(items)
        while True:
            with self._wait():
                try:
                    item = await anext(waiting)
                except StopAsyncIteration:
                    return
            yield item

    async def in_time(
        self, read: Callable[[], Awaitable[_Item]], seconds: float, error: type[TidemillError]
    ) -> _Item:
        """Return the one message of a call.

        Args:
            read: reads the message.
            seconds: how long to wait for it.
            error: the error to raise if it does not arrive in that time.

        Raises:
            ShuttingDown: the drain has begun; raised instead of waiting for the message.
        """
        with self._wait() as wait:
            end = asyncio.get_running_loop().call_later(seconds, wait.end, error)
            try:
                return await read()
            finally:
                end.cancel()

    async def run_until_drained(self, work: Awaitable[object]) -> None:
        """Await a stream that writes its messages itself.

        Raises:
            ShuttingDown: the drain has begun, and the work was canceled.
        """
        with self._wait():
            await work

    async def retire(self) -> None:
        """Accept no new connections, and return when the open ones have closed.

        Calls, new ones included, are answered meanwhile. Returns after at most RETIRE_SECONDS,
        when long streams may still be open. Another process must already listen on the port.
        """
        loop = asyncio.get_running_loop()
        closed = await asyncio.to_thread(_stop_listening, self._port)
        log.info("retiring", listeners=closed)
        end = loop.time() + RETIRE_SECONDS
        while (left := await asyncio.to_thread(_connections, self._port)) and loop.time() < end:
            await asyncio.sleep(_LOOK_SECONDS)
        log.info("retired", connections=left)

    async def drain(self, server: grpc.aio.Server) -> None:
        """Refuse new calls, end the streams, finish the calls in flight, and stop the server.

        While gRPC itself stops, it answers CANCELLED to new calls, which looks as if the caller
        had canceled. So calls are first answered UNAVAILABLE until no more arrive, for at most a
        second.
        """
        self.draining = True
        loop = asyncio.get_running_loop()
        for wait in self._waits:
            wait.end(ShuttingDown)
        seen, end = -1, loop.time() + _LONGEST_REFUSING_SECONDS
        while seen < self._refused and loop.time() < end:
            seen = self._refused
            await asyncio.sleep(_QUIET_SECONDS)
        await server.stop(GRACE_SECONDS)

    def _wait(self) -> _Wait:
        """Return a wait that the drain ends. Unlike waiting for an event, it needs no task."""
        if self.draining:
            raise ShuttingDown
        return _Wait(self._waits)


def _stop_listening(port: int) -> int:
    """Shut this process's listeners on the port down, and return how many there were.

    grpcio closes its listener only together with its connections, so this bypasses it. gRPC logs
    one line ("Closing acceptor") and continues.
    """
    found = [
        each.fd
        for each in psutil.Process().net_connections(kind="tcp")
        if each.status == psutil.CONN_LISTEN and each.laddr.port == port
    ]
    for descriptor in found:
        with socket.socket(fileno=os.dup(descriptor)) as listener:
            listener.shutdown(socket.SHUT_RDWR)
    return len(found)


def _connections(port: int) -> int:
    """Return how many callers are connected to this process."""
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in psutil.Process().net_connections(kind="tcp")
    )
