"""Texts on their way to the model and back, and the queue in which they take turns."""

import asyncio
from collections import deque
from collections.abc import Sequence
from math import inf

from opentelemetry.trace import Span

from tidemill_core.domain.prediction import Prediction
from tidemill_core.errors import TidemillError
from tidemill_server.inference.query import Query

QUANTUM_ROWS = 16
"""Rows that a caller may send before the next one's turn."""

Answer = Prediction | TidemillError


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


class _Caller:
    __slots__ = ("credit", "works")

    def __init__(self) -> None:
        self.works: deque[Work] = deque()
        self.credit = QUANTUM_ROWS


class FairQueue:
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
        self._callers: dict[str, _Caller] = {}
        self._turns: deque[str] = deque()

    def add(self, caller_id: str, work: Work) -> None:
        """Queue a work of a caller."""
        caller = self._callers.get(caller_id)
        if caller is None:
            caller = self._callers[caller_id] = _Caller()
            self._turns.appendleft(caller_id)
        caller.works.append(work)
        self.rows += len(work.texts)

    def take(self, rows: int) -> list[Work]:
        """Remove and return the next works that have at most `rows` texts together."""
        taken: list[Work] = []
        while self._turns:
            caller = self._callers[self._turns[0]]
            if not caller.works:
                del self._callers[self._turns.popleft()]
                continue
            size = len(caller.works[0].texts)
            if caller.credit <= 0:
                caller.credit += QUANTUM_ROWS
                self._turns.rotate(-1)
            elif size > rows:
                break
            else:
                taken.append(caller.works.popleft())
                caller.credit -= size
                self.rows -= size
                rows -= size
                if not caller.works:
                    self._turns.rotate(-1)
        return taken
