"""The rules that a query must keep."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill_core.errors import InvalidArgument
from tidemill_core.text import is_blank
from tidemill_server.inference.query import (
    MAX_ATTRIBUTES,
    MAX_BATCH_TEXTS,
    MAX_KEY_LENGTH,
    Query,
    check_batch_size,
    check_query,
    check_text,
    check_words,
)

CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n\r"]
anything = st.text(max_size=40)


def reason(check: Callable[[], None]) -> str:
    """Why a check refuses; empty if it does not."""
    try:
        check()
    except InvalidArgument as error:
        return error.reason
    return ""


@given(anything, st.integers(1, 30))
def test_a_text_is_refused_exactly_for_the_documented_rules(text: str, limit: int) -> None:
    """Too long, blank, or with a control character; every other text passes."""
    if len(text) > limit:
        expected = "TEXT_TOO_LONG"
    elif any(character in CONTROLS for character in text):
        expected = "CONTROL_CHARACTERS"
    elif is_blank(text):
        expected = "BLANK_TEXT"
    else:
        expected = ""
    assert reason(lambda: check_text(text, "text", limit)) == expected


@pytest.mark.parametrize("character", CONTROLS)
def test_every_control_character_is_found(character: str) -> None:
    """Each is refused in the middle of a text and named by its code point."""
    with pytest.raises(InvalidArgument, match=f"U\\+{ord(character):04X}") as caught:
        check_text(f"a{character}b", "texts[3]", 10)
    assert caught.value.violation.field == "texts[3]"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=MAX_KEY_LENGTH))
def test_words_without_control_characters_pass(value: str) -> None:
    """A caller's own strings may be empty and in any script."""
    check_words("source", value, MAX_KEY_LENGTH)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_numbers_may_not_be_negative(top_k: int, version: int) -> None:
    """Any top_k and version from 0 passes."""
    query = Query("t", "Predict", math.inf, 0.0, top_k=top_k, model_version=version)
    assert (reason(lambda: check_query(query)) == "") == (top_k >= 0 and version >= 0)


@given(st.dictionaries(anything, anything, max_size=MAX_ATTRIBUTES + 4))
def test_attributes_are_few_short_and_clean(attributes: dict[str, str]) -> None:
    """Attributes pass exactly if there are few and no string has a control character."""
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
    """Both ends of the range pass; one beyond either is refused."""
    assert reason(lambda: check_batch_size(count)) == expected
