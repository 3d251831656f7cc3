"""How long a call waits before a handler sees it.

Calls that have arrived queue inside gRPC, which accepts them one at a time and tells nobody how
many there are. So the process calls itself, through the same queue, over a socket in a private
folder. The method that it calls does not exist: gRPC's own refusal costs least.
"""

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

_INTERVAL_SECONDS = 0.05
_LONGEST_SECONDS = 1.0


class ArrivalProbe:
    """Asks for ever.

    Args:
        server: not started yet.

    Attributes:
        seconds: how long the last call took, of one that is under way at least so long.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        # Not in the state directory: a socket's path must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="tidemill-"))
        self._address = f"unix:{self._folder / 'probe'}"
        server.add_insecure_port(self._address)
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
        clock = asyncio.get_running_loop().time
        async with grpc.aio.insecure_channel(self._address) as channel:
            call: Any = channel.unary_unary("/tidemill.Probe/Probe")
            while True:
                self._begin = clock()
                with contextlib.suppress(grpc.RpcError):
                    await call(b"", timeout=_LONGEST_SECONDS)
                self._last, self._begin = clock() - self._begin, None
                await asyncio.sleep(_INTERVAL_SECONDS)

    def close(self) -> None:
        """Remove the socket."""
        shutil.rmtree(self._folder, ignore_errors=True)
