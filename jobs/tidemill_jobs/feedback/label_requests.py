"""The job `queue_labels`: chooses predictions for people to label."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.job import JobRunState
from tidemill_core.domain.label_names import Renames, current
from tidemill_core.domain.labeling import LabelReason, LabelRequest
from tidemill_core.domain.prediction import Prediction
from tidemill_core.storage.predictions import PredictionStore, Span
from tidemill_core.storage.storage import Storage
from tidemill_core.text_hash import load_text_key, text_hash
from tidemill_jobs.catalog import QUEUE_LABELS
from tidemill_jobs.context import JobContext, Progress, Result

SETTLING = timedelta(minutes=1)
"""The age that predictions must have; younger ones may not all be stored yet."""

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_BATCH = 500
_HASH_DIGITS = 16


def run(context: JobContext) -> Result:
    """Queue predictions since the last successful run whose text is stored.

    Returns:
        `since` and `until`, the span of the predictions, and how many texts were queued as
        `audits`, `uncertain` and `disagreements`. A text that waits already is not queued again.

    Raises:
        RunCanceled: someone asked the run to stop; the next run repeats the span.
        StorageUnavailable: the database does not answer.
    """
    task, storage, labeling = context.task, context.storage, context.settings.labeling
    last = storage.jobs.latest(QUEUE_LABELS, task, [JobRunState.SUCCEEDED])
    since = _BEGINNING if last is None else datetime.fromisoformat(last.result["until"])
    span = Span(task, since, context.clock() - SETTLING)
    key, sampled = load_text_key(context.settings.state_dir), context.task_settings.log_sample

    def add(requests: Sequence[LabelRequest]) -> int:
        return storage.label_items.add(requests, labeling.judgements, context.clock())

    audits = _audits(
        storage.predictions, span, key, labeling.audit_share, sampled, context.progress
    )
    return {
        "since": span.since.isoformat(),
        "until": span.until.isoformat(),
        "audits": sum(map(add, audits)),
        "uncertain": add(_uncertain(storage.predictions, span, labeling.uncertain_per_run)),
        "disagreements": add(_disagreements(storage, span, context.task_settings.labels.rename)),
    }


def _audits(
    predictions: PredictionStore,
    span: Span,
    key: bytes,
    share: float,
    log_sample: float,
    progress: Progress,
) -> Iterator[list[LabelRequest]]:
    """Yield a random share of the predictions, in batches.

    A keyed hash of the id decides, so the choice is the same in a repeated run, and callers cannot
    foresee it. No label is suggested, because that would influence people. The stored predictions
    are a random sample themselves: the task's current `log_sample`.
    """
    ids = predictions.ids(span)
    for number, batch in enumerate(iter(lambda: list(islice(ids, _BATCH)), [])):
        progress(0.0, f"looked at {number * _BATCH} predictions")
        chosen = [prediction_id for prediction_id in batch if _fraction(key, prediction_id) < share]
        yield [
            replace(
                _request(prediction, LabelReason.AUDIT),
                inclusion_probability=share * log_sample or None,
            )
            for prediction in map(predictions.get, chosen)
            if prediction is not None and prediction.text
        ]


def _fraction(key: bytes, prediction_id: str) -> float:
    """Return a number in [0, 1) from a prediction's id; without the key it looks random."""
    return int(text_hash(key, f"audit {prediction_id}")[:_HASH_DIGITS], 16) / 16.0**_HASH_DIGITS


def _uncertain(predictions: PredictionStore, span: Span, limit: int) -> list[LabelRequest]:
    return [
        _request(prediction, LabelReason.UNCERTAIN, prediction.label)
        for prediction in predictions.least_confident(span, limit)
    ]


def _disagreements(storage: Storage, span: Span, renames: Renames) -> list[LabelRequest]:
    """Return predictions whose verdicts contradict each other, one of them since the last run."""
    verdicts: dict[str, list[Feedback]] = defaultdict(list)
    for verdict in storage.feedback.latest_verdicts(span.task):
        verdicts[verdict.prediction_id].append(verdict)
    requests = []
    for prediction_id, given in verdicts.items():
        if len(given) > 1 and given[-1].create_time >= span.since:
            prediction = storage.predictions.get(prediction_id)
            if prediction is None or not prediction.text:
                continue
            if suggested := _contradiction(given, prediction.label, renames):
                requests.append(_request(prediction, LabelReason.DISAGREEMENT, *suggested))
    return requests


def _request(prediction: Prediction, reason: LabelReason, *suggested: str) -> LabelRequest:
    return LabelRequest(
        task=prediction.task,
        text=prediction.text,
        reason=reason,
        text_time=prediction.predict_time,
        suggested_labels=suggested,
        origin=prediction.prediction_id,
    )


def _contradiction(
    verdicts: Sequence[Feedback], predicted: str, renames: Renames
) -> tuple[str, ...]:
    """Return the labels that verdicts on one prediction leave in doubt; none where they agree.

    Labels have their current names: verdicts that name labels which were merged since agree.
    """
    predicted = current(predicted, renames)
    given = {current(v.label, renames) for v in verdicts if v.label is not None}
    if any(v.correct is True for v in verdicts):
        given.add(predicted)
    is_denied = any(v.correct is False for v in verdicts)
    if len(given) > 1 or (is_denied and predicted in given):
        return tuple(sorted(given))
    return ()
