"""Asking the coalescer for what was let in, and telling admission how that went."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from tidemill_core.errors import DeadlineExceeded, ResourceExhausted
from tidemill_server.inference.admission import Admission
from tidemill_server.inference.bisection import Row
from tidemill_server.inference.coalescer import MAX_ROWS_A_CALL, Coalescer, Work
from tidemill_server.inference.query import UNARY_METHOD, Query
from tidemill_server.inference.router import ServedModel
from tidemill_server.telemetry.metrics import Metrics

REFUSAL_SECONDS = 0.05
"""Before a unary call is told that it is refused. A refusal costs as much as an answer, so callers
that ask again at once, whatever RetryInfo says, would take the time of those that were let in."""


class AdmittedCalls:
    """Lets texts in before it asks for them.

    Args:
        coalescer: is asked.
        admissions: how much each task lets in, by the task's name.
        metrics: observe what it costs.
        arrival_delay: seconds that a call waits now before it comes here.
    """

    def __init__(
        self,
        coalescer: Coalescer,
        admissions: Mapping[str, Admission],
        metrics: Metrics,
        arrival_delay: Callable[[], float],
    ) -> None:
        self._coalescer = coalescer
        self._admissions = admissions
        self._metrics = metrics
        self._arrival_delay = arrival_delay

    async def rows(self, model: ServedModel, query: Query, texts: Sequence[str]) -> list[Row]:
        """The model's answers, one a text.

        Raises:
            TidemillError: what `Admission` or `Coalescer.submit` raise, for all texts together.
        """
        if len(texts) <= MAX_ROWS_A_CALL:
            return await self._chunk(model, query, texts)
        chunks = [texts[i : i + MAX_ROWS_A_CALL] for i in range(0, len(texts), MAX_ROWS_A_CALL)]
        calls = [asyncio.create_task(self._chunk(model, query, chunk)) for chunk in chunks]
        try:
            # It hears every chunk out: one that fails after the first is no error left unread.
            return [row for rows in await asyncio.gather(*calls) for row in rows]
        finally:
            for call in calls:
                call.cancel()

    async def _chunk(self, model: ServedModel, query: Query, texts: Sequence[str]) -> list[Row]:
        """Ask once there is room; a unary call is refused, a little later, where there is none."""
        admission, count = self._admissions[query.task], len(texts)
        if query.method == UNARY_METHOD:
            try:
                admission.enter(count)
            except ResourceExhausted:
                left = query.deadline - asyncio.get_running_loop().time()
                await asyncio.sleep(min(REFUSAL_SECONDS, left / 2))
                raise
            leave = admission.leave
        else:
            await admission.wait(count, query.deadline)
            leave = admission.leave_patient
        try:
            work = self._coalescer.submit(model, texts, query.deadline)
            try:
                rows = await work.answer
            except (DeadlineExceeded, asyncio.CancelledError):
                self._note_given_up(admission, work)
                raise
            now = asyncio.get_running_loop().time()
            round_trip = now - work.arrival
            delay = round_trip - work.triton_seconds
            admission.observe(count, self._arrival_delay() + delay, round_trip, now)
            overhead = self._metrics.task(query.task).overhead_seconds
            overhead.observe(max(0.0, delay - (work.turn - work.arrival)))
            return rows
        finally:
            leave(count)

    def _note_given_up(self, admission: Admission, work: Work) -> None:
        """The time before its Triton call counts; what Triton takes is no sign of overload."""
        now = asyncio.get_running_loop().time()
        waited = self._arrival_delay() + min(work.turn, now) - work.arrival
        admission.observe_given_up(waited, now - work.arrival, now)
