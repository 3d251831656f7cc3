"""The rules of a query."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.server.handlers.rules import CONTROLS, reason
from tidemill_server.handlers.prediction import (
    MAX_ATTRIBUTES,
    MAX_BATCH_TEXTS,
    check_batch_size,
    check_query,
)
from tidemill_server.inference.query import Query

anything = st.text(max_size=40)


@given(st.integers(-(2**31), 2**31 - 1))
def test_top_k_is_not_negative(top_k: int) -> None:
    """Any number from 0 is accepted."""
    query = Query("t", "Predict", math.inf, 0.0, top_k=top_k)
    assert (reason(lambda: check_query(query)) == "") == (top_k >= 0)


@given(st.dictionaries(anything, anything, max_size=MAX_ATTRIBUTES + 4))
def test_attributes_are_few_short_and_clean(attributes: dict[str, str]) -> None:
    """Attributes are accepted only if they are few and have no control characters."""
    query = Query("t", "Predict", math.inf, 0.0, attributes=attributes)
    strings = [*attributes, *attributes.values()]
    clean = not any(character in CONTROLS for each in strings for character in each)
    fits = len(attributes) <= MAX_ATTRIBUTES
    assert (reason(lambda: check_query(query)) == "") == (clean and fits)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (0, "EMPTY_BATCH"),
        (1, ""),
        (MAX_BATCH_TEXTS, ""),
        (MAX_BATCH_TEXTS + 1, "BATCH_TOO_LARGE"),
    ],
)
def test_a_batch_has_one_to_1024_texts(count: int, expected: str) -> None:
    """Both ends of the range are accepted; one more or less is refused."""
    assert reason(lambda: check_batch_size(count)) == expected
