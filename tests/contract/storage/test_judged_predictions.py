"""What sources and people say about predictions, and which predictions people should look at."""

from tests.contract.storage.values import (
    NOW,
    judgement,
    later,
    prediction,
    preference,
    verdict,
)
from tidemill_core.domain.feedback import FeedbackHold, HoldReason, HoldState, JudgedPrediction
from tidemill_core.domain.labeling import LabelReason, LabelRequest
from tidemill_core.storage.database import Page
from tidemill_core.storage.judged_predictions import evidence_mark, judged_predictions
from tidemill_core.storage.prediction_choices import count_with_text, disputed
from tidemill_core.storage.predictions import Span
from tidemill_core.storage.storage import Storage


def _label(storage: Storage, origin: str, label: str) -> None:
    """Let a person label the text of a prediction."""
    asked = LabelRequest("support", f"text {origin}", LabelReason.AUDIT, NOW, origin=origin)
    storage.label_items.add([asked], 1, NOW)
    [item], _ = storage.label_items.page("support", (), None, Page(1), NOW)
    said = judgement(item.label_item_id, label=label, create_time=later(1))
    storage.label_items.submit("support", said, {})


def test_judged_predictions(storage: Storage) -> None:
    """The latest verdict of each source comes with prediction, truth and hold, by current names."""
    storage.predictions.add([prediction("p1", confidence=0.5), prediction("p2")])
    yes = {"label": None, "correct": True}
    given = storage.feedback.add(
        [
            verdict("p1", label="replaced"),
            verdict("p1", label="old"),
            verdict("p1", source="ben", **yes),
            verdict("p2", create_time=later(-5)),
            verdict("gone"),
            verdict("gone", source="ben", **yes),
            verdict("p1", task="arxiv", source="cal"),
        ]
    )
    held = FeedbackHold(given[1].feedback_id, "support", "ana", "old", HoldReason.BURST, "", NOW)
    storage.feedback_holds.add([held])
    _label(storage, "p1", "old")
    first, second, third = judged_predictions(storage.database, "support", NOW, {"old": "new"})
    assert first == JudgedPrediction(
        feedback_id=given[1].feedback_id,
        prediction_id="p1",
        source=given[1].source,
        label="new",
        predicted="card_arrival",
        confidence=0.5,
        truth="new",
        create_time=NOW,
        hold=HoldReason.BURST,
        hold_state=HoldState.HELD,
    )
    assert (first.contests, first.agrees) == (True, True)
    assert (second.source, second.label, second.contests) == ("ben", "card_arrival", False)
    assert second.agrees is False
    assert (third.prediction_id, third.predicted, third.agrees) == ("gone", None, None)


def test_the_mark_changes_with_the_evidence(storage: Storage) -> None:
    """A verdict, a person's label and a decision about a hold each change it; nothing else does."""
    storage.predictions.add([prediction("p1")])
    marks = [evidence_mark(storage.database, "support")]
    [given] = storage.feedback.add([verdict("p1")])
    marks.append(evidence_mark(storage.database, "support"))
    _label(storage, "p1", "a")
    marks.append(evidence_mark(storage.database, "support"))
    assert len(set(marks)) == 3
    storage.feedback.add([verdict("p9", task="arxiv")])
    assert evidence_mark(storage.database, "support") == marks[-1]
    assert given.task == "support"


def test_answers_that_a_shadow_disputes(storage: Storage) -> None:
    """An answer is disputed if a copy of its text got another label in the span."""
    span = Span("support", NOW, later(10))
    copy = {"method": "Shadow", "label": "lost_card"}
    storage.predictions.add(
        [
            prediction("sure", "t1", confidence=0.9),
            prediction("unsure", "t2", confidence=0.5),
            prediction("agreed", "t3"),
            prediction("alone", "t4"),
            prediction("late", "t5", predict_time=later(20)),
            *(prediction(f"copy {n}", f"t{n}", **copy) for n in (1, 2, 5)),
            prediction("copy 3", "t3", method="Shadow"),
        ]
    )
    assert count_with_text(storage.database, span) == 4
    found = disputed(storage.database, span, 10)
    assert [(each.prediction_id, label) for each, label in found] == [
        ("sure", "lost_card"),
        ("unsure", "lost_card"),
    ]
    assert len(disputed(storage.database, span, 1)) == 1


def test_new_examples_and_pairs_are_counted_from_a_time(storage: Storage) -> None:
    """People's labels and judged pairs count once, and only after the time that is asked about."""
    _label(storage, "p1", "a")
    assert storage.label_items.labeled_texts("support", None) == [("text p1", "a")]
    assert storage.label_items.labeled_texts("support", NOW) == [("text p1", "a")]
    assert storage.label_items.labeled_texts("support", later(1)) == []
    for annotator in ("ana", "ben"):
        storage.preferences.add(preference(annotator=annotator))
    storage.preferences.add(preference(prompt="another", create_time=later(5)))
    assert storage.preferences.count_pairs("support", None) == 2
    assert storage.preferences.count_pairs("support", NOW) == 1
    assert storage.preferences.count_pairs("arxiv", None) == 0
