"""Predictions of texts: route, admit, call the model, sign and log."""

import asyncio
from collections.abc import Sequence

import numpy as np
import structlog

from tidemill_core.clock import Clock
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.errors import ModelVersionNotServed, ResourceExhausted, TidemillError
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner
from tidemill_core.storage.predictions import SHADOW_METHOD
from tidemill_server.inference.admitted import AdmittedCalls
from tidemill_server.inference.bisection import Probabilities, Row
from tidemill_server.inference.query import Query
from tidemill_server.inference.router import Choice, Router, ServedModel
from tidemill_server.prediction_log import PredictionLog
from tidemill_server.telemetry.metrics import Metrics

MAX_SHADOW_CALLS = 64
_SHADOW_SECONDS = 5.0

log = structlog.get_logger()

Answer = Prediction | TidemillError


class Predictor:
    """The predictor, which signs, logs and counts every answer."""

    def __init__(
        self,
        router: Router,
        calls: AdmittedCalls,
        signer: PredictionIdSigner,
        prediction_log: PredictionLog,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._router = router
        self._calls = calls
        self._signer = signer
        self._log = prediction_log
        self._clock = clock
        self._metrics = metrics
        self._shadow_calls: set[asyncio.Task[None]] = set()

    async def predict(self, query: Query, texts: Sequence[str]) -> list[Answer]:
        """Answer texts in their order, each with a prediction or an error.

        Args:
            query: already checked.
            texts: at least one, already checked.

        Raises:
            TidemillError: `Router.choose`, `Admission` or `Coalescer.submit` raised it, for all
                texts.
        """
        try:
            choice, rows = await self._infer(query, texts)
        except TidemillError as error:
            self.count_failed(query, error, len(texts))
            if isinstance(error, ResourceExhausted):
                self._metrics.shed(query.task, error.reason).inc()
            raise
        answers = self._answers(query, texts, choice.model, choice.propensity, rows)
        for shadow in choice.shadows:
            self._copy_to(shadow, query, texts)
        return answers

    def count_failed(self, query: Query, error: TidemillError, count: int) -> None:
        """Count texts without an answer."""
        self._metrics.prediction_failed(query.method, query.task, error.reason).inc(count)

    async def _infer(self, query: Query, texts: Sequence[str]) -> tuple[Choice, list[Row]]:
        choice = self._router.choose(query.task, query.model_version, query.routing_key)
        try:
            return choice, await self._calls.rows(choice.model, query, texts)
        except ModelVersionNotServed:
            # The traffic may have changed since the routes were read.
            await self._router.refresh()
            choice = self._router.choose(query.task, query.model_version, query.routing_key)
            return choice, await self._calls.rows(choice.model, query, texts)

    def _answers(
        self,
        query: Query,
        texts: Sequence[str],
        model: ServedModel,
        propensity: float,
        rows: Sequence[Row],
    ) -> list[Answer]:
        """Sign and log the model's answers."""
        claims = PredictionClaims(query.task, model.version, self._clock(), propensity)
        ids = self._signer.sign_each(claims, len(texts))
        latency = asyncio.get_running_loop().time() - query.arrival
        milliseconds, made = latency * 1000, 0
        answers: list[Answer] = []
        for text, prediction_id, row in zip(texts, ids, rows, strict=True):
            if isinstance(row, TidemillError):
                self.count_failed(query, row, 1)
                answers.append(row)
                continue
            scores = best_scores(row, model.labels, query.top_k)
            prediction = self._prediction(
                query, text, prediction_id, scores, model, claims, milliseconds
            )
            self._log.append(prediction)
            answers.append(prediction)
            made += 1
        if made:
            observed = self._metrics.predicted(query.method, query.task, model.version)
            observed.total.inc(made)
            observed.seconds.observe(latency)
        return answers

    def _prediction(
        self,
        query: Query,
        text: str,
        prediction_id: str,
        scores: tuple[Score, ...],
        model: ServedModel,
        claims: PredictionClaims,
        latency_ms: float,
    ) -> Prediction:
        return Prediction(
            prediction_id=prediction_id,
            task=query.task,
            model_version=claims.model_version,
            text=text,
            label=scores[0].label,
            confidence=scores[0].score,
            scores=scores,
            abstained=scores[0].score < model.abstain_below,
            method=query.method,
            request_id=query.request_id,
            routing_key=query.routing_key,
            attributes=query.attributes or {},
            propensity=claims.propensity,
            latency_ms=latency_ms,
            predict_time=claims.predict_time,
        )

    def _copy_to(self, shadow: ServedModel, query: Query, texts: Sequence[str]) -> None:
        """Send a copy to a shadow in the background.

        No copy is sent above the bound, nor while callers use more than half of the limit.
        """
        busy = self._calls.admissions[query.task].is_half_full
        if busy or len(self._shadow_calls) >= MAX_SHADOW_CALLS:
            return
        task = asyncio.get_running_loop().create_task(self._shadow(shadow, query, texts))
        self._shadow_calls.add(task)
        task.add_done_callback(self._shadow_calls.discard)

    async def _shadow(self, shadow: ServedModel, query: Query, texts: Sequence[str]) -> None:
        now = asyncio.get_running_loop().time()
        copy = query._replace(
            method=SHADOW_METHOD, deadline=now + _SHADOW_SECONDS, arrival=now, model_version=0
        )
        try:
            rows = await self._calls.copied_rows(shadow, texts, copy.deadline)
        except TidemillError as error:
            log.warning("shadow_failed", version=shadow.version, reason=error.reason)
            return
        self._answers(copy, texts, shadow, 1.0, rows)


def best_scores(row: Probabilities, labels: Sequence[str], top_k: int) -> tuple[Score, ...]:
    """Return the best labels of float32 [labels], best first: `top_k` of them, but at least 1."""
    if top_k <= 1:
        best = int(row.argmax())
        return (Score(labels[best], float(row[best])),)
    order = np.argsort(-row, kind="stable")[:top_k]
    return tuple(Score(labels[i], float(row[i])) for i in order)
