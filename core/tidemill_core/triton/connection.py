"""Unary gRPC calls to one server."""

import asyncio
from urllib.parse import urlsplit

import grpc

from tidemill_core.triton.grpc_wire import CallFailed
from tidemill_core.triton.http2 import Link

_CONNECT_SECONDS = 5.0


class Connection:
    """Calls to one server, over a connection that is opened when a call finds none.

    Args:
        address: host:port.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._link: Link | None = None
        self._connecting: asyncio.Task[Link] | None = None
        self._is_given_up = False

    async def call(self, path: str, message: bytes, seconds: float) -> bytes:
        """Return the response to a message. Canceling the task cancels the call.

        Args:
            path: such as `/inference.GRPCInferenceService/ModelInfer`.
            message: the encoded request.
            seconds: how long to wait; the server learns it, too.

        Raises:
            CallFailed: there is no response.
        """
        link = self._link
        if link is None or not link.is_open:
            clock = asyncio.get_running_loop().time
            begin = clock()
            link = await self._connected(seconds)
            seconds -= clock() - begin
        return await link.call(path, message, seconds)

    def drop(self, reason: str) -> None:
        """End the calls in flight as UNAVAILABLE; the next call connects again."""
        if self._link is not None:
            self._link.close(reason)

    def give_up(self, reason: str) -> None:
        """End the calls in flight, and those that come later, as UNAVAILABLE."""
        self._is_given_up = True
        self.drop(reason)

    async def close(self) -> None:
        """Close the connection and cancel calls in flight."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.drop("the connection is closed")

    async def _connected(self, seconds: float) -> Link:
        """Return a new connection; all calls that wait for one share one attempt."""
        if self._is_given_up:
            detail = f"{self._address} is not one of the servers to call any more"
            raise CallFailed(grpc.StatusCode.UNAVAILABLE, detail)
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._connecting)
        except (OSError, TimeoutError, ValueError) as error:  # ValueError: no socket takes the name
            detail = f"cannot connect to {self._address}: {error or 'no answer'}"
            raise CallFailed(grpc.StatusCode.UNAVAILABLE, detail) from error

    async def _connect(self) -> Link:
        place = urlsplit(f"//{self._address}")
        host, port = place.hostname or "", place.port or 0
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                _, link = await loop.create_connection(lambda: Link(self._address), host, port)
        finally:
            self._connecting = None
        self._link = link
        if self._is_given_up:
            link.close("the server is not one of those to call any more")
        return link
