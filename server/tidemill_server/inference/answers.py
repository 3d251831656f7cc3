"""The end of a Triton call: its answers are signed, logged and counted together."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from tidemill_core.clock import Clock
from tidemill_core.domain.prediction import Prediction, Score
from tidemill_core.errors import ModelOutputInvalid, TidemillError
from tidemill_core.prediction_id import PredictionClaims, PredictionIdSigner
from tidemill_core.rewards import confidences
from tidemill_server.inference.bisection import Probabilities, Rows, TokenIds
from tidemill_server.inference.router import ServedModel
from tidemill_server.inference.work import Answer, Work
from tidemill_server.prediction_log import PredictionLog
from tidemill_server.telemetry.metrics import Metrics


class _Call(NamedTuple):
    """What all answers of a Triton call share; lists have an item for each row.

    Attributes:
        best: the best labels.
        lengths: the texts' pieces.
        unknown: the shares of unknown pieces.
    """

    model: ServedModel
    rows: Rows
    best: list[Score]
    lengths: list[int]
    unknown: list[float]
    ids: dict[float, Iterator[str]]
    predict_time: datetime
    now: float


class Answers:
    """The maker of answers.

    Args:
        signer: signs the prediction ids.
        prediction_log: stores the predictions.
        clock: returns the time of the predictions.
        metrics: counts predictions and errors.
    """

    def __init__(
        self,
        signer: PredictionIdSigner,
        prediction_log: PredictionLog,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._signer = signer
        self._log = prediction_log
        self._clock = clock
        self._metrics = metrics

    def give(
        self, model: ServedModel, batch: Sequence[Work], token_ids: TokenIds, rows: Rows
    ) -> None:
        """Answer the works of a call, whose texts have `token_ids` and `rows` in their order.

        A work whose caller is gone is skipped.
        """
        call = self._call(model, batch, token_ids, rows)
        made: list[Prediction] = []
        latencies: dict[str, list[float]] = defaultdict(list)
        start = 0
        for work in batch:
            if not work.answer.done():
                answers = _answers(call, work, start)
                predictions = [each for each in answers if isinstance(each, Prediction)]
                if len(predictions) < len(answers):
                    self._count_errors(work, answers)
                if predictions:
                    made += predictions
                    latencies[work.query.method].append(call.now - work.query.arrival)
                _settle(work, answers)
            start += len(work.texts)
        self._log.add(made)
        self._count(model, made, latencies)

    def _call(
        self, model: ServedModel, batch: Sequence[Work], token_ids: TokenIds, rows: Rows
    ) -> _Call:
        predict_time = self._clock()
        counts: Counter[float] = Counter()
        for work in batch:
            counts[work.propensity] += len(work.texts)
        ids = {
            propensity: iter(
                self._signer.sign_each(
                    PredictionClaims(model.task, model.version, predict_time, propensity), count
                )
            )
            for propensity, count in counts.items()
        }
        labels, best = model.labels, rows.probabilities.argmax(axis=1).tolist()
        found = confidences(rows.probabilities, labels).tolist()
        scores = [Score(labels[i], each) for i, each in zip(best, found, strict=True)]
        pieces = model.encoder.count_pieces(token_ids)
        now = asyncio.get_running_loop().time()
        return _Call(model, rows, scores, *pieces, ids, predict_time, now)

    def _count(
        self,
        model: ServedModel,
        made: Sequence[Prediction],
        latencies: Mapping[str, Sequence[float]],
    ) -> None:
        for method, count in Counter(each.method for each in made).items():
            observed = self._metrics.predicted(method, model.task, model.version)
            observed.total.inc(count)
            observed.seconds.observe_all(latencies[method])

    def _count_errors(self, work: Work, answers: Sequence[Answer]) -> None:
        """Count the texts without an answer; where all fail, the predictor counts them."""
        if _common_error(answers) is None:
            query = work.query
            for each in answers:
                if isinstance(each, TidemillError):
                    self._metrics.prediction_failed(query.method, query.task, each.reason).inc()


def _answers(call: _Call, work: Work, start: int) -> list[Answer]:
    """Return the answers of a work whose texts' rows begin at `start`."""
    model, query, errors = call.model, work.query, call.rows.errors
    ids = call.ids[work.propensity]
    # By position, which costs half as much as by name.
    origin = (query.method, query.request_id, query.routing_key, query.attributes or {})
    made = (work.propensity, (call.now - query.arrival) * 1000, call.predict_time)
    answers: list[Answer] = []
    for row, text in enumerate(work.texts, start):
        prediction_id, best = next(ids), call.best[row]
        if row in errors:
            answers.append(errors[row])
            continue
        scores: tuple[Score, ...] = (best,)
        if query.top_k > 1 or not best.label:  # a reward is a score, and not its confidence
            scores = best_scores(call.rows.probabilities[row], model.labels, query.top_k)
        answer = (*best, scores, best.score < model.abstain_below)
        of_text = ("", call.lengths[row], call.unknown[row])
        served = (prediction_id, query.task, model.version, text)
        answers.append(Prediction(*served, *answer, *origin, *made, *of_text))
    return answers


def best_scores(row: Probabilities, labels: Sequence[str], top_k: int) -> tuple[Score, ...]:
    """Return the best labels of float32 [labels], best first: `top_k` of them, but at least 1."""
    order = np.argsort(-row, kind="stable")[: max(top_k, 1)]
    return tuple(Score(labels[i], float(row[i])) for i in order)


def _settle(work: Work, answers: list[Answer]) -> None:
    error = _common_error(answers)
    if error is None:
        work.answer.set_result(answers)
    else:
        work.answer.set_exception(error)


def _common_error(answers: Sequence[Answer]) -> TidemillError | None:
    """Return the error that concerns a whole work and not a single text; None without one."""
    first = answers[0]
    if isinstance(first, (Prediction, ModelOutputInvalid)):
        return None
    return first if all(each is first for each in answers) else None
