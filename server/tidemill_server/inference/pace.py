"""Prediction of Triton's answer times from earlier calls."""

import asyncio
from collections.abc import Collection
from typing import Any

from tidemill_server.inference.admission import Overloaded

CALL_SECONDS = 60.0
"""The least time that an inference in Triton gets, whatever its callers' deadlines are.

Triton 2.51 can crash, or never unload the model, after an inference that was canceled or late.
So a call goes on without its callers, and its place is free when it has ended.
docs/decisions/unwaited-inferences.md says more.
"""
_LAST_SECONDS = 2.0
_SMOOTHING = 0.2


class Pace:
    """The speed of Triton's answers for one model.

    Attributes:
        in_flight: calls in flight.
        call_seconds: smoothed duration of a call.
    """

    __slots__ = ("call_seconds", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        self.call_seconds = 0.0

    def took(self, seconds: float) -> None:
        """Record the duration of a call, successful or not."""
        self.call_seconds += _SMOOTHING * (seconds - self.call_seconds)

    def refuse_late(self, calls: float, remaining: float) -> None:
        """Refuse a request that cannot be answered in time.

        Without calls in flight nothing is refused, so a model that was slow is measured again.

        Args:
            calls: the number of consecutive calls that the answer takes.
            remaining: seconds that the caller still waits.

        Raises:
            Overloaded: the answer would come too late.
        """
        expected = calls * self.call_seconds
        if self.in_flight and expected > remaining:
            raise Overloaded(f"an answer would take {expected:.3f} s; {remaining:.3f} s are left")


async def ended(calls: Collection[asyncio.Task[Any]]) -> None:
    """Wait for a moment until calls have ended that nobody waits for."""
    if calls:
        await asyncio.wait(calls, timeout=_LAST_SECONDS)
