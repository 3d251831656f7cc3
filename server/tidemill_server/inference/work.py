"""Texts on their way to the model and back, and the queue in which they take turns."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence
from math import inf
from typing import Generic, TypeVar

from opentelemetry.trace import Span

from tidemill_core.domain.prediction import Prediction
from tidemill_core.errors import DeadlineExceeded, TidemillError
from tidemill_server.inference.query import Query

QUANTUM_ROWS = 16
"""Rows that a caller may send before the next one's turn."""

Answer = Prediction | TidemillError
Item = TypeVar("Item")


class Work:
    """Texts of one query that are answered together; times are on the event loop's clock.

    Attributes:
        query: the query.
        texts: at least one, already checked.
        propensity: the probability with which the router chose the version.
        span: the span of the request.
        answer: one answer per text.
        arrival: when the texts were queued.
        turn: when their Triton call was prepared; infinity before that.
    """

    __slots__ = ("answer", "arrival", "propensity", "query", "span", "texts", "turn")

    def __init__(
        self, query: Query, texts: Sequence[str], propensity: float, span: Span, arrival: float
    ) -> None:
        self.query = query
        self.texts = texts
        self.propensity = propensity
        self.span = span
        self.answer: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self.arrival = arrival
        self.turn = inf

    async def answered(self) -> list[Answer]:
        """Return the answer; wait for it until the deadline.

        Raises:
            TidemillError: DeadlineExceeded, or the error that concerns all texts.
        """
        timer = asyncio.get_running_loop().call_at(self.query.deadline, self.expire)
        try:
            return await self.answer
        finally:
            timer.cancel()

    def expire(self) -> None:
        """Fail with DeadlineExceeded, unless there is an answer."""
        if not self.answer.done():
            seconds = self.query.deadline - self.arrival
            self.answer.set_exception(DeadlineExceeded(seconds))


class _Caller(Generic[Item]):
    __slots__ = ("credit", "items")

    def __init__(self) -> None:
        self.items: OrderedDict[Item, int] = OrderedDict()  # with their texts
        self.credit = QUANTUM_ROWS


class FairQueue(Generic[Item]):
    """A queue in which callers take turns: deficit round robin (Shreedhar and Varghese, 1995).

    A caller who had nothing queued has the next turn, as in FQ-CoDel (RFC 8290). So few texts do
    not wait behind the many of others, and callers who always have texts queued get equal shares.
    A caller whose last text was taken keeps its place behind the others for one round. Otherwise
    callers with one text at a time could always come before them.

    Attributes:
        rows: queued texts.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._callers: dict[str, _Caller[Item]] = {}
        self._turns: deque[str] = deque()

    def add(self, caller_id: str, item: Item, rows: int) -> None:
        """Queue an item of a caller, which has at least one text."""
        caller = self._callers.get(caller_id)
        if caller is None:
            caller = self._callers[caller_id] = _Caller()
            self._turns.appendleft(caller_id)
        caller.items[item] = rows
        self.rows += rows

    def discard(self, caller_id: str, item: Item) -> bool:
        """Remove an item; return whether it was still queued."""
        caller = self._callers.get(caller_id)
        rows = caller.items.pop(item, 0) if caller is not None else 0
        self.rows -= rows
        return rows > 0

    def next_rows(self) -> int:
        """Return how many texts the item whose turn it is has; 0 if the queue is empty."""
        while self._turns:
            caller = self._callers[self._turns[0]]
            if not caller.items:
                del self._callers[self._turns.popleft()]
            elif caller.credit <= 0:
                caller.credit += QUANTUM_ROWS
                self._turns.rotate(-1)
            else:
                return next(iter(caller.items.values()))
        return 0

    def pop(self) -> Item:
        """Remove and return the item whose turn it is, right after `next_rows`."""
        caller = self._callers[self._turns[0]]
        item, rows = caller.items.popitem(last=False)
        caller.credit -= rows
        self.rows -= rows
        if not caller.items:
            self._turns.rotate(-1)
        return item

    def take(self, rows: int) -> list[Item]:
        """Remove and return the next items that have at most `rows` texts together."""
        taken: list[Item] = []
        while 0 < (size := self.next_rows()) <= rows:
            taken.append(self.pop())
            rows -= size
        return taken
