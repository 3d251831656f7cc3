"""How long a caller waits."""

import asyncio

import grpc.aio

DEFAULT_SECONDS = 10.0
"""For callers that set no deadline."""
MAX_SECONDS = 24 * 3600.0
"""The longest that a call waits; gRPC takes times of centuries for times gone by."""


def deadline_of(context: "grpc.aio.ServicerContext[object, object]") -> float:
    """Return the moment, on the event loop's clock, until which the caller waits."""
    remaining = context.time_remaining()
    seconds = DEFAULT_SECONDS if remaining is None else remaining
    return asyncio.get_running_loop().time() + min(seconds, MAX_SECONDS)
