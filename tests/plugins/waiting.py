"""Waits for conditions."""

import asyncio
import time
from collections.abc import Callable

_PAUSE_SECONDS = 0.02


def wait_until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> float:
    """Wait until a condition holds; return the seconds that this took.

    Raises:
        AssertionError: the condition does not hold in time.
    """
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        time.sleep(_PAUSE_SECONDS)
    return time.monotonic() - start


async def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> float:
    """Wait as `wait_until` does, while the event loop runs."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"not within {seconds} s: {what}"
        await asyncio.sleep(_PAUSE_SECONDS)
    return time.monotonic() - start
