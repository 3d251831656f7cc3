"""How much is let in: an AIMD limit on the texts under way, steered by how long they queue.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), as TCP finds its window. While
texts come and go without waiting long, the limit grows by one a round trip; once they wait longer
than `max_queue_delay`, it is cut by a tenth, and again once that can have shown. So the limit
follows what Triton and this process really do, and the queue in front of them stays short.

Unary calls are refused above the limit: their callers can go elsewhere, or come back. Batches and
streams wait for their turn instead. A quarter of the limit is kept for unary calls, and while
batches or streams wait, a quarter for those: neither kind starves the other.
"""

import asyncio
import random
from collections import OrderedDict

from tidemill_core.errors import DeadlineExceeded, ResourceExhausted

MIN_LIMIT = 16.0
MAX_LIMIT = 4096.0
FIRST_LIMIT = 512.0
MAX_WAITING_ROWS = 16_384
"""Texts of batches and streams that wait to be let in."""
_DECREASE = 0.9
_DECREASE_SECONDS = 0.1
"""Between two cuts, at least: sooner the delay does not show what the first one did."""
_SMOOTHING = 0.05
_WAIT_SMOOTHING = 0.1
_LONG_QUEUE = 1024
_SHARE = 0.75
"""Of the limit, what either kind of call may take while the other needs room."""
_RETRY_SECONDS = (0.2, 0.8)
"""Callers that are refused are told to wait for a time in this range, so that they spread."""


class Overloaded(ResourceExhausted):
    """There is no room or no time for what was asked."""

    reason = "OVERLOADED"

    def __init__(self, message: str) -> None:
        pause = random.uniform(*_RETRY_SECONDS)  # noqa: S311 -- guards nothing
        super().__init__(self.reason, message, pause)


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
        self._patient_rows = 0  # of those under way, what waited or would have
        self._max_queue_delay = max_queue_delay
        self._queue_delay = 0.0  # smoothed: one slow answer says little
        self._wait_a_row = 0.0  # smoothed: seconds by which each waiting text makes the next wait
        self._waiting: OrderedDict[asyncio.Future[None], int] = OrderedDict()
        self._most_rows = 0  # under way since the limit was cut
        self._next_decrease = 0.0

    @property
    def is_half_full(self) -> bool:
        """Whether more than half of the limit is under way."""
        return self.rows > self.limit / 2

    def enter(self, rows: int) -> None:
        """Let texts of a unary call in, or refuse them at once; then `leave` is due.

        Raises:
            Overloaded: as many as the limit are under way.
        """
        if self.rows >= self.limit or (
            self._waiting and self.rows - self._patient_rows >= self.limit * _SHARE
        ):
            raise Overloaded(f"{self.rows} texts are under way; the limit is {self.limit:.0f} now")
        self.rows += rows

    async def wait(self, rows: int, deadline: float) -> None:
        """Let texts of a batch or a stream in once there is room; then `leave_patient` is due.

        Args:
            rows: how many.
            deadline: on the event loop's clock; after it nobody waits.

        Raises:
            Overloaded: too many wait already, or so many that there would be
                no room in time, judged by how long those before them waited.
            DeadlineExceeded: there was no room in time.
        """
        if not self._waiting and self._has_room:
            self.rows += rows
            self._patient_rows += rows
            return
        loop = asyncio.get_running_loop()
        begin = loop.time()
        self._refuse_queue(rows, deadline - begin)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting[turn] = rows
        self.waiting_rows += rows
        queued = self.waiting_rows
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except TimeoutError:
            self._give_up(turn, rows)
            # It would have waited at least so long.
            self._learn_wait(max(loop.time() - begin, queued * self._wait_a_row), queued)
            raise DeadlineExceeded(max(deadline - begin, 0.0)) from None
        except asyncio.CancelledError:
            self._give_up(turn, rows)
            raise
        self._learn_wait(loop.time() - begin, queued)

    def observe(self, rows: int, queue_delay: float, round_trip: float, now: float) -> None:
        """Learn from texts that were answered, before they leave.

        Args:
            rows: as many as were let in together.
            queue_delay: seconds that they waited for their turn.
            round_trip: seconds from their coming to their going.
            now: on the event loop's clock.
        """
        self._learn_delay(queue_delay)
        self._most_rows = max(self._most_rows, self.rows)
        if self._queue_delay > self._max_queue_delay:
            self._decrease(round_trip, now)
        elif self.rows >= self.limit * _SHARE:
            self.limit = min(MAX_LIMIT, self.limit + rows / self.limit)

    def observe_given_up(self, queue_delay: float, round_trip: float, now: float) -> None:
        """Learn from texts that nobody waits for any more; as `observe`.

        They would have waited at least so long: that counts where it is more than usual, or else
        impatient callers would make a long queue look short.
        """
        if queue_delay > self._queue_delay:
            self._learn_delay(queue_delay)
            if self._queue_delay > self._max_queue_delay:
                self._decrease(round_trip, now)

    def leave(self, rows: int) -> None:
        """Texts that `enter` let in are answered, or given up."""
        self.rows -= rows
        self._let_in()

    def leave_patient(self, rows: int) -> None:
        """Texts that `wait` let in are answered, or given up."""
        self._patient_rows -= rows
        self.leave(rows)

    def _learn_delay(self, seconds: float) -> None:
        self._queue_delay += _SMOOTHING * (seconds - self._queue_delay)

    def _decrease(self, round_trip: float, now: float) -> None:
        if now >= self._next_decrease:
            # Above what was under way it would bound nothing.
            used = min(self.limit, max(self._most_rows, self.rows))
            self.limit = max(MIN_LIMIT, used * _DECREASE)
            self._most_rows = 0
            self._next_decrease = now + max(round_trip, _DECREASE_SECONDS)

    def _let_in(self) -> None:
        while self._waiting and self._has_room:
            turn, rows = self._waiting.popitem(last=False)
            self.waiting_rows -= rows
            if not turn.done():
                self.rows += rows
                self._patient_rows += rows
                turn.set_result(None)

    @property
    def _has_room(self) -> bool:
        """Whether texts of a batch or a stream may come in."""
        if self.rows < self.limit * _SHARE:
            return True
        return self.rows < self.limit and self._patient_rows < self.limit * (1 - _SHARE)

    def _refuse_queue(self, rows: int, remaining: float) -> None:
        if self.waiting_rows + rows > MAX_WAITING_ROWS:
            raise Overloaded(
                f"{self.waiting_rows} texts wait already; the limit is {MAX_WAITING_ROWS}"
            )
        # While nobody waits nobody is refused: how fast it goes now is found out again.
        expected = (self.waiting_rows + rows) * self._wait_a_row
        if self._waiting and expected > remaining:
            raise Overloaded(f"the wait would be {expected:.3f} s; {remaining:.3f} s are left")

    def _learn_wait(self, seconds: float, queued: int) -> None:
        """Learn how long a place in the queue took; a short queue says little of a row's part."""
        weight = _WAIT_SMOOTHING * min(1.0, queued / _LONG_QUEUE)
        self._wait_a_row += weight * (seconds / queued - self._wait_a_row)

    def _give_up(self, turn: asyncio.Future[None], rows: int) -> None:
        """Who waited is gone; what was let in at the same moment leaves again."""
        if self._waiting.pop(turn, None) is not None:
            self.waiting_rows -= rows
        elif not turn.cancelled():
            self.leave_patient(rows)
