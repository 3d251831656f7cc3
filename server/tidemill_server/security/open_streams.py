"""Streams whose callers are checked again while they are open.

A call is admitted once. A stream can stay open for hours, so it ends soon after its caller's
credential is revoked or expires, whether or not messages pass.
"""

import asyncio
from collections.abc import Iterable
from typing import Protocol

from tidemill_core.errors import TidemillError
from tidemill_server.security.gatekeeper import Gatekeeper

CHECK_SECONDS = 1.0


class Ending(Protocol):
    """The way to end a stream."""

    def end(self, error: TidemillError) -> None:
        """End the stream because of an error; the first error counts."""


class OpenStreams:
    """The open streams of one event loop."""

    def __init__(self, gatekeeper: Gatekeeper) -> None:
        self._gatekeeper = gatekeeper
        self._open: dict[Ending, tuple[str, Iterable[tuple[str, str | bytes]]]] = {}

    def add(self, stream: Ending, method: str, metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Check the caller of an admitted stream from now on.

        Args:
            stream: ends it.
            method: the method's path.
            metadata: the caller's metadata.
        """
        self._open[stream] = (method, metadata)

    def discard(self, stream: Ending) -> None:
        """Forget a stream that has ended, or that was never added."""
        self._open.pop(stream, None)

    async def watch(self) -> None:
        """Check the callers of the open streams forever."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            self.check()

    def check(self) -> None:
        """End the streams of callers who may no longer call."""
        for stream, (method, metadata) in tuple(self._open.items()):
            try:
                self._gatekeeper.authorize(method, metadata)
            except TidemillError as error:
                stream.end(error)
