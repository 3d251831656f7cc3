"""Merging of concurrent requests into few Triton calls.

Each version has two lanes, one for unary calls, and one for batches, streams and shadows. An idle
lane sends its first request immediately. While a call is in flight, further requests gather until
it returns or until there are enough for another concurrent call. So requests do not wait at low
load, and batches grow with the load. This pays because a call costs the front as much time as
dozens of rows.

Unary calls wait for one answer, so they come first: while there are any, the other lanes have one
small call in flight, and rest as long as it took. Callers take turns in a lane (`work.FairQueue`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from tidemill_core.domain.prediction import SHADOW_METHOD
from tidemill_core.errors import DeadlineExceeded, ModelOutputInvalid, TidemillError
from tidemill_core.triton.client import TritonClient
from tidemill_server.inference.admission import TaskAdmission
from tidemill_server.inference.answers import Answers
from tidemill_server.inference.bisection import Probabilities, Rows, TokenIds, answered
from tidemill_server.inference.lane import Lane
from tidemill_server.inference.pace import CALL_SECONDS, ended
from tidemill_server.inference.query import UNARY_METHOD, Query
from tidemill_server.inference.router import ServedModel
from tidemill_server.inference.work import Work
from tidemill_server.security.acting import current_caller
from tidemill_server.telemetry.metrics import Metrics
from tidemill_server.telemetry.tracing import Tracing, current_span

MAX_ROWS_A_CALL = 64
"""Larger calls cost more per row on a CPU, and delay what comes after them."""
MAX_ROWS_A_WORK = 16
"""So also the most rows of a small call."""
MAX_IN_FLIGHT = 4
ROWS_WORTH_A_CALL = 32
"""Rows that make another concurrent call worthwhile."""
_UNARY_SECONDS = 0.1
"""Time after a unary call in which others are expected."""

log = structlog.get_logger()


class Coalescer:
    """The merging of many callers' texts into Triton calls, on one event loop.

    Args:
        triton: answers the calls.
        answers: gives the works of a call their answers.
        admissions: learn how long texts wait, by task.
        metrics: observes times and sizes.
        tracing: traces the calls.
    """

    def __init__(
        self,
        triton: TritonClient,
        answers: Answers,
        admissions: Mapping[str, TaskAdmission],
        metrics: Metrics,
        tracing: Tracing,
    ) -> None:
        self._triton = triton
        self._answers = answers
        self._admissions = admissions
        self._metrics = metrics
        self._tracing = tracing
        self._lanes: dict[tuple[str, int, bool], Lane] = {}
        self._unary_until = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(
        self, model: ServedModel, query: Query, texts: Sequence[str], propensity: float
    ) -> Work:
        """Queue texts for a version, merged with the texts of other callers.

        A text that makes the model fail costs no other text its answer. A caller that no longer
        waits for the answer must call `give_up`.

        Args:
            model: the version to call.
            query: whose texts they are.
            texts: 1 to MAX_ROWS_A_WORK, already checked.
            propensity: the probability with which the router chose the version.

        Returns:
            The work. Its answer fails with DeadlineExceeded, TritonUnavailable or
            ModelVersionNotServed if that error concerns all texts.

        Raises:
            Overloaded: the answer would come after the deadline.
        """
        now, is_unary = asyncio.get_running_loop().time(), query.method == UNARY_METHOD
        if is_unary:
            self._unary_until = now + _UNARY_SECONDS
        lane = self._lanes.get((model.name, model.version, is_unary))
        if lane is None:
            lane = self._open_lane(model, is_unary)
        calls_before = (lane.queue.rows // MAX_ROWS_A_CALL + 1) / MAX_IN_FLIGHT
        lane.pace.refuse_late(calls_before + 1, query.deadline - now)
        work = Work(query, texts, propensity, current_span.get(), now)
        lane.queue.add(current_caller.get().caller_id, work, len(texts))
        self._dispatch_soon(lane)
        return work

    def give_up(self, model: ServedModel, work: Work) -> bool:
        """Drop a work whose caller no longer waits; a call that it is in goes on.

        Returns:
            Whether its wait is a sign of overload: not if Triton answers no call.
        """
        lane = self._lanes.get((model.name, model.version, work.query.method == UNARY_METHOD))
        if lane is None:  # idle since
            return True
        lane.queue.discard(current_caller.get().caller_id, work)
        self._dispatch_soon(lane)
        return lane.waited_calls > 0 or not lane.calls

    async def close(self) -> None:
        """Close the connection to Triton, after a moment for the calls in flight."""
        await ended(self._tasks)
        await self._triton.close()

    def load(self, task: str) -> tuple[int, int]:
        """Return how many texts of a task are queued, and how many of its calls are in flight."""
        lanes = [lane for lane in self._lanes.values() if lane.model.task == task]
        return sum(lane.queue.rows for lane in lanes), sum(lane.pace.in_flight for lane in lanes)

    def _open_lane(self, model: ServedModel, is_unary: bool) -> Lane:
        # Versions come and go, so idle lanes are removed.
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane.is_busy}
        lane = self._lanes[model.name, model.version, is_unary] = Lane(model, is_unary)
        return lane

    def _gives_way(self, lane: Lane) -> bool:
        return not lane.is_unary and asyncio.get_running_loop().time() < self._unary_until

    def _has_call_to_make(self, lane: Lane) -> bool:
        """Return whether queued rows should be sent now."""
        if len(lane.calls) >= MAX_IN_FLIGHT:
            return False
        if not (waited := lane.waited_calls):
            return lane.queue.rows > 0 and not lane.is_resting
        most = 1 if self._gives_way(lane) else MAX_IN_FLIGHT
        return waited < most and lane.queue.rows >= ROWS_WORTH_A_CALL

    def _dispatch_soon(self, lane: Lane) -> None:
        """Send queued rows, deferred so that other requests of this turn of the loop join."""
        if not lane.dispatching and self._has_call_to_make(lane):
            lane.dispatching = True
            asyncio.get_running_loop().call_soon(self._dispatch, lane)

    def _dispatch(self, lane: Lane) -> None:
        lane.dispatching = False
        while self._has_call_to_make(lane):
            if batch := lane.take(MAX_ROWS_A_WORK if self._gives_way(lane) else MAX_ROWS_A_CALL):
                lane.pace.in_flight += 1
                lane.calls.append(batch)
                task = asyncio.get_running_loop().create_task(self._answer(lane, batch))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _answer(self, lane: Lane, batch: Sequence[Work]) -> None:
        try:
            self._answers.give(lane.model, batch, *await self._rows(lane, batch))
        except TidemillError as error:
            _refuse(batch, error)
        except Exception as error:
            log.exception("unexpected_error", model=lane.model.name, version=lane.model.version)
            _refuse(batch, error)
        finally:
            lane.pace.in_flight -= 1
            lane.calls.remove(batch)
            self._rest(lane)
            self._dispatch(lane)

    def _rest(self, lane: Lane) -> None:
        """Leave unary calls the time of a small call, while there are any."""
        if self._gives_way(lane):
            lane.is_resting = True
            seconds = min(lane.pace.call_seconds, _UNARY_SECONDS)
            asyncio.get_running_loop().call_later(seconds, self._end_rest, lane)

    def _end_rest(self, lane: Lane) -> None:
        lane.is_resting = False
        self._dispatch(lane)

    async def _rows(self, lane: Lane, batch: Sequence[Work]) -> tuple[TokenIds, Rows]:
        clock, model = asyncio.get_running_loop().time, lane.model
        begin = clock()
        for work in batch:
            work.turn = begin
        ids = model.encoder.encode([text for work in batch for text in work.texts])
        sent = clock()
        # At least the longest deadline, so that a short one does not end the call for the others.
        deadline = max(begin + CALL_SECONDS, *(work.query.deadline for work in batch))
        rows = await answered(partial(self._call, lane, deadline, batch), ids, len(model.labels))
        self._observe(lane, batch, begin, sent - begin)
        return ids, rows

    def _observe(self, lane: Lane, batch: Sequence[Work], begin: float, encoding: float) -> None:
        now, task = asyncio.get_running_loop().time(), lane.model.task
        waits = [begin - work.arrival for work in batch]
        observed = self._metrics.task(task)
        observed.queue_seconds.observe_all(waits)
        observed.overhead_seconds.observe_all([encoding] * len(batch))
        observed.tokenization_seconds.observe(encoding)
        observed.batch_rows.observe(sum(len(work.texts) for work in batch))
        wait = sum(waits) / len(waits)
        rows = sum(len(work.texts) for work in batch if work.query.method != SHADOW_METHOD)
        if rows:
            admission = self._admissions[task]
            admitted = admission.unary if lane.is_unary else admission.patient
            admitted.observe(rows, wait + encoding, now - begin + wait, now)

    async def _call(
        self, lane: Lane, deadline: float, batch: Sequence[Work], ids: TokenIds
    ) -> Probabilities:
        clock, model = asyncio.get_running_loop().time, lane.model
        begin = clock()
        if begin >= deadline:
            raise DeadlineExceeded(0.0)
        spans = [work.span for work in batch]
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
            detail = f"a width of {answers.shape[1]} instead of {len(model.labels)}"
            raise ModelOutputInvalid(model.name, model.version, detail)
        return answers


def _refuse(batch: Sequence[Work], error: Exception) -> None:
    for work in batch:
        if not work.answer.done():
            work.answer.set_exception(error)
