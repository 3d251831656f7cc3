"""Examples from verdicts, on a real database."""

from dataclasses import replace

import pytest

from tidemill_core.domain.example import Example, LabelSource, QuarantinedRow
from tidemill_core.domain.feedback import Feedback
from tidemill_core.domain.prediction import Prediction
from tidemill_core.storage.storage import Storage
from tidemill_core.text_hash import text_hash
from tidemill_jobs.context import JobContext
from tidemill_jobs.feedback.examples import FeedbackExamples, feedback_examples

TEXT_KEY = b"k" * 32


@pytest.fixture
def storage(context: JobContext) -> Storage:
    """A database with three predictions of the label `predicted` for one text.

    `p1` is stored with its text, `hashed` with its hash, and `bare` without either.
    """
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
    hashed = text_hash(TEXT_KEY, "the text")
    hidden = prediction._replace(prediction_id="hashed", text="", text_hash=hashed)
    bare = prediction._replace(prediction_id="bare", text="")
    context.storage.predictions.add([prediction, hidden, bare])
    return context.storage


@pytest.fixture
def verdict(context: JobContext) -> Feedback:
    """Return a user's confirmation of `p1`."""
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


def _example(label: str, origin: str, text: str = "the text") -> Example:
    return Example(text, label, LabelSource.FEEDBACK, origin)


def _given(storage: Storage, task: str = "support") -> FeedbackExamples:
    """Return the examples without key, annotator and time."""
    taught = feedback_examples(storage, task, TEXT_KEY, {})
    bare = [replace(each, key="", annotator="", time=None) for each in taught.examples]
    return replace(taught, examples=tuple(bare))


def _expected(*examples: Example, **counts: int) -> FeedbackExamples:
    """Return these examples with these counts."""
    zero = {"without_label": 0, "without_prediction": 0, "without_text": 0}
    return FeedbackExamples(examples, (), **(zero | counts))


def test_a_confirmed_prediction_has_the_predicted_label(
    storage: Storage, verdict: Feedback
) -> None:
    """A confirmation gives an example with the predicted label."""
    storage.feedback.add([verdict])
    assert _given(storage) == _expected(_example("predicted", "f1"))


def test_an_example_tells_who_said_so_and_how_far_they_are_trusted(
    storage: Storage, verdict: Feedback
) -> None:
    """It has the prediction, the source, the time and the source's trust, 1 by default."""
    bob = replace(verdict, feedback_id="f2", prediction_id="p1", source="bob")
    storage.feedback.add([verdict])
    (example,) = feedback_examples(storage, "support", TEXT_KEY, {"alice": 0.4}).examples
    assert (example.key, example.annotator, example.time) == ("p1", "alice", verdict.create_time)
    assert (example.weight, example.judges) == (0.4, False)
    storage.feedback.add([bob])
    (example,) = feedback_examples(storage, "support", TEXT_KEY, {"alice": 0.4}).examples
    assert (example.annotator, example.weight) == ("bob", 1.0)


def test_a_corrected_prediction_has_the_given_label(storage: Storage, verdict: Feedback) -> None:
    """A label gives an example with that label."""
    storage.feedback.add([replace(verdict, correct=None, label="right")])
    assert _given(storage).examples == (_example("right", "f1"),)


def test_a_no_teaches_no_label(storage: Storage, verdict: Feedback) -> None:
    """A denial without the right label is counted and gives no example."""
    storage.feedback.add([replace(verdict, correct=False)])
    assert _given(storage) == _expected(without_label=1)


def test_the_latest_verdict_on_a_prediction_wins(storage: Storage, verdict: Feedback) -> None:
    """If several sources judged, only the latest verdict counts."""
    bob = replace(verdict, feedback_id="f2", source="bob", correct=None, label="right")
    storage.feedback.add([verdict, bob])
    assert _given(storage).examples == (_example("right", "f2"),)


def test_a_source_that_changes_its_mind_is_heard(storage: Storage, verdict: Feedback) -> None:
    """A later denial replaces an earlier confirmation."""
    storage.feedback.add([verdict, replace(verdict, feedback_id="f2", correct=False)])
    assert _given(storage) == _expected(without_label=1)


def test_a_prediction_not_stored_yet_is_counted(storage: Storage, verdict: Feedback) -> None:
    """Feedback may arrive before its prediction; it gives an example once the text is stored."""
    storage.feedback.add([replace(verdict, prediction_id="p2")])
    assert _given(storage) == _expected(without_prediction=1)


def test_tasks_do_not_share_feedback(storage: Storage, verdict: Feedback) -> None:
    """Feedback on other tasks gives no example."""
    storage.feedback.add([verdict])
    assert _given(storage, "other") == _expected()


@pytest.mark.parametrize("prediction_id", ["p1", "hashed", "bare"])
@pytest.mark.parametrize("given", ["the text", ""])
def test_a_text_is_taken_from_where_it_is(
    storage: Storage, verdict: Feedback, prediction_id: str, given: str
) -> None:
    """The text is the stored one, or else the feedback's; without either there is no example."""
    storage.feedback.add([replace(verdict, prediction_id=prediction_id, text=given)])
    known = prediction_id == "p1" or given
    expected = _expected(_example("predicted", "f1")) if known else _expected(without_text=1)
    assert _given(storage) == expected


@pytest.mark.parametrize("prediction_id", ["p1", "hashed"])
def test_another_text_is_quarantined(
    storage: Storage, verdict: Feedback, prediction_id: str
) -> None:
    """Feedback with a text that is known not to be the predicted one gives no example."""
    storage.feedback.add([replace(verdict, prediction_id=prediction_id, text="another text")])
    taught = _given(storage)
    assert taught.examples == ()
    assert taught.quarantined == (
        QuarantinedRow("f1", "TEXT_MISMATCH", "another text", key=prediction_id),
    )


@pytest.mark.parametrize("prediction_id", ["p1", "hashed"])
@pytest.mark.parametrize("order", [1, -1])
def test_another_text_costs_nobody_elses_verdict(
    storage: Storage, verdict: Feedback, prediction_id: str, order: int
) -> None:
    """A good correction gives an example even if another source sent a wrong text."""
    good = replace(verdict, prediction_id=prediction_id, text="the text")
    wrong = replace(good, feedback_id="f2", source="mallory", correct=False, text="another text")
    storage.feedback.add([good, wrong][::order])
    taught = _given(storage)
    if order == 1:  # the latest verdict is a no, which gives no label
        assert taught == _expected(without_label=1)
    else:
        assert taught == _expected(_example("predicted", "f1"))


def test_a_prediction_out_of_the_sample_can_be_corrected(
    storage: Storage, verdict: Feedback
) -> None:
    """Without a stored prediction a labeled text gives an example, and a confirmation does not."""
    yes = replace(verdict, prediction_id="gone1", text="a text")
    label = replace(
        yes, feedback_id="f2", prediction_id="gone2", correct=None, label="right", text="a text"
    )
    storage.feedback.add([yes, label])
    expected = _expected(_example("right", "f2", "a text"), without_prediction=1)
    assert _given(storage) == expected


def test_a_text_of_any_source_serves_the_latest_verdict(
    storage: Storage, verdict: Feedback
) -> None:
    """The text of one source and the label of a later one give an example together."""
    first = replace(verdict, prediction_id="bare", text="the text")
    later = replace(
        verdict, prediction_id="bare", feedback_id="f2", source="bob", correct=None, label="right"
    )
    storage.feedback.add([first, later])
    assert _given(storage) == _expected(_example("right", "f2"))
