"""The turns of calls to Triton, so that online callers do not feel a batch.

While no one else asks Triton, calls are large and two are in progress. While others do, one small
call at a time is in progress, and a pause follows that is as long as the call was. Triton's own
counts show whether others ask. See docs/decisions/batch-scoring.md.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidemill_core.errors import DeadlineExceeded, Unavailable

LARGE_ROWS = 128
SMALL_ROWS = 16
CALLS_IN_PROGRESS = 2
_LOOK_SECONDS = 0.25
_BUSY_SECONDS = 1.0
"""How long others count as asking after they did."""
_UNCOUNTED_CALLS = CALLS_IN_PROGRESS
"""Triton may count a call shortly after it answered it."""


class SmallTurns:
    """The turns of a task on a cluster, which cannot tell callers from the other tasks.

    Calls are small, so a caller waits for at most one of each task.
    """

    @contextmanager
    def turn(self) -> Iterator[int]:
        """Yield the most rows of one call."""
        yield SMALL_ROWS


class SharedTurns:
    """The turns of the calls of several threads.

    Args:
        answered_calls: returns how many calls Triton has answered, to all callers.
        look_seconds: how often to ask for it.
    """

    def __init__(
        self, answered_calls: Callable[[], int], look_seconds: float = _LOOK_SECONDS
    ) -> None:
        self._answered_calls = answered_calls
        self._look_seconds = look_seconds
        self._entrance = threading.Lock()
        self._places = threading.Semaphore(CALLS_IN_PROGRESS)
        self._own_calls = 0
        self._others = answered_calls()
        self._look_at = 0.0
        self._busy_until = 0.0

    @property
    def is_busy(self) -> bool:
        """Whether others ask Triton."""
        return time.monotonic() < self._busy_until

    @contextmanager
    def turn(self) -> Iterator[int]:
        """Wait for a place, and yield the most rows of one call, which the block makes."""
        with self._entrance:
            alone = self.is_busy or time.monotonic() >= self._look_at
            places = CALLS_IN_PROGRESS if alone else 1
            for _ in range(places):
                self._places.acquire()
            if alone:
                self._look()
            self._own_calls += 1
        begin = time.monotonic()
        try:
            yield SMALL_ROWS if self.is_busy else LARGE_ROWS
        finally:
            if self.is_busy:
                time.sleep(time.monotonic() - begin)
            self._places.release(places)

    def _look(self) -> None:
        """Look whether others ask. No call of ours is in progress."""
        if time.monotonic() < self._look_at:
            return
        self._look_at = time.monotonic() + self._look_seconds
        try:
            others = self._answered_calls() - self._own_calls
        except (Unavailable, DeadlineExceeded):
            return  # the next call says so
        if others > self._others + _UNCOUNTED_CALLS:
            self._busy_until = time.monotonic() + _BUSY_SECONDS
        self._others = others
