"""Deadlines of calls."""

import asyncio

import grpc.aio

from tidemill_server.inference.query import DEFAULT_SECONDS, MAX_SECONDS


def deadline_of(context: "grpc.aio.ServicerContext[object, object]") -> float:
    """Return the caller's deadline on the event loop's clock."""
    remaining = context.time_remaining()
    seconds = DEFAULT_SECONDS if remaining is None else remaining
    return asyncio.get_running_loop().time() + min(seconds, MAX_SECONDS)


def item_deadline_of(context: "grpc.aio.ServicerContext[object, object]") -> float:
    """Return the deadline of an item that just arrived on a stream."""
    return min(deadline_of(context), asyncio.get_running_loop().time() + DEFAULT_SECONDS)
