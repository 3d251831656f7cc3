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
"""Rows that a flow may send before the next flow's turn."""

Answer = Prediction | TidemillError
Flow = tuple[str, str]
"""A caller's id and a method: they take turns, however many texts each of them sends."""


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


class _Flow:
    __slots__ = ("credit", "works")

    def __init__(self) -> None:
        self.works: deque[Work] = deque()
        self.credit = QUANTUM_ROWS


class FairQueue:
    """A queue in which flows take turns: deficit round robin (Shreedhar and Varghese, 1995).

    A flow that was idle has the next turn, as in FQ-CoDel (RFC 8290). So a caller with few texts
    does not wait behind the batches of others, and a flow that always has texts waiting gets its
    share of the rows.

    Attributes:
        rows: queued texts.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._flows: dict[Flow, _Flow] = {}
        self._turns: deque[Flow] = deque()

    def add(self, flow: Flow, work: Work) -> None:
        """Queue a work."""
        queued = self._flows.get(flow)
        if queued is None:
            queued = self._flows[flow] = _Flow()
            self._turns.appendleft(flow)
        queued.works.append(work)
        self.rows += len(work.texts)

    def take(self, rows: int) -> list[Work]:
        """Remove and return the next works that have at most `rows` texts together."""
        taken: list[Work] = []
        while self._turns:
            key = self._turns[0]
            flow = self._flows[key]
            size = len(flow.works[0].texts)
            if flow.credit <= 0:
                flow.credit += QUANTUM_ROWS
                self._turns.rotate(-1)
            elif size > rows:
                break
            else:
                taken.append(flow.works.popleft())
                flow.credit -= size
                self.rows -= size
                rows -= size
                if not flow.works:
                    del self._flows[key]
                    self._turns.popleft()
        return taken
