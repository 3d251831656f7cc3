"""Calls of models for admitted texts, and reports of their times to admission."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tidemill_core.errors import DeadlineExceeded, ResourceExhausted
from tidemill_server.inference.admission import Admission
from tidemill_server.inference.bisection import Row
from tidemill_server.inference.coalescer import MAX_ROWS_A_CALL, Coalescer, Work
from tidemill_server.inference.query import UNARY_METHOD, Query
from tidemill_server.inference.router import ServedModel
from tidemill_server.telemetry.metrics import Metrics

REFUSAL_SECONDS = 0.05
"""Delay before a unary call is refused. A refusal costs as much as an answer, so callers that
ignore RetryInfo and retry immediately would take time from the admitted ones."""


@dataclass(frozen=True)
class AdmittedCalls:
    """Calls of models, for which texts wait for admission.

    Attributes:
        coalescer: merges the calls.
        admissions: the admission of each task, by the task's name.
        metrics: observes the overhead.
        arrival_delay: returns the seconds that a call currently waits before a handler runs.
    """

    coalescer: Coalescer
    admissions: Mapping[str, Admission]
    metrics: Metrics
    arrival_delay: Callable[[], float]

    async def rows(self, model: ServedModel, query: Query, texts: Sequence[str]) -> list[Row]:
        """Return the model's answers, one per text.

        Raises:
            TidemillError: `Admission` or `Coalescer.submit` raised it, for all texts.
        """
        if len(texts) <= MAX_ROWS_A_CALL:
            return await self._chunk(model, query, texts)
        calls = [asyncio.create_task(self._chunk(model, query, each)) for each in _chunks(texts)]
        try:
            # `gather` also retrieves the errors of chunks that fail after the first.
            return [row for rows in await asyncio.gather(*calls) for row in rows]
        finally:
            for call in calls:
                call.cancel()

    async def copied_rows(
        self, shadow: ServedModel, texts: Sequence[str], deadline: float
    ) -> list[Row]:
        """Return a shadow's answers; copies need no admission, because they take no caller's room.

        Raises:
            TidemillError: `Coalescer.submit` raised it, for all texts.
        """
        rows: list[Row] = []
        for chunk in _chunks(texts):
            rows += await self.coalescer.submit(shadow, chunk, deadline).answer
        return rows

    async def _chunk(self, model: ServedModel, query: Query, texts: Sequence[str]) -> list[Row]:
        """Call the model once the texts are admitted."""
        admission, count = self.admissions[query.task], len(texts)
        leave = await self._admit(admission, query, count)
        try:
            work = self.coalescer.submit(model, texts, query.deadline)
            try:
                rows = await work.answer
            except (DeadlineExceeded, asyncio.CancelledError):
                self._note_given_up(admission, work)
                raise
            now = asyncio.get_running_loop().time()
            round_trip = now - work.arrival
            delay = round_trip - work.triton_seconds
            admission.observe(count, self.arrival_delay() + delay, round_trip, now)
            overhead = self.metrics.task(query.task).overhead_seconds
            overhead.observe(max(0.0, delay - (work.turn - work.arrival)))
            return rows
        finally:
            leave(count)

    async def _admit(self, admission: Admission, query: Query, count: int) -> Callable[[int], None]:
        """Admit texts, and return the method that releases their room."""
        if query.method != UNARY_METHOD:
            await admission.wait(count, query.deadline)
            return admission.leave_patient
        try:
            admission.enter(count)
        except ResourceExhausted:
            left = query.deadline - asyncio.get_running_loop().time()
            await asyncio.sleep(min(REFUSAL_SECONDS, left / 2))
            raise
        return admission.leave

    def _note_given_up(self, admission: Admission, work: Work) -> None:
        """Report the wait before the Triton call; Triton's time is not a sign of overload."""
        now = asyncio.get_running_loop().time()
        waited = self.arrival_delay() + min(work.turn, now) - work.arrival
        admission.observe_given_up(waited, now - work.arrival, now)


def _chunks(texts: Sequence[str]) -> list[Sequence[str]]:
    return [texts[i : i + MAX_ROWS_A_CALL] for i in range(0, len(texts), MAX_ROWS_A_CALL)]
