"""How much is let in: an AIMD limit on the texts under way, steered by how long they queue.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), as TCP finds its window. While
texts come and go without waiting long, the limit grows by one a round trip; once they wait longer
than `max_queue_delay`, it is cut by a tenth, once a round trip. So the limit follows what Triton
and this process really do, and the queue in front of them stays short.

Unary calls are refused above the limit: their callers can go elsewhere, or come back. Batches and
streams wait for their turn instead, and leave a quarter of the limit to unary calls.
"""

import asyncio
import random
from collections import deque

from tidemill_core.errors import DeadlineExceeded, ResourceExhausted

MIN_LIMIT = 16.0
MAX_LIMIT = 4096.0
FIRST_LIMIT = 512.0
MAX_WAITING_ROWS = 16_384
"""Texts of batches and streams that wait to be let in."""
_DECREASE = 0.9
_SMOOTHING = 0.05
_PATIENT_SHARE = 0.75
_RETRY_SECONDS = (0.2, 0.8)
"""Callers that are refused are told to wait for a time in this range, so that they spread."""


class Admission:
    """The bound of one task in this process.

    Args:
        max_queue_delay: seconds that texts may wait for their turn, smoothed.

    Attributes:
        limit: texts that may be under way.
        rows: texts under way.
        waiting_rows: texts of batches and streams that are not let in yet.
    """

    def __init__(self, max_queue_delay: float) -> None:
        self.limit = FIRST_LIMIT
        self.rows = 0
        self.waiting_rows = 0
        self._max_queue_delay = max_queue_delay
        self._queue_delay = 0.0  # smoothed: one slow answer says little
        self._waiting: deque[tuple[asyncio.Future[None], int]] = deque()
        self._next_decrease = 0.0

    def enter(self, rows: int) -> None:
        """Let texts in, or refuse them at once.

        Raises:
            ResourceExhausted: OVERLOADED; as many as the limit are under way.
        """
        if self.rows >= self.limit:
            raise overloaded(f"{self.rows} texts are under way; the limit is {self.limit:.0f} now")
        self.rows += rows

    async def wait(self, rows: int, deadline: float) -> None:
        """Let texts in once there is room.

        Args:
            rows: how many.
            deadline: on the event loop's clock; after it nobody waits.

        Raises:
            ResourceExhausted: OVERLOADED; too many wait already.
            DeadlineExceeded: there was no room in time.
        """
        if self._has_room and not self._waiting:
            self.rows += rows
            return
        if self.waiting_rows + rows > MAX_WAITING_ROWS:
            raise overloaded(
                f"{self.waiting_rows} texts wait already; the limit is {MAX_WAITING_ROWS}"
            )
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.append((turn, rows))
        self.waiting_rows += rows
        patience = deadline - loop.time()
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except TimeoutError:
            self._give_up(turn, rows)
            raise DeadlineExceeded(max(patience, 0.0)) from None
        except asyncio.CancelledError:
            self._give_up(turn, rows)
            raise

    def observe(self, rows: int, queue_delay: float, round_trip: float, now: float) -> None:
        """Learn from texts that were answered, before they leave.

        Args:
            rows: as many as were let in together.
            queue_delay: seconds that they waited for their turn.
            round_trip: seconds from their coming to their going.
            now: on the event loop's clock.
        """
        self._queue_delay += _SMOOTHING * (queue_delay - self._queue_delay)
        if self._queue_delay > self._max_queue_delay:
            if now >= self._next_decrease:
                # Far above what is under way it would bound nothing.
                used = min(self.limit, 2.0 * self.rows)
                self.limit = max(MIN_LIMIT, used * _DECREASE)
                self._next_decrease = now + round_trip
        elif not self._has_room:
            self.limit = min(MAX_LIMIT, self.limit + rows / self.limit)

    def leave(self, rows: int) -> None:
        """Texts that were let in are answered, or given up."""
        self.rows -= rows
        self._let_in()

    def _let_in(self) -> None:
        while self._waiting and self._has_room:
            turn, rows = self._waiting.popleft()
            self.waiting_rows -= rows
            if not turn.done():
                self.rows += rows
                turn.set_result(None)

    @property
    def _has_room(self) -> bool:
        return self.rows < self.limit * _PATIENT_SHARE

    def _give_up(self, turn: asyncio.Future[None], rows: int) -> None:
        """Who waited is gone; what was let in at the same moment leaves again."""
        if turn.done() and not turn.cancelled():
            self.leave(rows)
        turn.cancel()


def overloaded(message: str) -> ResourceExhausted:
    """The refusal of what there is no room or no time for."""
    return ResourceExhausted("OVERLOADED", message, random.uniform(*_RETRY_SECONDS))  # noqa: S311 -- guards nothing
