"""Turning callers away before the end, so that no call is cut off.

gRPC cancels a call that has arrived but was not begun when the server stops, and callers take
CANCELLED for their own doing. So new calls are refused for a moment first: UNAVAILABLE makes
callers wait and go elsewhere.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import grpc.aio

from tidemill_core.errors import Unavailable
from tidemill_server.status import abort

_QUIET_SECONDS = 0.05
_LONGEST_SECONDS = 1.0


class ShuttingDown(Unavailable):
    """The server takes no new calls any more."""

    reason = "SHUTTING_DOWN"


class DrainInterceptor(grpc.aio.ServerInterceptor):
    """Lets all calls pass until `drain`, and none after."""

    def __init__(self) -> None:
        self._draining = False
        self._refused = 0

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Any]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Let a call pass, or refuse it."""
        if not self._draining:
            return await continuation(handler_call_details)
        self._refused += 1
        return grpc.unary_unary_rpc_method_handler(_refuse)  # whatever kind the method is

    async def drain(self) -> None:
        """Refuse every new call; returns when no more come, or after a second."""
        self._draining = True
        seen = -1
        end = asyncio.get_running_loop().time() + _LONGEST_SECONDS
        while seen < self._refused and asyncio.get_running_loop().time() < end:
            seen = self._refused
            await asyncio.sleep(_QUIET_SECONDS)


async def _refuse(_request: object, context: Any) -> NoReturn:
    await abort(context, ShuttingDown("the server is shutting down"))
