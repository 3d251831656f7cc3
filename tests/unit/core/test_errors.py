"""The tree of errors."""

import re

import pytest

from tidemill_core import errors
from tidemill_core.errors import InvalidArgument, NotFound, TidemillError

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, TidemillError)
]


@pytest.mark.parametrize("error", CLASSES)
def test_the_tree_in_the_docstring_is_the_tree(error: type[TidemillError]) -> None:
    """The tree at the top of the module has each error under its parent."""
    assert errors.__doc__ is not None
    lines = errors.__doc__.splitlines()
    depths = {match[2]: len(match[1]) for line in lines if (match := _drawn(line))}
    parent = error.__bases__[0].__name__
    if error is TidemillError:
        assert depths[error.__name__] == 0
    else:
        assert depths[error.__name__] == depths[parent] + 4


def _drawn(line: str) -> re.Match[str] | None:
    return re.match(r"([│├└─ ]*)([A-Z][A-Za-z]+)(\s|$)", line)


@pytest.mark.parametrize("error", CLASSES)
def test_reasons(error: type[TidemillError]) -> None:
    """Each error has a reason in UPPER_SNAKE for logs and callers."""
    assert re.fullmatch(r"[A-Z][A-Z0-9_]*", error.reason)


def test_invalid_argument() -> None:
    """A broken rule names its field, in the message and for the caller's program."""
    error = InvalidArgument("TEXT_TOO_LONG", "texts[3]", "has 5,000 characters, 4,096 allowed")
    assert str(error) == "texts[3]: has 5,000 characters, 4,096 allowed"
    assert error.reason == "TEXT_TOO_LONG"
    assert error.field == "texts[3]"


def test_not_found() -> None:
    """The reason has the kind of what is missing; the message has the name and what lists all."""
    error = NotFound("model version", "support/3")
    assert error.reason == "MODEL_VERSION_NOT_FOUND"
    assert (
        str(error) == "there is no model version 'support/3'; `tidemill models list` shows "
        "what there is"
    )
    assert str(NotFound("rollout", "support 3")) == "there is no rollout 'support 3'"
