"""Examples from users' verdicts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from tidemill_core.domain.example import Example, LabelSource, QuarantinedRow, printable
from tidemill_core.domain.feedback import Feedback
from tidemill_core.storage.predictions import PredictionStore
from tidemill_core.storage.storage import Storage
from tidemill_core.text_hash import text_hash


@dataclass(frozen=True)
class FeedbackExamples:
    """The examples from a task's feedback, and counts of predictions that give none.

    Attributes:
        examples: one per judged prediction, not cleaned yet; `origin` is the feedback's id.
        quarantined: feedback with a text that differs from the predicted one.
        without_label: predictions that are wrong, without the right label.
        without_prediction: labeled predictions that are not stored, or not yet.
        without_text: labeled predictions whose text is neither stored nor in the feedback.
    """

    examples: tuple[Example, ...]
    quarantined: tuple[QuarantinedRow, ...]
    without_label: int
    without_prediction: int
    without_text: int


class _Missing(Enum):
    """The reason why a labeled prediction gives no example."""

    PREDICTION = auto()
    TEXT = auto()


def feedback_examples(
    storage: Storage, task: str, text_key: bytes, trust: Mapping[str, float]
) -> FeedbackExamples:
    """Return the examples from all feedback on a task.

    The label is the given one, or the predicted one if the verdict confirms it. If several sources
    judged a prediction, the latest verdict counts. The text is the stored one, or else one that any
    source sent with its feedback. A verdict that came with another text gives no example.

    Args:
        storage: the database.
        task: the task.
        text_key: the key that texts were hashed with.
        trust: the weight of verdicts by the source of the feedback; 1 for other sources.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    verdicts = storage.feedback.latest_verdicts(task)
    latest = {verdict.prediction_id: verdict for verdict in verdicts}
    labeled = [verdict for verdict in latest.values() if _gives_label(verdict)]
    with_text = [verdict for verdict in verdicts if verdict.text]
    stored = storage.predictions.texts_and_labels([v.prediction_id for v in labeled])
    forged = _mismatches(storage.predictions, with_text, text_key)
    given = {v.prediction_id: v.text for v in with_text if v.feedback_id not in forged}
    outcomes = [
        _forged(verdict)
        if verdict.feedback_id in forged
        else _example(
            verdict,
            stored.get(verdict.prediction_id),
            given.get(verdict.prediction_id),
            trust.get(verdict.source, 1.0),
        )
        for verdict in labeled
    ]
    return FeedbackExamples(
        examples=tuple(each for each in outcomes if isinstance(each, Example)),
        quarantined=tuple(each for each in outcomes if isinstance(each, QuarantinedRow)),
        without_label=len(latest) - len(labeled),
        without_prediction=outcomes.count(_Missing.PREDICTION),
        without_text=outcomes.count(_Missing.TEXT),
    )


def _example(
    verdict: Feedback, stored: tuple[str, str] | None, given_text: str | None, weight: float
) -> Example | _Missing:
    """Return the example from a verdict with a label or a confirmation, or what is missing.

    `stored` is the prediction's text, which may be empty, and label.
    """
    stored_text, predicted = stored or ("", None)
    text = stored_text or given_text
    label = predicted if verdict.label is None else verdict.label
    if text and label is not None:
        return Example(
            text,
            label,
            LabelSource.FEEDBACK,
            verdict.feedback_id,
            key=verdict.prediction_id,
            weight=weight,
            annotator=verdict.source,
            time=verdict.create_time,
        )
    return _Missing.PREDICTION if stored is None else _Missing.TEXT


def _forged(verdict: Feedback) -> QuarantinedRow:
    origin, value = verdict.feedback_id, printable(verdict.text)
    return QuarantinedRow(origin, "TEXT_MISMATCH", value, key=verdict.prediction_id)


def _mismatches(
    predictions: PredictionStore, with_text: Sequence[Feedback], text_key: bytes
) -> frozenset[str]:
    """Return the ids of feedback whose text is known to differ from the predicted one."""
    prediction_ids = [verdict.prediction_id for verdict in with_text]
    stored = predictions.texts_and_labels(prediction_ids)
    hashes = predictions.text_hashes(prediction_ids)
    return frozenset(
        verdict.feedback_id
        for verdict in with_text
        if stored.get(verdict.prediction_id, ("", ""))[0] not in ("", verdict.text)
        or hashes.get(verdict.prediction_id, hashed := text_hash(text_key, verdict.text)) != hashed
    )


def _gives_label(verdict: Feedback) -> bool:
    """Return whether a verdict says which label is right."""
    return verdict.label is not None or verdict.correct is True
