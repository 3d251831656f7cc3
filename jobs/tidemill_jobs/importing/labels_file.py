"""The labels of an imported model: read, and compared with those of its task."""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from tidemill_core.counted import counted
from tidemill_core.domain.label_names import Renames, current
from tidemill_jobs.importing.refusal import ModelRefused

_EXPECTED = 'a JSON list of labels, or an object with "id2label" as in a Hugging Face config.json'
_SHOWN = 5


@dataclass(frozen=True)
class LabelsFile:
    """The content of a labels file.

    Attributes:
        labels: in the order of the model's output.
        padding_id: `pad_token_id` of a config.json; None if the file has none.
    """

    labels: tuple[str, ...]
    padding_id: int | None = None


def read_labels(content: bytes) -> LabelsFile:
    """Read a labels file.

    Raises:
        ModelRefused: it is none.
    """
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelRefused("the labels file is not JSON", _EXPECTED) from error
    padding_id = found.get("pad_token_id") if isinstance(found, dict) else None
    if padding_id is not None and type(padding_id) is not int:
        raise ModelRefused(f"pad_token_id is {str(padding_id)[:60]!r}", "a token id, or null")
    labels = _in_order(found["id2label"]) if _has_ids(found) else found
    if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
        raise ModelRefused("the labels file has no list of names and no id2label", _EXPECTED)
    return LabelsFile(tuple(labels), padding_id)


def _has_ids(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("id2label"), dict)


def _in_order(labels: dict[str, Any]) -> list[Any]:
    numbers = {str(number) for number in range(len(labels))}
    if labels.keys() != numbers:
        found = f"id2label has the ids {_listed(labels.keys() - numbers)}"
        raise ModelRefused(found, f"the ids 0 to {len(labels) - 1}, each once")
    return [labels[str(number)] for number in range(len(labels))]


def task_labels(
    labels: Sequence[str], known: Collection[str], learned: Collection[str], renames: Renames
) -> tuple[str, ...]:
    """Return a model's labels under their current names, in the same order.

    Args:
        labels: the model's labels.
        known: the labels that the task may have.
        learned: the labels of its training rows, which the model must have.
        renames: new names of labels by the old ones.

    Raises:
        ModelRefused: a label occurs twice, is unknown, or is missing.
    """
    named = tuple(current(label, renames) for label in labels)
    if twice := {label for label, count in Counter(named).items() if count > 1}:
        raise ModelRefused(f"the model has labels twice: {_listed(twice)}", "each label once")
    if unknown := set(named) - set(known):
        raise ModelRefused(
            f"the model has labels that the task does not: {_listed(unknown)}",
            f"labels such as {_listed(known)}",
        )
    if missing := set(learned) - set(named):
        raise ModelRefused(
            f"the model has {counted(len(named), 'label')}, without {_listed(missing)}",
            f"the {len(set(learned))} labels of the task's training rows",
        )
    return named


def _listed(labels: Collection[str]) -> str:
    shown = ", ".join(repr(label[:60]) for label in sorted(labels)[:_SHOWN])
    more = len(labels) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
