"""Refusal of calls while more arrive than this process can begin.

Calls that have arrived wait in the transport until the event loop begins them. Neither the limits
nor the deadlines see that wait, so it must stay short. It shows in the turns of the loop: each
begins as many calls as the transport ever begins in one. When that goes on for longer than texts
may wait, calls are refused before any work, until a turn begins fewer. Meanwhile a few calls stay
in flight, so Triton has work, and each caller begins some in a turn, so that one caller's flood
does not refuse the calls of others.
"""

import asyncio
import random
from collections import Counter
from typing import NamedTuple

from tidemill_server.inference.admission import Overloaded
from tidemill_server.rpc.status import Status, failure

FULL_TURN = 64
"""Calls that h2corn begins in a turn of the loop when at least as many wait, and calls that stay in
flight while others are refused."""
CALLS_A_CALLER = 8
"""Calls of each caller that are not refused, in a turn."""
_REFUSALS = 32
_PAUSE_SECONDS = 0.1
"""Time without calls that ends a backlog. A turn of a slow machine takes less."""


class _Refusal(NamedTuple):
    retry_seconds: float
    in_time: Status
    too_late: Status


class Backlog:
    """The calls that wait in the transport, on one event loop.

    Args:
        max_seconds: how long turns may be full before calls are refused.

    Attributes:
        in_flight: calls without streams that have begun and not ended.
    """

    def __init__(self, max_seconds: float) -> None:
        self.in_flight = 0
        self._max_seconds = max_seconds
        self._is_long = False
        self._full_since: float | None = None
        self._last_turn = 0.0
        # Of the current turn: the calls that have begun, by caller, and those in flight before.
        self._begun = 0
        self._by_caller: Counter[str] = Counter()
        self._before = 0
        # Made once, because an error with its details costs as much as all the rest.
        self._refusals = [_refusal() for _ in range(_REFUSALS)]

    def begin(self, now: float) -> bool:
        """Count a call that begins; return whether the backlog lasts too long."""
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._turn)
            self._before = self.in_flight
            if now - self._last_turn > max(self._max_seconds, _PAUSE_SECONDS):
                self._end()
            self._last_turn = now
        self._begun += 1
        return self._is_long

    def refusal(self, caller_id: str, now: float, deadline: float | None) -> Status | None:
        """Return the end of a call that is refused; None for one that is not.

        Args:
            caller_id: of the caller.
            now: on the event loop's clock.
            deadline: on the same clock; None without one.
        """
        self._by_caller[caller_id] += 1
        if self.in_flight < FULL_TURN or self._by_caller[caller_id] <= CALLS_A_CALLER:
            return None
        found = random.choice(self._refusals)  # noqa: S311 -- not for security
        is_late = deadline is not None and deadline - now <= found.retry_seconds
        return found.too_late if is_late else found.in_time

    def _turn(self) -> None:
        """Judge the calls that began in the turn of the loop that is over."""
        if self._begun < FULL_TURN:
            self._end()
        elif self._before >= FULL_TURN:  # otherwise, the calls may be all that there are
            if self._full_since is None:
                self._full_since = self._last_turn
            self._is_long |= self._last_turn - self._full_since > self._max_seconds
        self._begun = 0
        self._by_caller.clear()

    def _end(self) -> None:
        self._full_since, self._is_long = None, False


def _refusal() -> _Refusal:
    error = Overloaded("more calls arrive than this process can begin")
    return _Refusal(error.retry_after_seconds, failure(error, None), failure(error, 0.0))
