"""How a server process ends.

`retire` is for a process whose work another one takes over: it loses no call. grpcio has no such
way by itself: `server.stop` answers CANCELLED to calls that were on their way, even where they
would have been served by the process beside it. So the process stops taking *connections*, and
goes on answering calls. Every connection is told to go elsewhere (a graceful GOAWAY) when it is
`CONNECTION_AGE_SECONDS` old, which loses nothing; when none is left, there is nothing to cut off.

`drain` is for the end itself. New calls are refused, streams are ended after the answers that are
under way, and all calls that were begun are finished.

docs/decisions/drain-protocol.md has what was measured.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import TypeVar, cast

import grpc.aio
import psutil  # type: ignore[import-untyped]
import structlog

from tidemill_core.errors import TidemillError, Unavailable

CONNECTION_AGE_SECONDS = 10.0
"""After so long a connection is asked to go; gRPC varies it by a tenth either way."""
RETIRE_SECONDS = 1.1 * CONNECTION_AGE_SECONDS + 1.0
"""After so long every connection has been asked to go; what is left has long streams."""
GRACE_SECONDS = 10.0
"""For calls that were begun when the end came."""
_LOOK_SECONDS = 0.2
_QUIET_SECONDS = 0.05
_LONGEST_REFUSING_SECONDS = 1.0

log = structlog.get_logger()

_Item = TypeVar("_Item")


class ShuttingDown(Unavailable):
    """The server takes no new calls any more."""

    reason = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("the server is shutting down")


class _Wait:
    """What a task waits for in the block, which `end` ends with an error.

    It does what `asyncio.timeout` does at a quarter of its cost, for every message pays it.
    """

    __slots__ = ("_cancelling", "_error", "_others", "_task")

    def __init__(self, others: "set[_Wait]") -> None:
        self._task = cast("asyncio.Task[object]", asyncio.current_task())
        self._cancelling = self._task.cancelling()
        self._error: type[TidemillError] | None = None
        self._others = others

    def end(self, error: type[TidemillError]) -> None:
        """End it; the first error counts."""
        if self._error is None:
            self._error = error
            self._task.cancel()

    def __enter__(self) -> "_Wait":
        self._others.add(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._others.discard(self)
        if self._error is None:
            return
        # Where its caller cancels the task as well, that counts.
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise self._error from None


class Drain:
    """Lets all calls pass until `drain`, and none after. For one event loop.

    Args:
        port: that the process listens on.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._refused = 0
        self._waits: set[_Wait] = set()
        self.draining = False
        """Whether new calls are refused."""

    def check(self) -> None:
        """Let a call pass.

        Raises:
            ShuttingDown: not any more.
        """
        if self.draining:
            self._refused += 1
            raise ShuttingDown

    async def until_drained(self, items: AsyncIterator[_Item]) -> AsyncIterator[_Item]:
        """The messages of a stream, one after another.

        Raises:
            ShuttingDown: instead of waiting for the next one, once the drain has begun.
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
        """The one message of a call.

        Args:
            read: reads it.
            seconds: to wait for it.
            error: what is raised when it did not come in that time.

        Raises:
            ShuttingDown: instead of waiting for it, once the drain has begun.
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
            ShuttingDown: the drain has begun, and the work was cancelled.
        """
        with self._wait():
            await work

    async def retire(self) -> None:
        """Take no new connections; returns when those that there are have gone elsewhere.

        Calls are answered all the while, new ones too. Returns after RETIRE_SECONDS at the
        latest; streams may be open then. Another process must listen on the port already.
        """
        loop = asyncio.get_running_loop()
        closed = await asyncio.to_thread(_stop_listening, self._port)
        log.info("retiring", listeners=closed)
        end = loop.time() + RETIRE_SECONDS
        while (left := await asyncio.to_thread(_connections, self._port)) and loop.time() < end:
            await asyncio.sleep(_LOOK_SECONDS)
        log.info("retired", connections=left)

    async def drain(self, server: grpc.aio.Server) -> None:
        """Refuse every new call, end the streams, finish what was begun, and stop the server.

        Calls that arrive while gRPC itself stops are CANCELLED by it, which callers take for
        their own doing. So for a moment, until no more come or for a second, each is told
        UNAVAILABLE first.
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
        """A wait that the drain ends. Cheaper by a task than waiting for an event beside it."""
        if self.draining:
            raise ShuttingDown
        return _Wait(self._waits)


def _stop_listening(port: int) -> int:
    """Take this process out of those that the kernel gives the port's new connections to.

    grpcio closes its listener only together with its connections, so this reaches past it: gRPC
    notes it with one line ("Closing acceptor") and goes on.

    Returns:
        How many listeners there were.
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
    """How many callers are connected to this process."""
    return sum(
        each.status == psutil.CONN_ESTABLISHED and each.laddr.port == port
        for each in psutil.Process().net_connections(kind="tcp")
    )
