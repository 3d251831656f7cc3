"""Users' verdicts, turned into examples that a model can learn from."""

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
    """What a task's feedback teaches.

    Attributes:
        examples: one a judged prediction, not cleaned yet; `origin` is the feedback's id.
        quarantined: feedback whose text is another than the one that was predicted.
        without_label: predictions called wrong without saying what is right.
        without_prediction: predictions judged and labelled but not stored, or not yet; the
            feedback alone does not tell enough.
        without_text: predictions judged and labelled whose text is not stored, and did not come
            with the feedback either.
    """

    examples: tuple[Example, ...]
    quarantined: tuple[QuarantinedRow, ...]
    without_label: int
    without_prediction: int
    without_text: int


class _Lacking(Enum):
    """Why a labelled prediction gives no example."""

    PREDICTION = auto()
    TEXT = auto()


def feedback_examples(
    storage: Storage, task: str, text_key: bytes, trust: Mapping[str, float]
) -> FeedbackExamples:
    """Make examples of all feedback on a task.

    A given label is the label; a confirmed prediction's is the predicted one. Where several
    sources judged one prediction, the latest verdict counts. The text is the one that was stored;
    where none was, the one that came with the feedback, whoever gave it. A verdict whose own text
    is not the one that was predicted teaches nothing.

    Args:
        storage: the database's tables.
        task: the task.
        text_key: the key that texts were hashed with.
        trust: what the verdicts of a source of feedback weigh; 1 where it is not named.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    verdicts = storage.feedback.latest_verdicts(task)
    latest = {verdict.prediction_id: verdict for verdict in verdicts}
    labelled = [verdict for verdict in latest.values() if _gives_label(verdict)]
    with_text = [verdict for verdict in verdicts if verdict.text]
    stored = storage.predictions.texts_and_labels([v.prediction_id for v in labelled])
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
        for verdict in labelled
    ]
    return FeedbackExamples(
        examples=tuple(each for each in outcomes if isinstance(each, Example)),
        quarantined=tuple(each for each in outcomes if isinstance(each, QuarantinedRow)),
        without_label=len(latest) - len(labelled),
        without_prediction=outcomes.count(_Lacking.PREDICTION),
        without_text=outcomes.count(_Lacking.TEXT),
    )


def _example(
    verdict: Feedback, stored: tuple[str, str] | None, given_text: str | None, weight: float
) -> Example | _Lacking:
    """The example that a verdict gives.

    Args:
        verdict: with a label, or a yes.
        stored: text, which may be empty, and label of the prediction; None where it has no row.
        given_text: the text that came with feedback on the prediction.
        weight: how far its source is trusted.
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
    return _Lacking.PREDICTION if stored is None else _Lacking.TEXT


def _forged(verdict: Feedback) -> QuarantinedRow:
    origin, value = verdict.feedback_id, printable(verdict.text)
    return QuarantinedRow(origin, "TEXT_MISMATCH", value, key=verdict.prediction_id)


def _mismatches(
    predictions: PredictionStore, with_text: Sequence[Feedback], text_key: bytes
) -> frozenset[str]:
    """Ids of the feedback that came with another text than was predicted, where that shows."""
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
    """Whether a verdict says which label is right."""
    return verdict.label is not None or verdict.correct is True
