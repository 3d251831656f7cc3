"""The API for a workspace's labeling functions; see docs/labeling-functions.md."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_COLLECTED = "__tidemill_labeling_functions__"


@dataclass(frozen=True)
class LabelingFunction:
    """A function that knows the labels of some texts.

    Attributes:
        name: its name in reports and errors.
        line: the line of its definition.
        label: returns a text's label, or None to abstain.
    """

    name: str
    line: int
    label: Callable[[str], str | None]

    def __call__(self, text: str) -> str | None:
        """Return the label of a text, or None to abstain."""
        return self.label(text)


def labeling_function(function: Callable[[str], str | None]) -> LabelingFunction:
    """Make a labeling function from a function that returns a text's label, or None to abstain.

    It must always return the same label for a text, or the same data gives different datasets.

    Raises:
        TypeError: it is not a plain function of one text.
    """
    written = inspect.unwrap(function)
    if not inspect.isfunction(written) or not _takes_a_text(written):
        raise TypeError("@labeling_function needs a plain function of one text: def name(text):")
    made = LabelingFunction(written.__name__, written.__code__.co_firstlineno, function)
    written.__globals__.setdefault(_COLLECTED, []).append(made)
    return made


def _takes_a_text(function: Callable[..., Any]) -> bool:
    kinds = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)
    if any(is_kind(function) for is_kind in kinds):
        return False
    try:
        inspect.signature(function).bind("text")
    except TypeError:
        return False
    return True


def collected(namespace: dict[str, Any]) -> tuple[LabelingFunction, ...]:
    """Return the labeling functions in a module's namespace, in the order of definition."""
    return tuple(namespace.get(_COLLECTED, ()))
