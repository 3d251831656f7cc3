"""Waiting for what must become true, instead of for a while that ought to be long enough."""

import asyncio
import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.02


def wait_until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> float:
    """Wait until a condition holds; return after how many seconds it did.

    Raises:
        AssertionError: It does not hold within the time; says what was waited for.
    """
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        time.sleep(_PAUSE_SECONDS)
    return time.monotonic() - start


async def until(condition: Callable[[], object], what: str, seconds: float = 10.0) -> float:
    """Wait as `wait_until` does, while the event loop goes on."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(_PAUSE_SECONDS)
    return time.monotonic() - start
