"""What a workspace's labelling functions are written with; docs/labeling-functions.md tells how."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_COLLECTED = "__tidemill_labeling_functions__"


@dataclass(frozen=True)
class LabelingFunction:
    """A function that knows the labels of some texts.

    Attributes:
        name: what it is called in reports and errors.
        line: where it is defined in its file.
        label: gives a text's label, or None where it does not know.
    """

    name: str
    line: int
    label: Callable[[str], str | None]

    def __call__(self, text: str) -> str | None:
        """The label that it gives a text."""
        return self.label(text)


def labeling_function(function: Callable[[str], str | None]) -> LabelingFunction:
    """Make a labelling function of a function: a text's label, or None to abstain.

    It must give a text the same label each time, or the same data makes different datasets.
    """
    written = inspect.unwrap(function)
    made = LabelingFunction(written.__name__, written.__code__.co_firstlineno, function)
    written.__globals__.setdefault(_COLLECTED, []).append(made)
    return made


def collected(namespace: dict[str, Any]) -> tuple[LabelingFunction, ...]:
    """The labelling functions defined in a module, in their order, from its namespace."""
    return tuple(namespace.get(_COLLECTED, ()))
