"""Measurement of how long a call waits before it reaches a handler.

Arriving calls queue inside gRPC, which accepts them one at a time and does not report the length
of the queue. So the process calls itself through the same queue, over a socket in a private
folder, and measures when the call reaches its handler. The method has a random, secret name.
"""

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import grpc.aio

_SERVICE = "tidemill.Probe"
_INTERVAL_SECONDS = 0.05
_LONGEST_SECONDS = 1.0
_LONGEST_FOLDER = 80
"""Bytes of the folder's path; a socket's path may have 107."""


class ArrivalProbe:
    """A method of the server that the process itself calls regularly.

    Args:
        server: a server that has not started yet.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        # Not in the state directory: a socket's path must be short.
        is_short = len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER
        self._folder = Path(tempfile.mkdtemp(prefix="tidemill-", dir=None if is_short else "/tmp"))  # noqa: S108 -- made private
        self._address = f"unix:{quote(str(self._folder / 'probe'))}"
        server.add_insecure_port(self._address)
        name = secrets.token_hex(8)
        self._path = f"/{_SERVICE}/{name}"
        handler: Any = grpc.unary_unary_rpc_method_handler(self._arrived)
        generic = grpc.method_handlers_generic_handler(_SERVICE, {name: handler})
        server.add_generic_rpc_handlers((generic,))
        self._last = 0.0
        self._begin: float | None = None

    @property
    def seconds(self) -> float:
        """The last call's wait, or that of the current call if it is longer already."""
        if self._begin is None:
            return self._last
        return max(self._last, asyncio.get_running_loop().time() - self._begin)

    async def watch(self) -> None:
        """Measure forever."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            call: Any = channel.unary_unary(self._path)
            while True:
                self._begin = asyncio.get_running_loop().time()
                with contextlib.suppress(grpc.RpcError):
                    await call(b"", timeout=_LONGEST_SECONDS)
                self._note()  # for a call that did not arrive
                await asyncio.sleep(_INTERVAL_SECONDS)

    async def _arrived(self, _request: bytes, _context: object) -> bytes:
        self._note()
        return b""

    def _note(self) -> None:
        if self._begin is not None:
            self._last, self._begin = asyncio.get_running_loop().time() - self._begin, None

    def close(self) -> None:
        """Remove the socket."""
        shutil.rmtree(self._folder, ignore_errors=True)
