"""Turning verdicts into examples, on a real database."""

from dataclasses import replace

import pytest

from tidemill_core.domain.example import Example, LabelSource
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.prediction import Prediction
from tidemill_core.storage.storage import Storage
from tidemill_jobs.context import JobContext
from tidemill_jobs.feedback.examples import FeedbackExamples, feedback_examples


@pytest.fixture
def storage(context: JobContext) -> Storage:
    """A database that has one prediction, `p1`, of the label `predicted`."""
    prediction = Prediction(
        prediction_id="p1",
        task="support",
        model_version=1,
        text="the text",
        label="predicted",
        confidence=0.5,
        scores=(),
        abstained=False,
        method="Predict",
        request_id="",
        routing_key="",
        attributes={},
        propensity=1.0,
        latency_ms=1.0,
        predict_time=context.clock(),
    )
    context.storage.predictions.add([prediction])
    return context.storage


@pytest.fixture
def verdict(context: JobContext) -> Feedback:
    """A user's yes to `p1`."""
    return Feedback(
        feedback_id="f1",
        prediction_id="p1",
        task="support",
        model_version=1,
        correct=True,
        label=None,
        source="alice",
        comment="",
        request_id="",
        create_time=context.clock(),
    )


def _example(label: str, origin: str) -> Example:
    return Example("the text", label, LabelSource.FEEDBACK, origin)


def test_a_confirmed_prediction_has_the_predicted_label(
    storage: Storage, verdict: Feedback
) -> None:
    """A yes makes an example of the text and what was predicted."""
    storage.feedback.add([verdict])
    assert feedback_examples(storage, "support") == FeedbackExamples(
        (_example("predicted", "f1"),), without_label=0, without_prediction=0
    )


def test_a_corrected_prediction_has_the_given_label(storage: Storage, verdict: Feedback) -> None:
    """A label makes an example of the text and that label."""
    storage.feedback.add([replace(verdict, correct=None, label="right")])
    assert feedback_examples(storage, "support").examples == (_example("right", "f1"),)


def test_a_no_teaches_no_label(storage: Storage, verdict: Feedback) -> None:
    """A no without the right label is counted and gives no example."""
    storage.feedback.add([replace(verdict, correct=False)])
    assert feedback_examples(storage, "support") == FeedbackExamples((), 1, 0)


def test_the_latest_verdict_on_a_prediction_wins(storage: Storage, verdict: Feedback) -> None:
    """Where several sources judged, the last one counts, and once."""
    bob = replace(verdict, feedback_id="f2", source="bob", correct=None, label="right")
    storage.feedback.add([verdict, bob])
    assert feedback_examples(storage, "support").examples == (_example("right", "f2"),)


def test_a_source_that_changes_its_mind_is_heard(storage: Storage, verdict: Feedback) -> None:
    """A later no takes an earlier yes back."""
    storage.feedback.add([verdict, replace(verdict, feedback_id="f2", correct=False)])
    assert feedback_examples(storage, "support") == FeedbackExamples((), 1, 0)


def test_a_prediction_not_stored_yet_is_counted(storage: Storage, verdict: Feedback) -> None:
    """Feedback can overtake its prediction; its example comes once the text is there."""
    storage.feedback.add([replace(verdict, prediction_id="p2")])
    assert feedback_examples(storage, "support") == FeedbackExamples((), 0, 1)


def test_tasks_do_not_share_feedback(storage: Storage, verdict: Feedback) -> None:
    """Only the task's own feedback makes its examples."""
    storage.feedback.add([verdict])
    assert feedback_examples(storage, "other") == FeedbackExamples((), 0, 0)
