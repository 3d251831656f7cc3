"""The texts of one version on their way to Triton."""

import asyncio
from collections.abc import Sequence

from tidemill_server.inference.pace import Pace
from tidemill_server.inference.router import ServedModel
from tidemill_server.inference.work import FairQueue, Work


class Lane:
    """The queued works of a version, unary or others, and its calls in flight.

    Attributes:
        model: the version.
        is_unary: whether its works are unary calls.
        queue: the works that no call has yet.
        calls: the works of each call in flight.
        pace: how long the calls take.
        dispatching: whether the next calls are about to be made.
        is_resting: whether it leaves Triton to unary calls.
    """

    def __init__(self, model: ServedModel, is_unary: bool) -> None:
        self.model = model
        self.is_unary = is_unary
        self.queue = FairQueue[Work]()
        self.calls: list[Sequence[Work]] = []
        self.pace = Pace()
        self.dispatching = False
        self.is_resting = False

    @property
    def waited_calls(self) -> int:
        """How many of the calls in flight a caller still waits for."""
        return sum(any(not work.answer.done() for work in batch) for batch in self.calls)

    @property
    def is_busy(self) -> bool:
        """Whether it has queued requests or calls in flight."""
        return bool(self.queue.rows or self.calls)

    def take(self, rows: int) -> list[Work]:
        """Take the next batch, and drop work whose caller is gone or too late."""
        now = asyncio.get_running_loop().time()
        batch: list[Work] = []
        for work in self.queue.take(rows):
            if work.answer.done():
                continue
            if work.query.deadline <= now:
                work.expire()
                continue
            batch.append(work)
        return batch
