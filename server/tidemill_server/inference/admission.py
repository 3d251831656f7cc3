"""Admission control: AIMD limits on the texts in flight, steered by their queueing delay.

A limit follows additive increase, multiplicative decrease (Chiu and Jain, 1989), like TCP's
window. While texts do not wait long, it grows by one per round trip. When they wait longer than
`max_queue_delay`, it is cut by 10 %, and again once the effect of that cut can be seen. So it
follows the real speed of Triton and this process, and the queue before them stays short.

Unary calls above their limit are refused, because their callers can retry or go elsewhere. A caller
with up to eight texts in flight is admitted above the limit, until all texts reach twice the limit.
Batches and streams have a limit of their own, and wait above it; their callers take turns.
"""

import asyncio
import random
from collections import Counter
from dataclasses import dataclass

from tidemill_core.errors import DeadlineExceeded, ResourceExhausted
from tidemill_server.inference.work import FairQueue
from tidemill_server.security.acting import current_caller

MIN_LIMIT = 16.0
MAX_LIMIT = 4096.0
FIRST_LIMIT = 512.0
ROWS_A_CALLER = 8
"""Texts that a caller may have in flight although the texts of others fill the limit. All texts
together may reach twice the limit."""
MAX_WAITING_ROWS = 16_384
"""Bound on the texts of batches and streams that wait for admission."""
_DECREASE = 0.9
_DECREASE_SECONDS = 0.1
"""Minimum time between two cuts, after which the delay shows the effect of the first."""
_SMOOTHING = 0.05
_WAIT_SMOOTHING = 0.1
_LONG_QUEUE = 1024
_USED = 0.75
"""Share of the limit that is in use where it bounds anything."""
_RETRY_SECONDS = (0.2, 0.8)
"""Range of the random delays after which refused callers should retry."""


class Overloaded(ResourceExhausted):
    """The server has no capacity to answer a request in time."""

    reason = "OVERLOADED"

    def __init__(self, message: str) -> None:
        pause = random.uniform(*_RETRY_SECONDS)  # noqa: S311 -- not for security
        super().__init__(self.reason, message, pause)


class Admission:
    """The bound on the texts of one task that are in flight in this process.

    Args:
        max_queue_delay: seconds that texts may wait, smoothed.

    Attributes:
        limit: bound on the texts in flight.
        rows: texts in flight.
    """

    def __init__(self, max_queue_delay: float) -> None:
        self.limit = FIRST_LIMIT
        self.rows = 0
        self._max_queue_delay = max_queue_delay
        self._queue_delay = 0.0  # smoothed, because one slow answer means little
        self._most_rows = 0  # most texts in flight since the last cut
        self._next_decrease = 0.0

    @property
    def is_half_full(self) -> bool:
        """Whether the texts in flight exceed half of the limit."""
        return self.rows > self.limit / 2

    def observe(self, rows: int, queue_delay: float, round_trip: float, now: float) -> None:
        """Adapt the limit to answered texts, before they leave.

        Args:
            rows: the number of texts that were answered together.
            queue_delay: seconds that they waited before their Triton call, on average.
            round_trip: seconds from their arrival to their answer.
            now: on the event loop's clock.
        """
        self._learn_delay(queue_delay, rows)
        self._most_rows = max(self._most_rows, self.rows)
        if self._queue_delay > self._max_queue_delay:
            self._decrease(round_trip, now)
        elif self.rows >= self.limit * _USED:
            self.limit = min(MAX_LIMIT, self.limit + rows / self.limit)

    def observe_given_up(self, queue_delay: float, round_trip: float, now: float) -> None:
        """Adapt the limit to texts whose caller gave up; arguments as for `observe`.

        They would have waited at least this long, which counts only if it is longer than usual.
        Otherwise impatient callers would make a long queue look short.
        """
        if queue_delay > self._queue_delay:
            self._learn_delay(queue_delay, 1)
            if self._queue_delay > self._max_queue_delay:
                self._decrease(round_trip, now)

    def leave(self, rows: int) -> None:
        """Release the room of the current caller's admitted texts."""
        self.rows -= rows

    def _learn_delay(self, seconds: float, rows: int) -> None:
        weight = 1.0 - (1.0 - _SMOOTHING) ** rows
        self._queue_delay += weight * (seconds - self._queue_delay)

    def _decrease(self, round_trip: float, now: float) -> None:
        if now >= self._next_decrease:
            # A limit above the most texts in flight would bound nothing.
            used = min(self.limit, max(self._most_rows, self.rows))
            self.limit = max(MIN_LIMIT, used * _DECREASE)
            self._most_rows = 0
            self._next_decrease = now + max(round_trip, _DECREASE_SECONDS)


