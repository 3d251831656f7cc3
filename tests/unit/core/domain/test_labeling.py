"""The state of an item by its judgements."""

import pytest

from tidemill_core.domain.labeling import LabelItemState, resolve

OPEN = (LabelItemState.OPEN, "")
UNRESOLVED = (LabelItemState.UNRESOLVED, "")


def done(label: str) -> tuple[LabelItemState, str]:
    """Return a decision."""
    return LabelItemState.DONE, label


@pytest.mark.parametrize(
    ("labels", "wanted", "expected"),
    [
        ("a", 1, done("a")),
        ("a", 2, OPEN),
        ("aa", 2, done("a")),
        ("ab", 2, OPEN),
        ("abb", 2, done("b")),
        ("abc", 2, OPEN),
        ("abca", 2, done("a")),
        ("abcd", 2, UNRESOLVED),
        ("abca"[:3], 3, OPEN),
        ("aab", 3, done("a")),
        ("aabb", 3, OPEN),
        ("aabbc", 3, UNRESOLVED),
        ("aabbb", 3, done("b")),
    ],
)
def test_the_label_given_most_often_wins(
    labels: str, wanted: int, expected: tuple[LabelItemState, str]
) -> None:
    """A tie needs one more judgement, and at most two more."""
    assert resolve(list(labels), wanted) == expected
