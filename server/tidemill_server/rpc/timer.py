"""The time that a call has: for its message to arrive, and for its answer."""

import asyncio

from tidemill_core.errors import DeadlineExceeded
from tidemill_server.rpc.decoding import MessageNotSent
from tidemill_server.rpc.drain import Wait

_EARLY_SECONDS = 0.002
"""How much too early an event loop's timer may fire."""


class Timer:
    """A timer that ends a call. There is one a call, as most calls end before it fires.

    Args:
        wait: ends the call's task.
        begin: when the call arrived, on the event loop's clock.
        deadline: the caller's, on the same clock; None if it has none.
        message_seconds: time for the call's one message to arrive; None if it has many.
    """

    __slots__ = ("_awaits_message", "_begin", "_deadline", "_handle", "_wait")

    def __init__(
        self, wait: Wait, begin: float, deadline: float | None, message_seconds: float | None
    ) -> None:
        self._wait = wait
        self._begin = begin
        self._deadline = deadline
        self._awaits_message = message_seconds is not None
        self._handle: asyncio.TimerHandle | None = None
        message_by = None if message_seconds is None else begin + message_seconds
        ends = [end for end in (deadline, message_by) if end is not None]
        if ends:
            self._handle = asyncio.get_running_loop().call_at(min(ends), self._fire)

    def message_arrived(self) -> None:
        """Leave the call the time to its deadline."""
        self._awaits_message = False

    def stop(self) -> None:
        """End no call from now on."""
        if self._handle is not None:
            self._handle.cancel()

    def _fire(self) -> None:
        loop = asyncio.get_running_loop()
        if self._deadline is not None and loop.time() >= self._deadline - _EARLY_SECONDS:
            self._wait.end(DeadlineExceeded(self._deadline - self._begin))
        elif self._awaits_message:
            self._wait.end(MessageNotSent())
        elif self._deadline is not None:
            self._handle = loop.call_at(self._deadline, self._fire)
