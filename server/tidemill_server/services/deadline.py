"""How long a caller waits."""

import asyncio

import grpc.aio

DEFAULT_SECONDS = 10.0
"""For callers that set no deadline."""


def deadline_of(context: "grpc.aio.ServicerContext[object, object]") -> float:
    """The moment, on the event loop's clock, after which the caller does not wait any more."""
    remaining = context.time_remaining()
    seconds = DEFAULT_SECONDS if remaining is None else remaining
    return asyncio.get_running_loop().time() + seconds
