"""Predictions of texts: route, admit, ask the model."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from tidemill_core.domain.prediction import SHADOW_METHOD
from tidemill_core.errors import (
    DeadlineExceeded,
    ModelVersionNotServed,
    ResourceExhausted,
    TidemillError,
)
from tidemill_server.inference.admission import Admission, TaskAdmission
from tidemill_server.inference.coalescer import MAX_ROWS_A_WORK, Coalescer
from tidemill_server.inference.query import UNARY_METHOD, Query
from tidemill_server.inference.router import Choice, Router, ServedModel
from tidemill_server.inference.work import Answer, Work
from tidemill_server.telemetry.metrics import Metrics

MAX_SHADOW_CALLS = 64
_SHADOW_SECONDS = 5.0

log = structlog.get_logger()


class Predictor:
    """The predictor, which counts every text without an answer.

    Args:
        router: chooses the versions.
        coalescer: asks them.
        admissions: the admission of each task, by the task's name.
        metrics: counts texts without an answer.
    """

    def __init__(
        self,
        router: Router,
        coalescer: Coalescer,
        admissions: Mapping[str, TaskAdmission],
        metrics: Metrics,
    ) -> None:
        self._router = router
        self._coalescer = coalescer
        self._admissions = admissions
        self._metrics = metrics
        self._shadow_calls: set[asyncio.Task[None]] = set()

    async def predict(self, query: Query, texts: Sequence[str]) -> list[Answer]:
        """Answer texts in their order, each with a prediction or an error.

        Args:
            query: already checked.
            texts: at least one, already checked; exactly one for UNARY_METHOD.

        Raises:
            TidemillError: `Router.choose`, `Admission` or `Coalescer.submit` raised it, for all
                texts.
        """
        try:
            choice = self._router.choose(query.task, query.model_version, query.routing_key)
            try:
                answers = await self._ask(choice, query, texts)
            except ModelVersionNotServed:
                # The traffic may have changed since the routes were read.
                await self._router.refresh()
                choice = self._router.choose(query.task, query.model_version, query.routing_key)
                answers = await self._ask(choice, query, texts)
        except TidemillError as error:
            self.count_failed(query, error, len(texts))
            if isinstance(error, ResourceExhausted):
                self._metrics.shed(query.task, error.reason).inc()
            raise
        except Exception:
            self.count_failed(query, TidemillError("unexpected"), len(texts))
            raise
        for shadow in choice.shadows:
            self._copy_to(shadow, query, texts)
        return answers

    def count_failed(self, query: Query, error: TidemillError, count: int) -> None:
        """Count texts without an answer."""
        self._metrics.prediction_failed(query.method, query.task, error.reason).inc(count)

    async def _ask(self, choice: Choice, query: Query, texts: Sequence[str]) -> list[Answer]:
        """Ask the chosen version once the texts are admitted."""
        if len(texts) > MAX_ROWS_A_WORK:
            return await self._ask_in_parts(choice, query, texts)
        count = len(texts)
        admissions = self._admissions[query.task]
        admission: Admission
        if query.method == UNARY_METHOD:
            admissions.unary.enter(count)
            admission = admissions.unary
        else:
            await admissions.patient.wait(count, query.deadline)
            admission = admissions.patient
        try:
            work = self._coalescer.submit(choice.model, query, texts, choice.propensity)
            try:
                return await work.answered()
            except (DeadlineExceeded, asyncio.CancelledError):
                if self._coalescer.give_up(choice.model, work):
                    _note_given_up(admission, work)
                raise
        finally:
            admission.leave(count)

    async def _ask_in_parts(
        self, choice: Choice, query: Query, texts: Sequence[str]
    ) -> list[Answer]:
        parts = [texts[i : i + MAX_ROWS_A_WORK] for i in range(0, len(texts), MAX_ROWS_A_WORK)]
        calls = [asyncio.create_task(self._ask(choice, query, part)) for part in parts]
        try:
            # `gather` also retrieves the errors of parts that fail after the first.
            return [answer for answers in await asyncio.gather(*calls) for answer in answers]
        finally:
            for call in calls:
                call.cancel()

    def _copy_to(self, shadow: ServedModel, query: Query, texts: Sequence[str]) -> None:
        """Send a copy to a shadow in the background.

        No copy is sent above the bound, nor while callers use more than half of the limit.
        """
        busy = self._admissions[query.task].is_half_full
        if busy or len(self._shadow_calls) >= MAX_SHADOW_CALLS:
            return
        task = asyncio.get_running_loop().create_task(self._shadow(shadow, query, texts))
        self._shadow_calls.add(task)
        task.add_done_callback(self._shadow_calls.discard)

    async def _shadow(self, shadow: ServedModel, query: Query, texts: Sequence[str]) -> None:
        """Ask a shadow; copies need no admission, because they take no caller's room."""
        now = asyncio.get_running_loop().time()
        copy = query._replace(
            method=SHADOW_METHOD, deadline=now + _SHADOW_SECONDS, arrival=now, model_version=0
        )
        try:
            for i in range(0, len(texts), MAX_ROWS_A_WORK):
                work = self._coalescer.submit(shadow, copy, texts[i : i + MAX_ROWS_A_WORK], 1.0)
                try:
                    await work.answered()
                except DeadlineExceeded:
                    self._coalescer.give_up(shadow, work)
                    raise
        except TidemillError as error:
            log.warning("shadow_failed", version=shadow.version, reason=error.reason)


def _note_given_up(admission: Admission, work: Work) -> None:
    """Report the wait before the Triton call; Triton's time is not a sign of overload."""
    now = asyncio.get_running_loop().time()
    admission.observe_given_up(min(work.turn, now) - work.arrival, now - work.arrival, now)
