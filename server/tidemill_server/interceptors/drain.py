"""Turning callers away before the end, so that no call is cut off.

gRPC cancels a call that has arrived but was not begun when the server stops, and callers take
CANCELLED for their own doing. So new calls are refused for a moment first: UNAVAILABLE makes
callers wait and go elsewhere.
"""

import asyncio

from tidemill_core.errors import Unavailable

_QUIET_SECONDS = 0.05
_LONGEST_SECONDS = 1.0


class ShuttingDown(Unavailable):
    """The server takes no new calls any more."""

    reason = "SHUTTING_DOWN"


class Drain:
    """Lets all calls pass until `drain`, and none after."""

    def __init__(self) -> None:
        self._draining = False
        self._refused = 0

    def check(self) -> None:
        """Let a call pass.

        Raises:
            ShuttingDown: not any more.
        """
        if self._draining:
            self._refused += 1
            raise ShuttingDown("the server is shutting down")

    async def drain(self) -> None:
        """Refuse every new call; returns when no more come, or after a second."""
        self._draining = True
        seen = -1
        end = asyncio.get_running_loop().time() + _LONGEST_SECONDS
        while seen < self._refused and asyncio.get_running_loop().time() < end:
            seen = self._refused
            await asyncio.sleep(_QUIET_SECONDS)
