"""What a task's models answer, and the settings that only one kind of task has."""

from collections.abc import Set
from typing import Literal

TaskKind = Literal["classification", "preference"]

_OF_CLASSES = {"sources", "labeling_functions", "labels", "golden_examples", "pseudo_labels"}
_OF_CLASSES |= {"abstain_below", "abstain_for_precision", "rollout"}


def check_kind(kind: TaskKind, given: Set[str], int8: bool) -> None:
    """Raise ValueError if a task's given settings are not those of its kind."""
    if kind == "classification":
        if "sources" not in given:
            raise ValueError("sources: name at least one, as [[tasks.<task>.sources]]")
        return
    if wrong := sorted((_OF_CLASSES & given) | ({"training.int8"} if int8 else set())):
        raise ValueError(f"{', '.join(wrong)}: not for a task of the kind preference")
