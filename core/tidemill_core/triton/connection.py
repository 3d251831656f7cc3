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
        self._connecting = asyncio.Lock()

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
            link = await self._connected(min(seconds, _CONNECT_SECONDS))
        return await link.call(path, message, seconds)

    async def close(self) -> None:
        """Close the connection and cancel calls in flight."""
        if self._link is not None:
            self._link.close("the connection is closed")

    async def _connected(self, seconds: float) -> "Link":
        async with self._connecting:
            if self._link is None or not self._link.is_open:
                self._link = await self._connect(seconds)
            return self._link

    async def _connect(self, seconds: float) -> "Link":
        place = urlsplit(f"//{self._address}")
        host, port = place.hostname or "", place.port or 0
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                _, link = await loop.create_connection(lambda: Link(self._address), host, port)
        except (OSError, TimeoutError) as error:
            detail = f"cannot connect to {self._address}: {error or 'no answer'}"
            raise CallFailed(grpc.StatusCode.UNAVAILABLE, detail) from error
        return link
