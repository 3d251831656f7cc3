"""Merging of concurrent requests into few Triton calls.

Each version has a lane. An idle lane sends its first request immediately. While a call is in
flight, further requests gather until it returns or until there are enough for another concurrent
call. So requests do not wait at low load, and batches grow with the load. This pays because a call
costs the front as much time as dozens of rows.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from math import inf

import structlog
from opentelemetry.trace import Span

from tidemill_core.errors import DeadlineExceeded, ModelOutputInvalid, TidemillError
from tidemill_core.triton.client import TritonClient
from tidemill_server.inference.bisection import Probabilities, Row, TokenIds, answered
from tidemill_server.inference.pace import Pace
from tidemill_server.inference.router import ServedModel
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.tracing import Tracing, current_span

MAX_ROWS_A_CALL = 128
MAX_IN_FLIGHT = 4
ROWS_WORTH_A_CALL = 32
"""Rows that make another concurrent call worthwhile."""

log = structlog.get_logger()


@dataclass(eq=False, slots=True)
class Work:
    """Texts that are answered together; times are on the event loop's clock.

    Attributes:
        texts: 1 to MAX_ROWS_A_CALL.
        deadline: when the caller stops waiting.
        arrival: when the texts arrived.
        answer: one row per text.
        span: the span of the request.
        turn: when its Triton call began; infinity before that.
        triton_seconds: how long its Triton call took.
    """

    texts: Sequence[str]
    deadline: float
    arrival: float
    answer: asyncio.Future[list[Row]]
    span: Span
    turn: float = inf
    triton_seconds: float = 0.0


@dataclass
class _Lane:
    model: ServedModel
    queue: deque[Work] = field(default_factory=deque)
    queued_rows: int = 0
    dispatching: bool = False
    pace: Pace = field(default_factory=Pace)

    @property
    def has_call_to_make(self) -> bool:
        """Whether queued rows should be sent now."""
        if not self.pace.in_flight:
            return self.queued_rows > 0
        return self.pace.in_flight < MAX_IN_FLIGHT and self.queued_rows >= ROWS_WORTH_A_CALL

    @property
    def is_busy(self) -> bool:
        """Whether it has queued requests or calls in flight."""
        return bool(self.queue or self.pace.in_flight)


class Coalescer:
    """The merging of many callers' texts into Triton calls, on one event loop."""

    def __init__(self, triton: TritonClient, metrics: Metrics, tracing: Tracing) -> None:
        self._triton = triton
        self._metrics = metrics
        self._tracing = tracing
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, model: ServedModel, texts: Sequence[str], deadline: float) -> Work:
        """Queue texts for a version, merged with the texts of other callers.

        A text that makes the model fail costs no other text its answer. Canceling the answer
        drops the work if it is still queued.

        Args:
            model: the version to call.
            texts: 1 to MAX_ROWS_A_CALL, already checked.
            deadline: on the event loop's clock, in seconds.

        Returns:
            The work. Its answer holds calibrated probabilities or an error for each text. It fails
            with DeadlineExceeded, TritonUnavailable or ModelVersionNotServed if that error
            concerns all texts.

        Raises:
            Overloaded: the answer would come after the deadline.
        """
        loop = asyncio.get_running_loop()
        lane = self._lanes.get((model.name, model.version))
        if lane is None:
            lane = self._open_lane(model)
        now = loop.time()
        calls_before = (lane.queued_rows // MAX_ROWS_A_CALL + 1) / MAX_IN_FLIGHT
        lane.pace.refuse_late(calls_before + 1, deadline - now)
        work = Work(texts, deadline, now, loop.create_future(), current_span.get())
        lane.queue.append(work)
        lane.queued_rows += len(texts)
        if lane.has_call_to_make and not lane.dispatching:
            # Deferred, so that other requests of this turn of the loop join the call.
            lane.dispatching = True
            loop.call_soon(self._dispatch, lane)
        return work

    def load(self, task: str) -> tuple[int, int]:
        """Return how many texts of a task are queued, and how many of its calls are in flight."""
        lanes = [lane for lane in self._lanes.values() if lane.model.task == task]
        return sum(lane.queued_rows for lane in lanes), sum(lane.pace.in_flight for lane in lanes)

    def _open_lane(self, model: ServedModel) -> _Lane:
        # Versions come and go, so idle lanes are removed.
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.is_busy}
        lane = self._lanes[model.name, model.version] = _Lane(model)
        return lane

    def _dispatch(self, lane: _Lane) -> None:
        lane.dispatching = False
        while lane.has_call_to_make and (batch := _take(lane)):
            lane.pace.in_flight += 1
            task = asyncio.get_running_loop().create_task(self._answer(lane, batch))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _answer(self, lane: _Lane, batch: Sequence[Work]) -> None:
        try:
            rows = iter(await self._rows(lane, batch))
        except TidemillError as error:
            _refuse(batch, error)
        except Exception as error:
            log.exception("unexpected_error", model=lane.model.name, version=lane.model.version)
            _refuse(batch, error)
        else:
            for work in batch:
                answer = list(islice(rows, len(work.texts)))
                if not work.answer.done():
                    _settle(work, answer)
        finally:
            lane.pace.in_flight -= 1
            self._dispatch(lane)

    async def _rows(self, lane: _Lane, batch: Sequence[Work]) -> list[Row]:
        clock = asyncio.get_running_loop().time
        observed = self._metrics.task(lane.model.task)
        begin = clock()
        for work in batch:
            work.turn = begin
            observed.queue_seconds.observe(begin - work.arrival)
        ids = lane.model.encoder.encode([text for work in batch for text in work.texts])
        sent = clock()
        observed.tokenization_seconds.observe(sent - begin)
        observed.batch_rows.observe(len(ids))
        # The longest deadline, so that a short one does not end the call for the others.
        deadline = max(work.deadline for work in batch)
        spans = [work.span for work in batch]
        try:
            return await answered(partial(self._call, lane, deadline, spans), ids)
        finally:
            seconds = clock() - sent
            for work in batch:
                work.triton_seconds = seconds

    async def _call(
        self, lane: _Lane, deadline: float, spans: Sequence[Span], ids: TokenIds
    ) -> Probabilities:
        clock, model = asyncio.get_running_loop().time, lane.model
        begin = clock()
        if begin >= deadline:
            raise DeadlineExceeded(0.0)
        try:
            with self._tracing.triton_span(model.name, model.version, len(ids), spans) as name:
                answers = await self._triton.infer(
                    model.name, model.version, ids, deadline - begin, name
                )
        finally:
            seconds = clock() - begin
            lane.pace.took(seconds)
            self._metrics.triton(model.task, model.version).observe(seconds)
        if answers.shape[1] != len(model.labels):
            detail = f"{answers.shape[1]} probabilities for {len(model.labels)} labels"
            raise ModelOutputInvalid(model.name, model.version, detail)
        return answers


def _take(lane: _Lane) -> list[Work]:
    """Take the next batch from a lane, and drop work whose caller is gone or too late."""
    now = asyncio.get_running_loop().time()
    batch: list[Work] = []
    rows = 0
    while lane.queue and rows + len(lane.queue[0].texts) <= MAX_ROWS_A_CALL:
        work = lane.queue.popleft()
        lane.queued_rows -= len(work.texts)
        if work.answer.done():
            continue
        if work.deadline <= now:
            work.answer.set_exception(DeadlineExceeded(work.deadline - work.arrival))
            continue
        batch.append(work)
        rows += len(work.texts)
    return batch


def _settle(work: Work, rows: list[Row]) -> None:
    first = rows[0]
    if isinstance(first, TidemillError) and _fails_all(first, rows):
        work.answer.set_exception(first)
    else:
        work.answer.set_result(rows)


def _fails_all(error: TidemillError, rows: Sequence[Row]) -> bool:
    """Return whether an error concerns the whole work and not a single text."""
    return not isinstance(error, ModelOutputInvalid) and all(row is error for row in rows)


def _refuse(batch: Sequence[Work], error: Exception) -> None:
    for work in batch:
        if not work.answer.done():
            work.answer.set_exception(error)
