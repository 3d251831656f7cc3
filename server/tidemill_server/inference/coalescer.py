"""Merges concurrent requests into few Triton calls.

Each version has a lane. What comes into a quiet lane goes out at once; while a call is under way
others gather until it returns, or until they are enough to be worth another call beside it. So
nothing waits when it is quiet, and batches grow with the load by themselves: a call costs the
front as much time as dozens of rows.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import structlog

from tidemill_core.errors import DeadlineExceeded, ModelOutputInvalid, TidemillError
from tidemill_core.triton.client import TritonClient
from tidemill_server.inference.admission import overloaded
from tidemill_server.inference.router import ServedModel
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.tracing import Tracing

MAX_ROWS_A_CALL = 128
MAX_IN_FLIGHT = 4
ROWS_WORTH_A_CALL = 32
"""As many go out beside a call that is under way."""
_SMOOTHING = 0.2

log = structlog.get_logger()

Probabilities = npt.NDArray[np.float32]
TokenIds = npt.NDArray[np.int32]
Row = Probabilities | ModelOutputInvalid
"""The answer to one text: float32 [labels], or why the model has none for it."""


@dataclass(eq=False, slots=True)
class Work:
    """Texts that are answered together.

    Attributes:
        texts: 1 to MAX_ROWS_A_CALL.
        deadline: on the event loop's clock.
        arrival: on the same clock.
        answer: one row a text.
        span: of the request that it is for.
        queue_seconds: from its coming to its Triton call.
        triton_seconds: how long that took.
    """

    texts: Sequence[str]
    deadline: float
    arrival: float
    answer: asyncio.Future[list[Row]]
    span: object
    queue_seconds: float = 0.0
    triton_seconds: float = 0.0


@dataclass
class _Lane:
    model: ServedModel
    queue: deque[Work] = field(default_factory=deque)
    queued_rows: int = 0
    in_flight: int = 0
    dispatching: bool = False
    call_seconds: float = 0.0
    """Of a Triton call, smoothed over the last ones."""

    @property
    def has_call_to_make(self) -> bool:
        """Whether what is queued should go out now."""
        if not self.in_flight:
            return self.queued_rows > 0
        return self.in_flight < MAX_IN_FLIGHT and self.queued_rows >= ROWS_WORTH_A_CALL

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits for it."""
        return bool(self.queue or self.in_flight)


class Coalescer:
    """Asks Triton on behalf of many callers on one event loop."""

    def __init__(self, triton: TritonClient, metrics: Metrics, tracing: Tracing) -> None:
        self._triton = triton
        self._metrics = metrics
        self._tracing = tracing
        self._lanes: dict[tuple[str, int], _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, model: ServedModel, texts: Sequence[str], deadline: float) -> Work:
        """Classify texts, merged with what other callers ask of the same version.

        A text that makes the model fail costs no other text its answer. Cancelling the answer
        drops what is still queued.

        Args:
            model: who answers.
            texts: 1 to MAX_ROWS_A_CALL, checked already.
            deadline: on the event loop's clock, in seconds.

        Returns:
            The work. Its answer holds, for each text, calibrated probabilities or why there are
            none; or it fails with DeadlineExceeded, TritonUnavailable, ModelVersionNotServed
            or ModelOutputInvalid.

        Raises:
            ResourceExhausted: OVERLOADED; the answer would come after the deadline.
        """
        loop = asyncio.get_running_loop()
        lane = self._lanes.get((model.name, model.version))
        if lane is None:
            lane = self._open_lane(model)
        now = loop.time()
        _refuse_late(lane, deadline - now)
        work = Work(texts, deadline, now, loop.create_future(), self._tracing.current())
        lane.queue.append(work)
        lane.queued_rows += len(texts)
        if lane.has_call_to_make and not lane.dispatching:
            # Not at once: what else arrived in this turn of the loop goes along.
            lane.dispatching = True
            loop.call_soon(self._dispatch, lane)
        return work

    def load(self, task: str) -> tuple[int, int]:
        """Texts of a task that are queued, and its Triton calls under way."""
        lanes = [lane for lane in self._lanes.values() if lane.model.task == task]
        return sum(lane.queued_rows for lane in lanes), sum(lane.in_flight for lane in lanes)

    def _open_lane(self, model: ServedModel) -> _Lane:
        # Versions come and go; their quiet lanes go with them.
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.is_busy}
        lane = self._lanes[model.name, model.version] = _Lane(model)
        return lane

    def _dispatch(self, lane: _Lane) -> None:
        lane.dispatching = False
        while lane.has_call_to_make and (batch := _take(lane)):
            lane.in_flight += 1
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
                    work.answer.set_result(answer)
        finally:
            lane.in_flight -= 1
            self._dispatch(lane)

    async def _rows(self, lane: _Lane, batch: Sequence[Work]) -> list[Row]:
        clock = asyncio.get_running_loop().time
        observed = self._metrics.task(lane.model.task)
        begin = clock()
        for work in batch:
            work.queue_seconds = begin - work.arrival
            observed.queue_seconds.observe(work.queue_seconds)
        ids = lane.model.encoder.encode([text for work in batch for text in work.texts])
        sent = clock()
        observed.tokenization_seconds.observe(sent - begin)
        observed.batch_rows.observe(len(ids))
        # The longest deadline: a short one of a neighbour must not end the others' call.
        deadline = max(work.deadline for work in batch)
        spans = [work.span for work in batch]
        try:
            return await self._ask(lane.model, ids, deadline, spans)
        finally:
            seconds = clock() - sent
            lane.call_seconds += _SMOOTHING * (seconds - lane.call_seconds)
            self._metrics.triton(lane.model.task, lane.model.version).observe(seconds)
            for work in batch:
                work.triton_seconds = seconds

    async def _ask(
        self, model: ServedModel, ids: TokenIds, deadline: float, spans: Sequence[object]
    ) -> list[Row]:
        """Ask for all rows; where that fails, for each half, down to the row at fault."""
        remaining = deadline - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise DeadlineExceeded(0.0)
        try:
            with self._tracing.triton_span(model.name, model.version, len(ids), spans) as span:
                answers = await self._triton.infer(
                    model.name, model.version, ids, remaining, span.request_id
                )
        except ModelOutputInvalid as error:
            if len(ids) == 1:
                return [error]
            half = len(ids) // 2
            first = await self._ask(model, ids[:half], deadline, spans)
            return first + await self._ask(model, ids[half:], deadline, spans)
        if answers.shape[1] != len(model.labels):
            detail = f"{answers.shape[1]} probabilities for {len(model.labels)} labels"
            raise ModelOutputInvalid(model.name, model.version, detail)
        return list(answers)


def _refuse_late(lane: _Lane, remaining: float) -> None:
    """Refuse what cannot be answered in time, judged by the calls before it.

    While nothing is under way nothing is refused: a lane that was slow once finds out that it is
    not any more.
    """
    if not lane.in_flight:
        return
    calls_before = (lane.queued_rows // MAX_ROWS_A_CALL + 1) / MAX_IN_FLIGHT
    expected = (calls_before + 1) * lane.call_seconds
    if expected > remaining:
        raise overloaded(f"an answer would take {expected:.3f} s; {remaining:.3f} s are left")


def _take(lane: _Lane) -> list[Work]:
    """Take the next batch from a lane; what nobody waits for any more is dropped."""
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


def _refuse(batch: Sequence[Work], error: Exception) -> None:
    for work in batch:
        if not work.answer.done():
            work.answer.set_exception(error)
