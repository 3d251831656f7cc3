"""Label items as Label Studio's tasks, and its annotations as judgements.

https://labelstud.io/guide/task_format: a list of tasks. Label Studio shows `data` and returns it
unchanged; labels are results of the type `choices`.
"""

from collections.abc import Iterator
from typing import Any

from tidemill.v1.labeling_service_pb2 import LabelItem, SubmitLabelRequest
from tidemill_cli.messages import enum_name


def to_task(item: LabelItem) -> dict[str, Any]:
    """Return an item as a task, with each suggested label as a prediction of one choice."""
    return {
        "data": {
            "text": item.text,
            "task": item.task,
            "label_item_id": item.label_item_id,
            "reason": enum_name(item, "reason"),
        },
        "predictions": [
            {"model_version": "tidemill", "result": [_choice(label)]}
            for label in item.suggested_labels
        ],
    }


def _choice(label: str) -> dict[str, Any]:
    return {
        "from_name": "label",
        "to_name": "text",
        "type": "choices",
        "value": {"choices": [label]},
    }


def judgements_of(task: Any) -> list[SubmitLabelRequest]:
    """Return the annotations of an exported task, without canceled ones.

    Raises:
        ValueError: the task is not from `to_task`, or an annotation does not have one label and
            an annotator; the message says what is wrong.
    """
    data = _field(task, "data", dict, "the task")
    name = _field(data, "task", str, "data")
    item_id = _field(data, "label_item_id", str, "data")
    return [
        SubmitLabelRequest(
            task=name,
            label_item_id=item_id,
            annotator=_annotator(annotation),
            label=_label(annotation),
        )
        for annotation in _field(task, "annotations", list, "the task")
        if not (isinstance(annotation, dict) and annotation.get("was_cancelled"))
    ]


def _annotator(annotation: Any) -> str:
    """Return the annotator, given by a name, a number, or an object with an e-mail address."""
    by = annotation.get("completed_by") if isinstance(annotation, dict) else None
    if isinstance(by, dict):
        by = by.get("email")
    if not isinstance(by, str | int) or isinstance(by, bool):
        raise ValueError("an annotation does not say who made it (completed_by)")
    return str(by)


def _label(annotation: Any) -> str:
    choices = list(_choices(_field(annotation, "result", list, "an annotation")))
    if len(choices) != 1:
        raise ValueError(f"an annotation has {len(choices)} choices; it must have one")
    if not isinstance(choices[0], str):
        raise ValueError("the choice of an annotation is not a string")
    return choices[0]


def _choices(results: list[Any]) -> Iterator[Any]:
    for result in results:
        if isinstance(result, dict) and result.get("type") == "choices":
            value = _field(result, "value", dict, "a result")
            yield from _field(value, "choices", list, "a result's value")


def _field(of: Any, name: str, kind: type, place: str) -> Any:
    if not isinstance(of, dict):
        raise ValueError(f"{place} is not an object")
    if not isinstance(of.get(name), kind):
        raise ValueError(f"{place} has no {name}, or not in Label Studio's format")
    return of[name]
