"""Cleaning rows, and the rules that set them aside."""

import pytest

from tidemill_core.domain.example import Example, LabelSource, QuarantinedRow
from tidemill_jobs.data.clean import clean


def _row(text: str, label: str = "a") -> Example:
    return Example(text, label, LabelSource.SOURCE, "train.csv:2")


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("  hello \t there\r\nyou ", "hello there you"),
        ("cafe\u0301", "caf\u00e9"),
        ("a\u00a0b", "a b"),
        ("\U0001f44d", "\U0001f44d"),
    ],
)
def test_texts_get_one_form(text: str, cleaned: str) -> None:
    """Accents are composed, whitespace is stripped and collapsed."""
    assert clean(_row(text), 100) == _row(cleaned)


def test_labels_get_the_same_form() -> None:
    """A label with spaces round it is the label."""
    assert clean(_row("x", " lost  card "), 100) == _row("x", "lost card")


@pytest.mark.parametrize(
    ("text", "label", "rule"),
    [
        ("", "a", "NULL_TEXT"),
        ("x", "", "NULL_LABEL"),
        ("x", "  ", "NULL_LABEL"),
        (" \t\n", "a", "BLANK_TEXT"),
        ("\u200b\u00a0", "a", "BLANK_TEXT"),
        ("x" * 11, "a", "TEXT_TOO_LONG"),
        ("x\x00y", "a", "CONTROL_CHARACTERS"),
        ("x\x1by", "a", "CONTROL_CHARACTERS"),
        ("x\x85y", "a", "CONTROL_CHARACTERS"),
        ("x", "a\x07", "CONTROL_CHARACTERS"),
        ("x\ud800", "a", "LONE_SURROGATE"),
    ],
)
def test_each_rule_sets_its_rows_aside(text: str, label: str, rule: str) -> None:
    """A row that breaks a rule is quarantined under that rule, with its place."""
    outcome = clean(_row(text, label), 10)
    assert isinstance(outcome, QuarantinedRow)
    assert (outcome.rule, outcome.origin) == (rule, "train.csv:2")


def test_the_length_is_the_cleaned_texts() -> None:
    """Whitespace that goes away does not make a text too long."""
    assert clean(_row("x" * 10 + " " * 50), 10) == _row("x" * 10)


def test_a_quarantined_value_is_short_and_can_be_stored() -> None:
    """The offending value is cut to 200 characters and is valid UTF-8."""
    outcome = clean(_row("\ud800" * 500), 100)
    assert isinstance(outcome, QuarantinedRow)
    assert len(outcome.value) == 200
    assert outcome.value.encode().startswith(b"\\ud800")
