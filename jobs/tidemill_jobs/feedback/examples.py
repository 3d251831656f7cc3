"""Users' verdicts, turned into examples that a model can learn from."""

from dataclasses import dataclass

from tidemill_core.domain.example import Example, LabelSource
from tidemill_core.domain.feedback import Feedback
from tidemill_core.storage.storage import Storage


@dataclass(frozen=True)
class FeedbackExamples:
    """What a task's feedback teaches.

    Attributes:
        examples: one a judged prediction, not cleaned yet; `origin` is the feedback's id.
        without_label: predictions called wrong without saying what is right.
        without_prediction: predictions judged and labelled but not stored, or not yet.
    """

    examples: tuple[Example, ...]
    without_label: int
    without_prediction: int


def feedback_examples(storage: Storage, task: str) -> FeedbackExamples:
    """Make examples of all feedback on a task.

    A given label is the label; a confirmed prediction's is the predicted one. Where several
    sources judged one prediction, the latest verdict counts.

    Raises:
        StorageUnavailable: the database cannot be read.
    """
    latest = {verdict.prediction_id: verdict for verdict in storage.feedback.latest_verdicts(task)}
    labelled = [verdict for verdict in latest.values() if _gives_label(verdict)]
    predictions = storage.predictions.texts_and_labels([v.prediction_id for v in labelled])
    examples = []
    for verdict in labelled:
        if verdict.prediction_id in predictions:
            text, predicted = predictions[verdict.prediction_id]
            label = predicted if verdict.label is None else verdict.label
            examples.append(Example(text, label, LabelSource.FEEDBACK, verdict.feedback_id))
    return FeedbackExamples(
        tuple(examples), len(latest) - len(labelled), len(labelled) - len(examples)
    )


def _gives_label(verdict: Feedback) -> bool:
    """Whether a verdict says which label is right."""
    return verdict.label is not None or verdict.correct is True
