"""Rules for fields that several services share."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.jobs.data.preparing.test_clean import landed
from tests.unit.server.handlers.rules import CONTROLS, reason
from tidemill_core.errors import InvalidArgument
from tidemill_jobs.data.preparing.clean import Cleaning, clean
from tidemill_server.handlers.fields import MAX_KEY_LENGTH, check_text, check_words

anything = st.text(max_size=40)


@given(anything, st.integers(1, 30))
@example("\u200b".encode().decode("cp1252"), 30)  # an invisible character
@example("\ufeff".encode().decode("latin-1"), 30)
@example("\u3000".encode().decode("cp1252"), 30)  # a space
@example("a\x81".encode().decode("mac-roman"), 30)  # a control character
@example("\u0958" * 20, 30)  # whose composed form is longer
def test_a_text_is_refused_exactly_where_a_build_would_quarantine_it(text: str, limit: int) -> None:
    """A text is refused if it is too long, blank or has control characters after its repair."""
    row = clean(landed((text, "a")), Cleaning(limit)).row(0, named=True)
    rule = (row["rule"] or "").replace(
        "NULL_TEXT", "BLANK_TEXT"
    )  # an empty text in a source counts as missing
    assert reason(lambda: check_text("text", text, limit)) == rule


@pytest.mark.parametrize(
    "text", ["hidden fees \x97 why?", "caf\u00e9\x0b", "a\x0cb", "x" + " " * 40]
)
def test_a_text_that_its_repair_makes_sound_passes(text: str) -> None:
    """A caller's text is accepted if a build accepts it."""
    check_text("text", text, 20)


@pytest.mark.parametrize("character", CONTROLS)
def test_every_control_character_is_found(character: str) -> None:
    """Each control character in a caller's string is refused and named by its code point."""
    with pytest.raises(InvalidArgument, match=f"U\\+{ord(character):04X}") as caught:
        check_words("source", f"a{character}b", 10)
    assert caught.value.field == "source"


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=MAX_KEY_LENGTH))
def test_words_without_control_characters_pass(value: str) -> None:
    """A caller's string may be empty, and in any script."""
    check_words("source", value, MAX_KEY_LENGTH)
