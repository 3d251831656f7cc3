"""The predictions that teach the most: what people should label next, beside the audit."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from tidemill_core.domain.feedback import HoldReason, HoldState, JudgedPrediction
from tidemill_core.domain.label_names import Renames
from tidemill_core.domain.labeling import LabelReason, LabelRequest
from tidemill_core.domain.prediction import Prediction
from tidemill_core.storage.database import Page
from tidemill_core.storage.judged_predictions import judged_predictions
from tidemill_core.storage.prediction_choices import disputed
from tidemill_core.storage.predictions import PredictionStore, Span
from tidemill_core.storage.storage import Storage
from tidemill_jobs.feedback.review import MEMORY

MAX_OF_A_CHOICE = 200
"""Most predictions that a run looks at for one choice."""
MAX_OF_AN_ATTACK = 10
"""Texts of a burst, or of a source, that people are asked about: enough to judge the rest."""
_CANDIDATES = 4

Choices = Mapping[str, Iterable[LabelRequest]]
"""Requests by the name of their choice, the most important first."""


def choices(
    storage: Storage, span: Span, uncertain: int, renames: Renames, now: datetime
) -> Choices:
    """Return what people should label, in the order in which choices take turns.

    - `disagreements`: predictions on which sources contradict each other;
    - `held`: some of each attack's predictions, and of each source with a poor reputation;
    - `disputed`: answers that a challenger in the shadow gives differently;
    - `new_topics`: examples of the topics of the newest drift report, if it is new;
    - `uncertain`: the smallest margins between the first two labels, at most that many.
    """
    judged = judged_predictions(storage.database, span.task, now - MEMORY, renames)
    held = [each for each in judged if each.hold_state is HoldState.HELD]
    return {
        "disagreements": _contradictions(storage.predictions, held),
        "held": _attacks(storage.predictions, held),
        "disputed": [
            request_for(prediction, LabelReason.DISAGREEMENT, prediction.label, other)
            for prediction, other in disputed(storage.database, span, MAX_OF_A_CHOICE)
        ],
        "new_topics": _new_topics(storage, span),
        "uncertain": _uncertain(storage.predictions, span, uncertain),
    }


def request_for(prediction: Prediction, reason: LabelReason, *suggested: str) -> LabelRequest:
    """Return a request that people label a prediction's text."""
    return LabelRequest(
        task=prediction.task,
        text=prediction.text,
        reason=reason,
        text_time=prediction.predict_time,
        suggested_labels=suggested,
        origin=prediction.prediction_id,
    )


def _contradictions(
    predictions: PredictionStore, held: Iterable[JudgedPrediction]
) -> Iterator[LabelRequest]:
    """Yield the predictions on which sources contradict each other, with the labels in question."""
    labels: dict[str, set[str]] = defaultdict(set)
    for each in held:
        if each.hold is HoldReason.CONTRADICTION:
            labels[each.prediction_id] |= {each.label} - {None}  # type: ignore[arg-type]  # None is gone
    for prediction_id, suggested in labels.items():
        prediction = predictions.get(prediction_id)
        if prediction is not None and prediction.text:
            yield request_for(prediction, LabelReason.DISAGREEMENT, *sorted(suggested))


def _attacks(
    predictions: PredictionStore, held: Iterable[JudgedPrediction]
) -> Iterator[LabelRequest]:
    """Yield a few predictions of each source whose verdicts are held as suspicious."""
    by_source = defaultdict(list)
    for each in held:
        if each.hold is not HoldReason.CONTRADICTION:
            by_source[each.source].append(each)
    for verdicts in by_source.values():
        # Ids are random, so no source chooses which of its verdicts are checked.
        verdicts.sort(key=lambda each: each.feedback_id)
        for each in verdicts[:MAX_OF_AN_ATTACK]:
            prediction = predictions.get(each.prediction_id)
            if prediction is not None and prediction.text:
                labels = dict.fromkeys(filter(None, (prediction.label, each.label)))
                yield request_for(prediction, LabelReason.SUSPECTED_ERROR, *labels)


def _new_topics(storage: Storage, span: Span) -> Iterator[LabelRequest]:
    """Yield the examples of the newest drift report's topics, one of each topic in turn."""
    newest, _ = storage.reports.page(span.task, "drift", Page(1))
    if not newest or newest[0].create_time < span.since:
        return
    topics = newest[0].details.get("new_topics", [])
    examples = [topic.get("example_prediction_ids", []) for topic in topics]
    for place in range(max(map(len, examples), default=0)):
        for ids in examples:
            found = storage.predictions.get(ids[place]) if place < len(ids) else None
            if found is not None and found.text:
                yield request_for(found, LabelReason.NEW_TOPIC, found.label)


def _uncertain(predictions: PredictionStore, span: Span, limit: int) -> list[LabelRequest]:
    """Return the predictions with the smallest margin among the least confident ones."""
    doubtful = predictions.least_confident(span, _CANDIDATES * limit)
    return [
        request_for(prediction, LabelReason.UNCERTAIN, prediction.label)
        for prediction in sorted(doubtful, key=_margin)[:limit]
    ]


def _margin(prediction: Prediction) -> float:
    """Return the margin between the first two scores; if only one is stored, its least value."""
    if len(prediction.scores) > 1:
        return prediction.scores[0].score - prediction.scores[1].score
    return 2 * prediction.confidence - 1
