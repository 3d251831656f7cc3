"""The rules that fields of more than one service keep."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.server.handlers.rules import CONTROLS, reason
from tidemill_core.errors import InvalidArgument
from tidemill_core.text import is_blank
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_text, check_words

anything = st.text(max_size=40)


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
    assert reason(lambda: check_text("text", text, limit)) == expected


@pytest.mark.parametrize("character", CONTROLS)
def test_every_control_character_is_found(character: str) -> None:
    """Each is refused in the middle of a text and named by its code point."""
    with pytest.raises(InvalidArgument, match=f"U\\+{ord(character):04X}") as caught:
        check_text("texts[3]", f"a{character}b", 10)
    assert caught.value.violation.field == "texts[3]"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=MAX_KEY_LENGTH))
def test_words_without_control_characters_pass(value: str) -> None:
    """A caller's own strings may be empty and in any script."""
    check_words("source", value, MAX_KEY_LENGTH)
