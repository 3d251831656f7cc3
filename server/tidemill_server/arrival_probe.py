"""How long a call waits before a handler sees it.

Calls that have arrived queue inside gRPC, which accepts them one at a time and tells nobody how
many there are. So the process calls itself, through the same queue, over a socket in a private
folder, and notes when the call comes to its handler. Nobody else knows the method's name.
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
"""In bytes, of the 107 that a socket's path may have."""


class ArrivalProbe:
    """Asks for ever.

    Args:
        server: not started yet.

    Attributes:
        seconds: how long the last call was on its way; of one that still is, at least so long.
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
        """How long a call waits now."""
        if self._begin is None:
            return self._last
        return max(self._last, asyncio.get_running_loop().time() - self._begin)

    async def watch(self) -> None:
        """Measure for ever."""
        async with grpc.aio.insecure_channel(self._address) as channel:
            call: Any = channel.unary_unary(self._path)
            while True:
                self._begin = asyncio.get_running_loop().time()
                with contextlib.suppress(grpc.RpcError):
                    await call(b"", timeout=_LONGEST_SECONDS)
                self._note()  # that it did not arrive
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
