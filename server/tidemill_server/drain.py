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
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import grpc.aio
import psutil  # type: ignore[import-untyped]
import structlog

from tidemill_core.errors import Unavailable

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


class Drain:
    """Lets all calls pass until `drain`, and none after. For one event loop.

    Args:
        port: that the process listens on.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._refused = 0
        self._waits: set[asyncio.Timeout] = set()
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
            with self._ended_as_shutting_down() as wait:
                async with wait:
                    try:
                        item = await anext(waiting)
                    except StopAsyncIteration:
                        return
            yield item

    async def run_until_drained(self, work: Awaitable[object]) -> None:
        """Await a stream that writes its messages itself.

        Raises:
            ShuttingDown: the drain has begun, and the work was cancelled.
        """
        with self._ended_as_shutting_down() as wait:
            async with wait:
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
        for wait in list(self._waits):
            wait.reschedule(loop.time())
        seen, end = -1, loop.time() + _LONGEST_REFUSING_SECONDS
        while seen < self._refused and loop.time() < end:
            seen = self._refused
            await asyncio.sleep(_QUIET_SECONDS)
        await server.stop(GRACE_SECONDS)

    @contextmanager
    def _ended_as_shutting_down(self) -> Iterator[asyncio.Timeout]:
        """A wait that the drain ends. Cheaper by a task than waiting for an event beside it."""
        if self.draining:
            raise ShuttingDown
        wait = asyncio.timeout(None)
        self._waits.add(wait)
        try:
            yield wait
        except TimeoutError:
            if wait.expired():
                raise ShuttingDown from None
            raise
        finally:
            self._waits.discard(wait)


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
