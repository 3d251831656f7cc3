"""Deadlines of calls."""

import asyncio

from tidemill_server.inference.query import DEFAULT_SECONDS
from tidemill_server.rpc.call import Call


def deadline_of(call: Call) -> float:
    """Return the caller's deadline on the event loop's clock, or the default."""
    if call.deadline is not None:
        return call.deadline
    return asyncio.get_running_loop().time() + DEFAULT_SECONDS


def item_deadline_of(call: Call) -> float:
    """Return the deadline of an item that just arrived on a stream."""
    latest = asyncio.get_running_loop().time() + DEFAULT_SECONDS
    return latest if call.deadline is None else min(call.deadline, latest)