class UnaryAdmission(Admission):
    """The admission of unary calls: it refuses them above the limit."""

    def __init__(self, max_queue_delay: float) -> None:
        super().__init__(max_queue_delay)
        self._by_caller = Counter[str]()  # texts in flight

    def enter(self, rows: int) -> None:
        """Admit texts; the caller must call `leave` afterwards.

        Raises:
            Overloaded: the limit is reached, and the caller has many texts in flight, or twice the
                limit is reached.
        """
        caller_id = current_caller.get().caller_id
        if self.rows >= self.limit and (
            self._by_caller[caller_id] + rows > ROWS_A_CALLER or self.rows >= 2 * self.limit
        ):
            raise Overloaded(f"{self.rows} texts are in flight; the limit is now {self.limit:.0f}")
        self.rows += rows
        self._by_caller[caller_id] += rows

    def leave(self, rows: int) -> None:
        """Release the room of the current caller's admitted texts."""
        super().leave(rows)
        caller_id = current_caller.get().caller_id
        self._by_caller[caller_id] -= rows
        if not self._by_caller[caller_id]:
            del self._by_caller[caller_id]


class PatientAdmission(Admission):
    """The admission of batches and streams: they wait above the limit."""

    def __init__(self, max_queue_delay: float) -> None:
        super().__init__(max_queue_delay)
        self._wait_a_row = 0.0  # smoothed; seconds of wait per text that waits already
        self._waiting = FairQueue[asyncio.Future[None]]()

    @property
    def waiting_rows(self) -> int:
        """Texts that wait for admission."""
        return self._waiting.rows

    async def wait(self, rows: int, deadline: float) -> None:
        """Admit texts once there is room; the caller must call `leave` afterwards.

        Args:
            rows: the number of texts.
            deadline: on the event loop's clock.

        Raises:
            Overloaded: too many texts wait already, or, judged by earlier waits, there will be no
                room before the deadline.
            DeadlineExceeded: there was no room before the deadline.
        """
        if not self.waiting_rows and self.rows < self.limit:
            self.rows += rows
            return
        caller_id = current_caller.get().caller_id
        loop = asyncio.get_running_loop()
        begin = loop.time()
        self._refuse_queue(rows, deadline - begin)
        turn: asyncio.Future[None] = loop.create_future()
        self._waiting.add(caller_id, turn, rows)
        queued = self.waiting_rows
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except TimeoutError:
            self._give_up(caller_id, turn, rows)
            # The wait would have been at least this long.
            self._learn_wait(max(loop.time() - begin, queued * self._wait_a_row), queued)
            raise DeadlineExceeded(max(deadline - begin, 0.0)) from None
        except asyncio.CancelledError:
            self._give_up(caller_id, turn, rows)
            raise
        self._learn_wait(loop.time() - begin, queued)

    def leave(self, rows: int) -> None:
        """Release the room of admitted texts, and admit others that wait."""
        super().leave(rows)
        while self.rows < self.limit and (rows := self._waiting.next_rows()):
            turn = self._waiting.pop()
            if not turn.done():
                self.rows += rows
                turn.set_result(None)

    def _refuse_queue(self, rows: int, remaining: float) -> None:
        if self.waiting_rows + rows > MAX_WAITING_ROWS:
            waiting = f"{self.waiting_rows + rows:,} texts would wait"
            raise Overloaded(f"{waiting}, and the limit is {MAX_WAITING_ROWS:,}")
        # With an empty queue nothing is refused, so the current speed is measured again.
        expected = (self.waiting_rows + rows) * self._wait_a_row
        if self.waiting_rows and expected > remaining:
            raise Overloaded(f"the wait would be {expected:.3f} s; {remaining:.3f} s are left")

    def _learn_wait(self, seconds: float, queued: int) -> None:
        """Learn the wait per text in the queue; a short queue says little about it."""
        weight = _WAIT_SMOOTHING * min(1.0, queued / _LONG_QUEUE)
        self._wait_a_row += weight * (seconds / queued - self._wait_a_row)

    def _give_up(self, caller_id: str, turn: asyncio.Future[None], rows: int) -> None:
        """Remove a canceled wait; if it was admitted at the same moment, release its room."""
        if not self._waiting.discard(caller_id, turn) and not turn.cancelled():
            self.leave(rows)


@dataclass(frozen=True)
class TaskAdmission:
    """The admission of a task's texts, by the kind of their calls.

    Attributes:
        unary: refuses unary calls above its limit.
        patient: lets batches and streams wait above its limit.
    """

    unary: UnaryAdmission
    patient: PatientAdmission

    @staticmethod
    def of(max_queue_delay: float) -> "TaskAdmission":
        """Return the admission of a task whose texts may wait this many seconds, smoothed."""
        return TaskAdmission(UnaryAdmission(max_queue_delay), PatientAdmission(max_queue_delay))

    @property
    def is_half_full(self) -> bool:
        """Whether callers use more than half of a limit."""
        return self.unary.is_half_full or self.patient.is_half_full
