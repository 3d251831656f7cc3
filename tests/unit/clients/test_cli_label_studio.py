"""The export to Label Studio's tasks and the import from them."""

from typing import Any

import pytest

from tidemill.v1.labeling_service_pb2 import LABEL_REASON_UNCERTAIN, LabelItem, SubmitLabelRequest
from tidemill_cli.label_studio import judgements_of, to_task

ITEM = LabelItem(
    label_item_id="i1",
    task="support",
    text="where is my card?",
    reason=LABEL_REASON_UNCERTAIN,
    suggested_labels=["card_arrival", "lost_card"],
)


def annotation(*labels: Any, by: Any = "ana@example.com", **changes: Any) -> dict[str, Any]:
    """Return an annotation in the format of Label Studio, with one result of another type."""
    choices = {"from_name": "label", "type": "choices", "value": {"choices": list(labels)}}
    rating = {"from_name": "stars", "type": "rating", "value": {"rating": 3}}
    return {"id": 7, "completed_by": by, "result": [rating, choices], **changes}


def test_an_item_is_a_task_with_its_suggestions() -> None:
    """Text and ids are data; each suggestion is a prediction of one choice."""
    task = to_task(ITEM)
    assert task["data"] == {
        "text": "where is my card?",
        "task": "support",
        "label_item_id": "i1",
        "reason": "UNCERTAIN",
    }
    results = [result for each in task["predictions"] for result in each["result"]]
    assert [(each["type"], each["value"]) for each in results] == [
        ("choices", {"choices": ["card_arrival"]}),
        ("choices", {"choices": ["lost_card"]}),
    ]


@pytest.mark.parametrize(
    ("by", "annotator"),
    [("ana", "ana"), (3, "3"), ({"id": 3, "email": "ana@example.com"}, "ana@example.com")],
)
def test_annotations_are_judgements(by: Any, annotator: str) -> None:
    """Each of Label Studio's forms of an annotator works; canceled annotations do not count."""
    given = [annotation("lost_card", by=by), annotation(by=by, was_cancelled=True)]
    asked = SubmitLabelRequest(
        task="support", label_item_id="i1", annotator=annotator, label="lost_card"
    )
    assert judgements_of({**to_task(ITEM), "annotations": given}) == [asked]


GOOD = {**to_task(ITEM), "annotations": [annotation("a")]}


@pytest.mark.parametrize(
    ("task", "told"),
    [
        ("text", "the task is not an object"),
        ({"annotations": []}, "the task has no data"),
        ({**GOOD, "data": {"text": "t"}}, "data has no task"),
        ({**GOOD, "data": {"task": "support", "label_item_id": 5}}, "data has no label_item_id"),
        ({**GOOD, "annotations": None}, "the task has no annotations"),
        ({**GOOD, "annotations": ["a"]}, "does not say who"),
        ({**GOOD, "annotations": [annotation("a", by=None)]}, "does not say who"),
        ({**GOOD, "annotations": [annotation("a", by=True)]}, "does not say who"),
        ({**GOOD, "annotations": [annotation("a", by={"id": 3})]}, "does not say who"),
        ({**GOOD, "annotations": [annotation("a", result={})]}, "an annotation has no result"),
        ({**GOOD, "annotations": [annotation("a", result=[])]}, "has 0 choices"),
        ({**GOOD, "annotations": [annotation("a", "b")]}, "has 2 choices; it must have one"),
        ({**GOOD, "annotations": [annotation(5)]}, "is not a string"),
        ({**GOOD, "annotations": [annotation("a"), annotation()]}, "has 0 choices"),
        ({**GOOD, "annotations": [annotation("\ud83d")]}, "surrogates"),
        ({**GOOD, "annotations": [{**annotation(), "result": [{"type": "choices"}]}]}, "no value"),
    ],
)
def test_a_task_that_is_not_sound_is_reported(task: Any, told: str) -> None:
    """The error says what is wrong, and none of the annotations counts."""
    with pytest.raises(ValueError, match=told):
        judgements_of(task)
